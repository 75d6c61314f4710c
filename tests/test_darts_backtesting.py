"""Backtests: the optimised way equals the plain one, and nothing looks into the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from darts import concatenate
from darts.utils.likelihood_models.torch import QuantileRegression

PAST, FUTURE = "past_covariates", "future_covariates"
L, H, LENGTH = 6, 4, 36
LAZY = {"sampling_factor": 1, "sparsity": "sampled"}
DYNAMIC = [(), (PAST,), (FUTURE,), (PAST, FUTURE)]
# Strides, and whether the last points are kept, that wait for all tests.
WAITING = [(1, False), (3, True)]


@pytest.fixture(scope="module")
def covariates(waves):
    """Covariates that reach far enough for a forecast beyond the target's end."""
    return {PAST: waves(LENGTH + 12, 1, seed=1), FUTURE: waves(LENGTH + 12, 2, seed=2)}


@pytest.fixture(scope="module")
def fitted(tiny_model, waves, covariates):
    """Fit one model for each combination of covariates and attention, once for this module."""
    models = {}

    def get(names=(), attention="prob", **options):
        key = repr((names, attention, options))
        if key not in models:
            model = tiny_model(L, H, attention=attention, **LAZY, **options)
            given = {name: covariates[name] for name in names}
            models[key] = model.fit(waves(LENGTH, 2), **given)
        return models[key], {name: covariates[name] for name in names}

    return get


def flatten(forecasts):
    """Make one list of any nesting of forecasts."""
    if not isinstance(forecasts, list):
        return [forecasts]
    return [one for nested in forecasts for one in flatten(nested)]


def assert_equal_forecasts(one, other):
    one, other = flatten(one), flatten(other)
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert left.time_index.equals(right.time_index)
        assert np.allclose(left.all_values(), right.all_values(), rtol=1e-9, atol=0)


def both_ways(model, series, **options):
    """Backtest by one strided data set, and by one call of ``predict`` for each origin."""
    return [
        model.historical_forecasts(series, retrain=False, enable_optimization=optimised, **options)
        for optimised in (True, False)
    ]


@pytest.mark.parametrize(
    ("names", "attention"), [*((names, "prob") for names in DYNAMIC), ((PAST, FUTURE), "full")]
)
@pytest.mark.parametrize("horizon", [1, 3, H, H + 3])
@pytest.mark.parametrize(
    ("stride", "last_points_only"),
    [(1, True), (3, False), *(pytest.param(*c, marks=pytest.mark.slow) for c in WAITING)],
)
def test_optimised_equals_plain(fitted, waves, names, attention, horizon, stride, last_points_only):
    """Otherwise a backtest would measure another model than the one that forecasts."""
    model, given = fitted(names, attention)
    assert_equal_forecasts(
        *both_ways(
            model,
            waves(LENGTH, 2),
            forecast_horizon=horizon,
            stride=stride,
            last_points_only=last_points_only,
            start=18,
            start_format="position",
            **given,
        )
    )


@pytest.mark.parametrize("overlap_end", [True, False])
@pytest.mark.parametrize("start", [None, 0.7, 20, pd.Timestamp("2024-02-28 05:00")])
@pytest.mark.parametrize("horizon", [2, H + 3])
def test_optimised_equals_plain_for_every_kind_of_start(fitted, waves, start, overlap_end, horizon):
    model, given = fitted((PAST, FUTURE))
    start_format = "position" if isinstance(start, int) else "value"
    options = {"start": start, "start_format": start_format}
    one, other = both_ways(
        model,
        waves(LENGTH, 2),
        forecast_horizon=horizon,
        overlap_end=overlap_end,
        last_points_only=False,
        **options,
        **given,
    )
    assert_equal_forecasts(one, other)
    end = waves(LENGTH, 2).end_time()
    assert (max(forecast.end_time() for forecast in one) > end) == overlap_end


def test_optimised_equals_plain_for_several_series_on_integer_indexes(tiny_model, waves):
    several = [waves(LENGTH + i, 2, "range", seed=i) for i in range(3)]
    model = tiny_model(L, H).fit(several)
    assert_equal_forecasts(*both_ways(model, several, forecast_horizon=3, last_points_only=False))


@pytest.mark.parametrize("shift", [1, 3])
@pytest.mark.parametrize("names", DYNAMIC)
def test_optimised_equals_plain_for_a_shifted_chunk(fitted, waves, shift, names):
    model, given = fitted(names, output_chunk_shift=shift)
    options = {"forecast_horizon": 3, "stride": 4, "last_points_only": False}
    assert_equal_forecasts(*both_ways(model, waves(LENGTH, 2), **options, **given))


