"""Threads that share a model wait for each other; those of other models do not."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from darts.utils.likelihood_models.torch import QuantileRegression
from forecast_file import forecast_file
from pytorch_lightning import Callback
from sktime.forecasting.model_evaluation import evaluate
from sktime.split import ExpandingWindowSplitter

from informer_forecaster import InformerForecaster, InformerModel

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


def test_models_work_beside_each_other(tiny_model, waves, time_limit):
    """No lock of all models: a service forecasts and loads while another model is trained."""
    every = [waves(40, seed=i) for i in range(4)]
    fitted = tiny_model().fit(every[0])
    expected = [fitted.predict(6, series) for series in every]
    reached, goes_on = threading.Event(), threading.Event()

    class Wait(Callback):
        def on_train_epoch_start(self, *_):
            reached.set()
            goes_on.wait()

    with time_limit(120), ThreadPoolExecutor(4) as pool:
        training = pool.submit(tiny_model(trainer={"callbacks": [Wait()]}).fit, every[1])
        try:
            reached.wait()
            assert list(pool.map(lambda series: fitted.predict(6, series), every)) == expected
            others = list(pool.map(lambda series: tiny_model().fit(series).predict(4), every))
        finally:
            goes_on.set()
        assert np.isfinite(training.result().predict(4).values()).all()
    assert all(np.isfinite(one.values()).all() for one in others)


def test_trainings_that_overlap_leave_loggers_and_warnings_as_they_were(time_limit):
    """The first to end leaves the other its quiet, and the last one ends it."""
    began, goes_on = ([threading.Event() for _ in range(2)] for _ in range(2))

    class Wait(Callback):
        def __init__(self, number):
            self.number = number

        def on_train_start(self, *_):
            began[self.number].set()
            goes_on[self.number].wait()

    def fit(number):
        trainer = {"accelerator": "cpu", "callbacks": [Wait(number)]}
        InformerForecaster(**{**TINY, "pl_trainer_kwargs": trainer}).fit(table(), fh=[1])

    InformerForecaster(**TINY).fit(table(), fh=[1])  # Darts adds filters of its own, for good
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level, list(warnings.filters)
    with time_limit(60), ThreadPoolExecutor(2) as pool:
        try:
            trainings = []
            for number in range(2):
                trainings.append(pool.submit(fit, number))
                began[number].wait()
            for number, training in enumerate(trainings):
                assert logger.level == logging.ERROR
                goes_on[number].set()
                training.result()
        finally:
            for event in goes_on:
                event.set()
    assert (logger.level, list(warnings.filters)) == before


def test_training_in_double_precision_is_of_no_concern_to_other_threads(tiny_model, waves):
    """Two trainings that put back what the other had set would leave the process at float64."""
    seen = []

    class Look(torch.nn.MSELoss):
        def forward(self, *tensors):
            seen.append(torch.get_default_dtype())
            return super().forward(*tensors)

    model = tiny_model(loss_fn=Look()).fit(waves(dtype=np.float64))
    assert model.model.dtype == torch.float64
    assert set(seen) == {torch.float32}


def test_threads_load_one_file(tiny_model, waves, tmp_path, time_limit):
    """Torch has one list of the classes that a file may hold, and loads would change it at once."""
    model = tiny_model().fit(waves())
    model.save(str(tmp_path / "model.pt"))
    expected = model.predict(4)

    def load(_):
        return InformerModel.load(str(tmp_path / "model.pt"))

    with time_limit(120), ThreadPoolExecutor(8) as pool:
        assert all(loaded.predict(4) == expected for loaded in pool.map(load, range(32)))


def scores(backend):
    splitter = ExpandingWindowSplitter(fh=[1, 2], initial_window=20, step_length=8)
    found = evaluate(InformerForecaster(**TINY), splitter, table(), return_data=True, **backend)
    return pd.concat(found["y_pred"].to_list())


def test_a_backtest_of_sktime_in_threads_forecasts_the_same_steps():
    """Its numbers differ, as torch has one generator for all threads."""
    found, expected = scores({"backend": "threading", "backend_params": {"n_jobs": 3}}), scores({})
    assert found.index.equals(expected.index)
    assert np.allclose(found, expected, atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_a_backtest_of_sktime_in_processes_is_the_sequential_one(backend):
    given = {"backend": backend, "backend_params": {"n_jobs": 2}}
    pd.testing.assert_frame_equal(scores(given), scores({}))


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
