"""The forecaster as a part of sktime's pipelines, tuners, ensembles, reconcilers and backtests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sktime.base import load
from sktime.datasets import load_airline, load_longley
from sktime.forecasting.compose import (
    BaggingForecaster,
    EnsembleForecaster,
    ForecastByLevel,
    ForecastingPipeline,
    ForecastX,
    MultiplexForecaster,
)
from sktime.forecasting.conformal import ConformalIntervals
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.forecasting.naive import NaiveForecaster, NaiveVariance
from sktime.forecasting.reconcile import ReconcilerForecaster
from sktime.forecasting.stream import UpdateRefitsEvery
from sktime.performance_metrics.forecasting import MeanAbsoluteError
from sktime.performance_metrics.forecasting.probabilistic import PinballLoss
from sktime.split import ExpandingWindowSplitter, SingleWindowSplitter
from sktime.transformations.bootstrap import MovingBlockBootstrapTransformer
from sktime.transformations.boxcox import LogTransformer
from sktime.transformations.detrend import Deseasonalizer
from sktime.transformations.fourier import FourierFeatures
from sktime.transformations.hierarchical.aggregate import Aggregator
from sktime.transformations.impute import Imputer
from sktime.utils._testing.hierarchical import _make_hierarchical

from informer_forecaster import InformerForecaster

TINY = InformerForecaster.get_test_params()[0]
PANDAS = tuple(map(int, pd.__version__.split(".")[:2]))
FH = [1, 2, 3]
# Capped chunks, and what sktime reports of the parts that it brings itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore:step .* of `fh` is beyond"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
# sktime asks for pandas below 3. Its average of forecasters fails with 3.1, whatever they are.
averages = pytest.mark.xfail(
    PANDAS >= (3, 1), reason="sktime 1.2 averages along an axis unknown to pandas 3.1", strict=True
)


def make(**parameters):
    return InformerForecaster(**{**TINY, **parameters})


@pytest.fixture(scope="module")
def y():
    return load_airline()[:60]


def assert_forecasts_of(y, forecast, fh=FH):
    """Assert that a forecast stands at the steps after ``y`` and is of its size."""
    assert list(forecast.index) == [y.index[-1] + step for step in fh]
    assert forecast.between(0.3 * y.min(), 3 * y.max()).all()


def test_transformations_are_applied_and_inverted(y):
    pipeline = LogTransformer() * Deseasonalizer(sp=12) * make()
    forecast = pipeline.fit(y, fh=FH).predict()
    assert_forecasts_of(y, forecast)
    by_hand_log, deseasonalizer = LogTransformer(), Deseasonalizer(sp=12)
    transformed = deseasonalizer.fit_transform(by_hand_log.fit_transform(y))
    inner = make().fit(transformed, fh=FH).predict()
    expected = by_hand_log.inverse_transform(deseasonalizer.inverse_transform(inner))
    np.testing.assert_allclose(forecast, expected, rtol=1e-9)
    intervals = pipeline.predict_interval(coverage=0.8)
    assert (intervals.iloc[:, 0] <= intervals.iloc[:, 1]).all()


def test_an_imputer_fills_what_the_error_message_names(y):
    y = y.copy()
    y.iloc[10] = np.nan
    assert_forecasts_of(y, (Imputer() * make()).fit(y, fh=FH).predict())


def test_fourier_features_become_exogenous_columns(y):
    features = FourierFeatures(sp_list=[12], fourier_terms_list=[2])
    pipeline = ForecastingPipeline([("fourier", features), ("informer", make())])
    # The transformation makes columns of the index, for which sktime wants a table to start from.
    X = pd.DataFrame({"zero": 0.0}, index=pd.period_range(y.index[0], periods=63, freq="M"))
    pipeline.fit(y, X=X[:60], fh=FH)
    assert_forecasts_of(y, pipeline.predict(X=X[60:]))
    columns = pipeline.forecaster_.model_.columns
    assert len(columns.future) == 4


def test_the_grid_search_finds_the_better_member(y):
    cv = SingleWindowSplitter(fh=FH, window_length=50)
    grid = {"n_epochs": [1, 20], "lr": [1e-2]}
    search = ForecastingGridSearchCV(make(), cv, grid, scoring=MeanAbsoluteError(), backend=None)
    search.fit(y, fh=FH)
    scores = search.cv_results_["mean_test_MeanAbsoluteError"]
    assert search.best_params_["n_epochs"] == grid["n_epochs"][int(np.argmin(scores))]
    assert_forecasts_of(y, search.predict())


@pytest.mark.parametrize("strategy", ["refit", "update", "no-update_params"])
def test_backtests_score_points_and_quantiles(y, strategy):
    cv = ExpandingWindowSplitter(fh=FH, initial_window=40, step_length=6)
    scoring = [MeanAbsoluteError(), PinballLoss(alpha=[0.1, 0.9])]
    table = evaluate(make(), cv, y, strategy=strategy, scoring=scoring)
    assert len(table) == 3
    assert (table[["test_MeanAbsoluteError", "test_PinballLoss"]] > 0).all(axis=None)


def test_a_backtest_without_updates_is_one_network_with_moving_context(y):
    cv = ExpandingWindowSplitter(fh=FH, initial_window=40, step_length=6)
    table = evaluate(make(), cv, y, strategy="no-update_params", return_data=True)
    forecaster = make().fit(y[:40], fh=FH)
    for rows, forecast in zip((40, 46, 52), table["y_pred"], strict=True):
        forecaster.update(y[:rows], update_params=False)
        pd.testing.assert_series_equal(forecaster.predict(), forecast, check_exact=True)


def test_update_predict_moves_back_to_the_start_of_its_data(y):
    cv = ExpandingWindowSplitter(fh=FH, initial_window=30, step_length=10)
    forecaster = make().fit(y, fh=FH)
    forecasts = forecaster.update_predict(y, cv, update_params=False)
    assert forecasts.shape[1] == 3
    # Rows after the window are known to the forecaster, and must not be used.
    moved = make().fit(y, fh=FH).update(y[:30], update_params=False).predict()
    np.testing.assert_array_equal(forecasts.iloc[:, 0].dropna(), moved)


@averages
def test_selection_and_averages_of_forecasters(y):
    members = [("naive", NaiveForecaster(sp=12)), ("informer", make())]
    chosen = MultiplexForecaster(members, selected_forecaster="informer").fit(y, fh=FH)
    alone = make().fit(y, fh=FH).predict()
    pd.testing.assert_series_equal(chosen.predict(), alone, check_exact=True)
    mean = EnsembleForecaster(members).fit(y, fh=FH).predict()
    naive = NaiveForecaster(sp=12).fit(y, fh=FH).predict()
    np.testing.assert_allclose(mean, (alone + naive) / 2)


def test_bagging_trains_on_bootstrapped_series(y):
    bootstrap = MovingBlockBootstrapTransformer(n_series=3, block_length=12, random_state=0)
    bagging = BaggingForecaster(bootstrap, make(), random_state=0)
    assert_forecasts_of(y, bagging.fit(y, fh=FH).predict())


def test_unknown_exogenous_columns_can_be_forecast():
    y, X = load_longley()
    pipeline = ForecastX(make(), NaiveForecaster()).fit(y, X=X, fh=[1, 2])
    assert_forecasts_of(y, pipeline.predict(), fh=[1, 2])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: ConformalIntervals(f, initial_window=45, sample_frac=0.5),
        lambda f: NaiveVariance(f, initial_window=50),
    ],
    ids=["conformal", "naive variance"],
)
def test_interval_wrappers_fit_to_the_end_of_the_series(y, wrap):
    intervals = wrap(make()).fit(y, fh=FH).predict_interval(coverage=0.9)
    assert list(intervals.index) == [y.index[-1] + step for step in FH]
    assert (intervals.iloc[:, 0] < intervals.iloc[:, 1]).all()


@pytest.fixture(scope="module")
def hierarchy():
    return Aggregator().fit_transform(
        _make_hierarchical((2, 2), min_timepoints=30, max_timepoints=30, random_state=0)
    )


def test_one_network_a_level(hierarchy):
    forecaster = ForecastByLevel(make(), groupby="global").fit(hierarchy, fh=FH)
    expected = make().fit(hierarchy, fh=FH).predict()
    np.testing.assert_allclose(forecaster.predict(), expected)
    local = ForecastByLevel(make(), groupby="local").fit(hierarchy, fh=FH).predict()
    assert (local.to_numpy() != expected.to_numpy()).any()


@pytest.mark.parametrize("method", ["bu", "ols"])
def test_reconciled_forecasts_add_up(hierarchy, method):
    forecast = ReconcilerForecaster(make(), method=method).fit(hierarchy, fh=FH).predict()
    total = forecast.loc[("__total", "__total")].to_numpy()
    leaves = forecast[forecast.index.get_level_values(1) != "__total"]
    np.testing.assert_allclose(leaves.groupby(level=-1).sum().to_numpy(), total)


def test_updates_can_be_refits(y):
    wrapped = UpdateRefitsEvery(make(), refit_interval=0).fit(y[:50], fh=FH)
    refitted = wrapped.update(y[50:]).predict()
    expected = make().fit(y, fh=FH).predict()
    pd.testing.assert_series_equal(refitted, expected, check_exact=True)


@averages
def test_a_saved_pipeline_forecasts_the_same_numbers(y, tmp_path):
    pipeline = LogTransformer() * EnsembleForecaster([("a", make()), ("b", make(random_state=1))])
    pipeline.fit(y, fh=FH)
    pipeline.save(tmp_path / "pipeline")
    restored = load(tmp_path / "pipeline.zip")
    pd.testing.assert_series_equal(restored.predict(), pipeline.predict(), check_exact=True)


@pytest.mark.slow
def test_processes_give_the_numbers_of_one_process(y):
    cv = ExpandingWindowSplitter(fh=FH, initial_window=40, step_length=6)
    arguments = {"cv": cv, "y": y, "strategy": "refit", "return_data": True}
    alone = evaluate(make(), **arguments)
    workers = {"n_jobs": 2}
    spread = evaluate(make(), backend="loky", backend_params=workers, **arguments)
    for one, other in zip(alone["y_pred"], spread["y_pred"], strict=True):
        pd.testing.assert_series_equal(one, other, check_exact=True)


@pytest.mark.slow
def test_the_grid_search_runs_in_processes(y):
    cv = SingleWindowSplitter(fh=FH, window_length=50)
    forecasts = []
    for backend, params in ((None, None), ("loky", {"n_jobs": 2})):
        search = ForecastingGridSearchCV(
            make(), cv, {"lr": [1e-3, 1e-2]}, backend=backend, backend_params=params
        )
        forecasts.append(search.fit(y, fh=FH).predict())
    pd.testing.assert_series_equal(*forecasts, check_exact=True)