def test_optimised_equals_plain_for_likelihood_parameters(fitted, waves):
    model, _ = fitted(likelihood=QuantileRegression([0.1, 0.5, 0.9]))
    options = {"forecast_horizon": 2, "predict_likelihood_parameters": True}
    one, other = both_ways(model, waves(LENGTH, 2), last_points_only=False, **options)
    assert one[0].n_components == 6
    assert_equal_forecasts(one, other)


def test_the_size_of_the_batches_does_not_change_a_backtest(fitted, waves):
    """A large batch is the fast way to backtest; it must be the same backtest."""
    model, _ = fitted()
    series = waves(LENGTH, 2)
    usual = model.historical_forecasts(series, retrain=False)
    large = {"batch_size": 1024}
    assert_equal_forecasts(
        usual, model.historical_forecasts(series, retrain=False, predict_kwargs=large)
    )


@pytest.mark.parametrize("names", DYNAMIC)
@pytest.mark.parametrize("optimised", [True, False])
def test_nothing_after_the_origin_reaches_a_forecast(
    fitted, waves, covariates, with_value, names, optimised
):
    """Only covariates declared as known ahead may be read there: anything else is a leak."""
    # The network reads these, and has a share where nothing validates.
    model, given = fitted(names, early_stopping_patience=None)
    series = waves(LENGTH, 2)
    options = {"forecast_horizon": H, "start": 20, "start_format": "position", "retrain": False}

    def first_forecast(series, given):
        forecasts = model.historical_forecasts(
            series, last_points_only=False, enable_optimization=optimised, **options, **given
        )
        return forecasts[0]

    plain = first_forecast(series, given)
    assert plain.start_time() == series.time_index[20]
    changed = dict(given)
    if PAST in names:
        changed[PAST] = with_value(covariates[PAST], slice(20, None), 1e5)
    if FUTURE in names:
        changed[FUTURE] = with_value(covariates[FUTURE], slice(20 + H, None), 1e5)
    assert first_forecast(with_value(series, slice(20, None), -1e5), changed) == plain
    if FUTURE in names:
        within = with_value(covariates[FUTURE], 20 + H - 1, 1e5)
        assert first_forecast(series, {**given, FUTURE: within}) != plain


@pytest.mark.parametrize("names", [(), (PAST, FUTURE)])
def test_retraining_at_each_origin_equals_fitting_there(tiny_model, waves, covariates, names):
    """With ``retrain=True`` each forecast is that of a new model that saw the past only."""
    series = waves(LENGTH)
    given = {name: covariates[name] for name in names}
    options = {"start": 20, "start_format": "position", "stride": 7, "forecast_horizon": 3}
    model = tiny_model(L, H)
    forecasts = model.historical_forecasts(
        series, retrain=True, last_points_only=False, **options, **given
    )
    assert [forecast.start_time() for forecast in forecasts] == list(series.time_index[20:34:7])
    for forecast in forecasts:
        past = series.drop_after(forecast.start_time())
        fresh = tiny_model(L, H).fit(past, **given)
        assert fresh.predict(3, **given) == forecast


def test_backtest_and_residuals_take_the_forecasts(fitted, waves):
    model, _ = fitted()
    series = waves(LENGTH, 2)
    forecasts = model.historical_forecasts(
        series, forecast_horizon=3, last_points_only=False, retrain=False
    )
    error = model.backtest(series, historical_forecasts=forecasts, last_points_only=False)
    assert error == pytest.approx(
        model.backtest(series, forecast_horizon=3, retrain=False), rel=1e-9
    )
    residuals = model.residuals(series, forecast_horizon=1, retrain=False)
    one_step = model.historical_forecasts(series, forecast_horizon=1, retrain=False)
    expected = series.slice_intersect(one_step) - one_step
    assert np.allclose(residuals.values(), expected.values())


def test_covariates_may_be_given_by_position(fitted, waves):
    """As in Darts; a model of several series keeps none that could stand in."""
    model, given = fitted((PAST, FUTURE))
    options = {"start": 20, "start_format": "position", "retrain": False}
    series = [waves(LENGTH, 2), waves(LENGTH, 2, seed=1)]
    model = model.untrained_model()
    model.fit(series, **{name: [one, one] for name, one in given.items()})
    by_name = model.historical_forecasts(series[0], **given, **options)
    by_position = model.historical_forecasts(series[0], *given.values(), **options)
    assert by_name == by_position


def test_several_paths_beside_calendar_features_are_named(fitted, waves):
    model, given = fitted((FUTURE,))
    paths = concatenate([given[FUTURE]] * 2, axis="sample")
    with pytest.raises(ValueError, match=r"`future_covariates` must be one path .* got 2 samples"):
        model.historical_forecasts(waves(LENGTH, 2), future_covariates=paths, retrain=False)
