"""Threads and processes that share a model get the forecasts that one after the other would."""

from __future__ import annotations

import copy
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from darts.utils.likelihood_models.torch import QuantileRegression
from sktime.forecasting.model_evaluation import evaluate
from sktime.split import ExpandingWindowSplitter

from informer_forecaster import InformerForecaster, InformerModel
from informer_forecaster.adapters._one_at_a_time import alone, one_at_a_time

TINY = {**InformerForecaster.get_test_params()[0], "output_chunk_length": 3}


def table(rows=40):
    return pd.DataFrame({"a": np.sin(np.arange(float(rows)))})


@pytest.mark.parametrize("likelihood", [None, QuantileRegression([0.1, 0.5, 0.9])])
def test_threads_share_a_darts_model(tiny_model, waves, time_limit, likelihood):
    """Darts keeps trainer and series on the model: a thread would get another's forecast."""
    every = [waves(40 + i, seed=i) for i in range(32)]
    model = tiny_model(likelihood=likelihood).fit(every[0])
    samples = {} if likelihood is None else {"num_samples": 5, "random_state": 1}

    def forecast(series):
        return model.predict(6, series, **samples)

    expected = [forecast(series) for series in every]
    with time_limit(120), ThreadPoolExecutor(8) as pool:
        assert list(pool.map(forecast, every)) == expected


@pytest.mark.filterwarnings("ignore:step . of `fh`")
def test_threads_share_a_sktime_forecaster(time_limit):
    """Sktime keeps the horizon on the forecaster."""
    forecaster = InformerForecaster(**TINY).fit(table())
    horizons = [list(range(1, 2 + i % 5)) for i in range(32)]
    expected = [forecaster.predict(fh) for fh in horizons]
    with time_limit(120), ThreadPoolExecutor(8) as pool:
        for one, other in zip(pool.map(forecaster.predict, horizons), expected, strict=True):
            pd.testing.assert_frame_equal(one, other)


def test_threads_train_what_one_after_the_other_would(tiny_model, waves, time_limit):
    """Torch has one generator for all threads: two trainings would take each other's numbers."""
    every = [waves(40, seed=i) for i in range(6)]

    def forecast(series):
        return tiny_model().fit(series).predict(4)

    expected = [forecast(series) for series in every]
    with time_limit(120), ThreadPoolExecutor(3) as pool:
        assert list(pool.map(forecast, every)) == expected


def test_copies_beside_a_training_do_not_disturb_it(tiny_model, waves, time_limit):
    """A copy draws nothing from the generator that the training draws from."""
    forecaster = InformerForecaster(**TINY).fit(table())
    given = {"n_epochs": 10, "dropout": 0.3, "trainer": {"limit_train_batches": None}}
    expected = tiny_model(**given).fit(waves()).predict(4)
    ended = threading.Event()

    def disturb():
        while not ended.is_set():
            copy.deepcopy(forecaster)
            ended.wait(0.001)  # or the training would have to wait for its turn

    with time_limit(120), ThreadPoolExecutor(1) as pool:
        disturbing = pool.submit(disturb)
        try:
            found = [tiny_model(**given).fit(waves()).predict(4) for _ in range(2)]
        finally:
            ended.set()
        disturbing.result()
    assert found == [expected, expected]


@pytest.mark.parametrize("what", ["new", "load", "from_pretrained"])
def test_what_moves_the_generator_waits(tiny_model, waves, tmp_path, time_limit, what):
    """Each seeds or draws, if only for a moment: too short a one to be caught by trying."""
    model = tiny_model().fit(waves())
    model.save(str(tmp_path / "model.pt"))
    model.save_pretrained(tmp_path / "pretrained")
    calls = {
        "new": tiny_model,
        "load": lambda: InformerModel.load(str(tmp_path / "model.pt")),
        "from_pretrained": lambda: InformerModel.from_pretrained(tmp_path / "pretrained"),
    }
    with time_limit(60), ThreadPoolExecutor(1) as pool:
        with alone():
            waiting = pool.submit(calls[what])
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
        waiting.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_forked_process_does_not_wait_for_a_thread_it_lacks(time_limit):
    started, finish = threading.Event(), threading.Event()

    def work():
        started.set()
        finish.wait()

    thread = threading.Thread(target=one_at_a_time(work))
    thread.start()
    started.wait()
    try:
        child = os.fork()
        if not child:
            one_at_a_time(int)()
            os._exit(0)
        with time_limit(20):
            assert os.waitpid(child, 0)[1] == 0
    finally:
        finish.set()
        thread.join()


def scores(backend):
    splitter = ExpandingWindowSplitter(fh=[1, 2], initial_window=20, step_length=8)
    found = evaluate(InformerForecaster(**TINY), splitter, table(), return_data=True, **backend)
    return pd.concat(found["y_pred"].to_list())


def test_a_backtest_of_sktime_in_threads_is_the_sequential_one():
    backend = {"backend": "threading", "backend_params": {"n_jobs": 3}}
    pd.testing.assert_frame_equal(scores(backend), scores({}))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_a_backtest_of_sktime_in_processes_is_the_sequential_one(backend):
    given = {"backend": backend, "backend_params": {"n_jobs": 2}}
    pd.testing.assert_frame_equal(scores(given), scores({}))


def forecast_file(path, series):
    trainer = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    model = InformerModel.load(path, pl_trainer_kwargs=trainer)
    return [model.predict(6, one) for one in series]


@pytest.mark.slow
def test_four_processes_forecast_with_one_file(tiny_model, waves, tmp_path):
    every = [waves(40 + i, seed=i) for i in range(16)]
    model = tiny_model().fit(every[0])
    expected = [model.predict(6, series) for series in every]
    model.save(str(tmp_path / "model.pt"))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as pool:
        found = pool.map(
            forecast_file, [str(tmp_path / "model.pt")] * 4, [every[i::4] for i in range(4)]
        )
        for i, forecasts in enumerate(found):
            assert forecasts == expected[i::4]
