"""Backtests and searches in parallel, through the frameworks' own hooks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from informer_forecaster import InformerForecaster, InformerModel

TINY = {**InformerForecaster.get_test_params()[0], "quantiles": None, "random_state": 0}
QUIET = dict.fromkeys(
    ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger"), False
)


@pytest.fixture(scope="module")
def y():
    index = pd.period_range("2015-01", periods=48, freq="M")
    return pd.Series(10 + np.sin(np.arange(48) / 2), index=index)


PROCESSES = {"backend": "dask", "backend_params": {"scheduler": "processes"}}


def backtest(y, **how):
    evaluation = pytest.importorskip("sktime.forecasting.model_evaluation")
    split = pytest.importorskip("sktime.split")
    cv = split.ExpandingWindowSplitter(initial_window=36, step_length=4, fh=[1, 2])
    table = evaluation.evaluate(InformerForecaster(**TINY), cv=cv, y=y, **how)
    return table[[name for name in table.columns if name.startswith("test_")]]


@pytest.mark.parametrize(
    "scheduler", ["synchronous", pytest.param("processes", marks=pytest.mark.slow)]
)
def test_a_backtest_on_dask_scores_as_one_without(y, scheduler):
    dask = pytest.importorskip("dask")
    # Dask's own setting: `evaluate` does not hand its `backend_params` on to Dask.
    with dask.config.set(scheduler=scheduler):
        parallel = backtest(y, backend="dask")
    assert len(parallel) == 3
    np.testing.assert_array_equal(parallel, backtest(y))


def test_a_backtest_in_dasks_threads_scores_every_window(y):
    """Threads share torch's random numbers, so that trainings differ a little from run to run."""
    dask = pytest.importorskip("dask")
    with dask.config.set(scheduler="threads"):
        parallel = backtest(y, backend="dask")
    np.testing.assert_allclose(parallel, backtest(y), atol=0.01)


@pytest.mark.slow
def test_a_search_in_dasks_processes_finds_the_one_without(y):
    pytest.importorskip("dask")
    selection = pytest.importorskip("sktime.forecasting.model_selection")
    split = pytest.importorskip("sktime.split")

    def search(**how):
        cv = split.SingleWindowSplitter(fh=[1, 2])
        grid = selection.ForecastingGridSearchCV(
            InformerForecaster(**TINY), cv, {"d_model": [4, 8]}, **how
        )
        return grid.fit(y, fh=[1, 2])

    alone, parallel = search(), search(**PROCESSES)
    assert parallel.best_params_ == alone.best_params_
    assert parallel.best_score_ == alone.best_score_


@pytest.mark.slow
def test_ray_tunes_in_processes_of_its_own(waves, tmp_path, monkeypatch, time_limit):
    """Each trial trains in a worker of Ray; its score is that of the same training here."""
    ray = pytest.importorskip("ray")
    tune = pytest.importorskip("ray.tune")
    from darts.metrics import mae

    train, valid = waves(60).split_before(48)

    def score(width):
        model = InformerModel(
            8,
            4,
            d_model=width,
            nhead=2,
            dim_feedforward=8,
            n_epochs=1,
            random_state=0,
            pl_trainer_kwargs={"accelerator": "cpu", **QUIET},
        )
        return float(mae(valid, model.fit(train).predict(len(valid))))

    def trial(config):
        tune.report({"mae": score(config["d_model"])})

    # Its workers give way to everything else by default: on a busy machine they would never start.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        tuner = tune.Tuner(
            trial,
            param_space={"d_model": tune.grid_search([4, 8])},
            tune_config=tune.TuneConfig(metric="mae", mode="min"),
            run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
        )
        with time_limit(600):
            results = tuner.fit()
    finally:
        ray.shutdown()
    assert not results.errors
    found = {one.config["d_model"]: one.metrics["mae"] for one in results}
    assert found == pytest.approx({width: score(width) for width in (4, 8)}, rel=1e-5)
    assert results.get_best_result().config["d_model"] == min(found, key=found.get)
