"""Bad input ends in a ValueError that names rule, value and remedy, before any work starts."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from darts.utils.data import SequentialTorchTrainingDataset

PAST, FUTURE = "past_covariates", "future_covariates"
BAD_VALUES = pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])


@pytest.fixture(scope="module")
def fitted(tiny_model, waves):
    """Fit once on two series, so that nothing is known at prediction but what is given."""
    several = {name: [waves(60, 2, seed=i) for i in range(2)] for name in (PAST, FUTURE)}
    return tiny_model().fit([waves(40, 2), waves(50, 2)], **several)


@pytest.fixture
def given(waves):
    return {name: waves(60, 2) for name in (PAST, FUTURE)}


def describes(name, component, value, stamp):
    """Match the message about one value."""
    parts = (f"`{name}` must", f"'{component}'", f"is {value} at {stamp}", "fill_missing_values")
    return ".*".join(map(re.escape, parts))


@BAD_VALUES
def test_a_bad_value_in_the_target_is_found_at_fit(tiny_model, waves, with_value, bad):
    """A network trained on one NaN forecasts NaN only, hours later."""
    series = with_value(waves(40, 2), [7, 9], bad, component=1)
    stamp = series.time_index[7]
    with pytest.raises(ValueError, match=describes("series", "wave_1", bad, stamp)):
        tiny_model().fit(series)
    with pytest.raises(ValueError, match=describes("series[1]", "wave_1", bad, stamp)):
        tiny_model().fit([waves(40, 2), series])
    with pytest.raises(ValueError, match=describes("val_series", "wave_1", bad, stamp)):
        tiny_model().fit(waves(40, 2), val_series=series)


@BAD_VALUES
@pytest.mark.parametrize("name", [PAST, FUTURE])
def test_a_bad_value_in_a_covariate_is_found_at_fit(tiny_model, waves, with_value, name, bad):
    covariate = with_value(waves(60, 2, "range"), 30, bad, component=0)
    with pytest.raises(ValueError, match=describes(name, "wave_0", bad, 35)):
        tiny_model().fit(waves(40, index="range"), **{name: covariate})
    good = {name: waves(60, 2, "range")}
    series = waves(40, index="range")
    with pytest.raises(ValueError, match=describes(f"val_{name}", "wave_0", bad, 35)):
        tiny_model().fit(series, val_series=series, **good, **{f"val_{name}": covariate})


@BAD_VALUES
def test_a_bad_value_is_found_at_predict(fitted, waves, given, with_value, bad):
    series = with_value(waves(40, 2), 39, bad, component=1)
    with pytest.raises(ValueError, match=describes("series", "wave_1", bad, series.end_time())):
        fitted.predict(4, series, **given)
    with pytest.raises(ValueError, match=re.escape("`series[1]`")):
        fitted.predict(4, [waves(40, 2), series], **{k: [v, v] for k, v in given.items()})
    for name, step in ((PAST, 39), (FUTURE, 43)):
        covariates = {**given, name: with_value(given[name], step, bad, component=0)}
        stamp = given[name].time_index[step]
        with pytest.raises(ValueError, match=describes(name, "wave_0", bad, stamp)):
            fitted.predict(4, waves(40, 2), **covariates)


@pytest.mark.parametrize("optimised", [True, False])
def test_a_bad_value_is_found_in_a_backtest(fitted, waves, given, with_value, optimised):
    options = {"retrain": False, "enable_optimization": optimised}
    series = with_value(waves(40, 2), 20, np.nan, component=1)
    stamp = series.time_index[20]
    with pytest.raises(ValueError, match=describes("series", "wave_1", np.nan, stamp)):
        fitted.historical_forecasts(series, **options, **given)
    for name in (PAST, FUTURE):
        covariates = {**given, name: with_value(given[name], 20, np.nan, component=1)}
        with pytest.raises(ValueError, match=describes(name, "wave_1", np.nan, stamp)):
            fitted.historical_forecasts(waves(40, 2), **options, **covariates)


@pytest.mark.parametrize("optimised", [True, False])
def test_values_outside_the_used_window_may_be_anything(
    fitted, waves, given, with_value, optimised
):
    """A covariate with gaps long ago, or a target with a ragged start, must not stop a forecast."""
    series = with_value(waves(40, 2), slice(0, 28), np.nan)
    covariates = {name: with_value(one, slice(0, 28), np.inf) for name, one in given.items()}
    for name, first_unused in ((PAST, 40), (FUTURE, 44)):
        covariates[name] = with_value(covariates[name], slice(first_unused, None), np.nan)
    assert np.isfinite(fitted.predict(4, series, **covariates).values()).all()
    recent = {"start": 36, "start_format": "position", "forecast_horizon": 4}
    forecast = fitted.historical_forecasts(
        series, retrain=False, enable_optimization=optimised, **recent, **covariates
    )
    assert np.isfinite(forecast.values()).all()


def test_training_tolerates_covariates_beyond_the_target(tiny_model, waves, with_value):
    ragged = with_value(waves(60), slice(40, None), np.nan)
    model = tiny_model().fit(waves(40), past_covariates=ragged, future_covariates=ragged)
    assert all(parameter.isfinite().all() for parameter in model.model.parameters())


def test_bad_static_covariates_are_found(tiny_model, waves):
    """They reach every token, so one NaN is a forecast of NaN."""
    bad = waves(static=pd.DataFrame({"size": [1.0], "age": [np.nan]}))
    for series in (bad, [waves(static=pd.DataFrame({"size": [1.0], "age": [2.0]})), bad]):
        with pytest.raises(ValueError, match=r"static covariates.*finite.*'age'"):
            tiny_model().fit(series)
    model = tiny_model().fit(waves(static=pd.DataFrame({"size": [1.0], "age": [2.0]})))
    with pytest.raises(ValueError, match=r"static covariates.*finite.*'age'"):
        model.predict(4, bad)
    assert tiny_model(use_static_covariates=False).fit(bad).predict(4) is not None


def test_too_short_a_series_is_named_with_both_lengths(tiny_model, waves, fitted, given):
    long, short = waves(40), waves(13)
    with pytest.raises(ValueError, match=r"`series` must have at least 14 .*; got 13.*longer"):
        tiny_model(8, 4, output_chunk_shift=2).fit(short)
    with pytest.raises(ValueError, match=r"`series\[1\]` must have at least 14 .*; got 13"):
        tiny_model(8, 6).fit([long, short])
    with pytest.raises(ValueError, match=r"`val_series` must have at least 14 .*; got 13"):
        tiny_model(8, 6).fit(long, val_series=short)
    with pytest.raises(ValueError, match=r"too short .* length: `8`, received length `7`"):
        fitted.predict(4, waves(40, 2)[-7:], **given)
    with pytest.raises(ValueError, match="series"):
        fitted.historical_forecasts(waves(40, 2)[:7], retrain=False, **given)


@pytest.mark.parametrize("name", [PAST, FUTURE])
def test_missing_covariates_are_named(fitted, waves, given, name):
    """Calendar features are future covariates too: they must not be taken for the missing ones."""
    rest = {other: series for other, series in given.items() if other != name}
    with pytest.raises(ValueError, match=f"`{name}` must be given.*trained with"):
        fitted.predict(4, waves(40, 2), **rest)


def test_covariates_that_end_too_early_or_were_never_trained_are_refused(
    fitted, tiny_model, waves, given
):
    with pytest.raises(ValueError, match=FUTURE):
        fitted.predict(4, waves(40, 2), **{**given, FUTURE: given[FUTURE][:42]})
    with pytest.raises(ValueError, match=PAST):
        fitted.predict(6, waves(40, 2), **{**given, PAST: given[PAST][:40]})
    with pytest.raises(ValueError, match=PAST):
        tiny_model().fit(waves()).predict(4, past_covariates=given[PAST])
    with pytest.raises(ValueError, match="components"):
        fitted.predict(4, waves(40, 3), **given)


@pytest.mark.parametrize("convert", ["to_series", "to_dataframe", "values"])
def test_pandas_and_numpy_are_refused_with_the_conversion(tiny_model, waves, fitted, convert):
    """The commonest slip of a newcomer; every entrance names the way out."""
    raw = getattr(waves(40), convert)()
    rule = r"must be a Darts TimeSeries.*got (Series|DataFrame|ndarray).*TimeSeries\.from_"
    for data in (raw, [raw]):
        with pytest.raises(ValueError, match=f"`series` {rule}"):
            tiny_model().fit(data)
        with pytest.raises(ValueError, match=f"`series` {rule}"):
            fitted.predict(4, data)
        with pytest.raises(ValueError, match=f"`series` {rule}"):
            fitted.historical_forecasts(data, retrain=False)
        with pytest.raises(ValueError, match=f"`past_covariates` {rule}"):
            tiny_model().fit(waves(40), past_covariates=data)
        with pytest.raises(ValueError, match=f"`future_covariates` {rule}"):
            fitted.predict(4, waves(40, 2), future_covariates=data)


@pytest.mark.parametrize("nothing", [None, []])
def test_no_series_at_all(tiny_model, nothing):
    with pytest.raises(ValueError, match="`series` must hold at least one"):
        tiny_model().fit(nothing)


@pytest.mark.parametrize("n", [0, -1, 2.5, "4", True, None])
def test_a_horizon_that_is_no_positive_integer(fitted, waves, given, n):
    with pytest.raises(ValueError, match=f"`n` must be an integer of at least 1; got {n!r}"):
        fitted.predict(n, waves(40, 2), **given)
    assert len(fitted.predict(np.int64(2), waves(40, 2), **given)) == 2


def test_static_covariates_of_some_series_only_are_refused(tiny_model, waves):
    """Darts would fail when it joins them to a batch."""
    table = pd.DataFrame({"a": [1.0], "b": [2.0]})
    series = [waves().with_static_covariates(table), waves(seed=1)]
    with pytest.raises(ValueError, match=r"`series\[1\]` must have as many rows .*got 0"):
        tiny_model().fit(series)
    series[1] = waves().with_static_covariates(table.rename(columns={"b": "c"}))
    with pytest.raises(ValueError, match=r"\('a', 'b'\); got \('a', 'c'\)"):
        tiny_model().fit(series)
    tiny_model(use_static_covariates=False).fit(series)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("name", ["sample_weight", "val_sample_weight"])
def test_a_bad_sample_weight_is_found_at_fit(tiny_model, waves, with_value, name, bad):
    """The loss would be no number, and what training began with came back without a word."""
    weight = with_value(waves().with_values(np.ones((40, 1))), 7, bad, component=0)
    message = re.escape(f"`{name}` must hold finite weights of at least 0") + f".*is {bad} at"
    with pytest.raises(ValueError, match=message):
        tiny_model().fit(waves(), val_series=waves(seed=1), **{name: weight})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["series", "past_covariates", "future_covariates"])
def test_a_data_set_with_a_gap_is_refused(tiny_model, waves, with_value, name, bad):
    """The start found nothing, no loss was lower than none, and an untrained network came back."""
    given = {each: waves() for each in ("series", "past_covariates", "future_covariates")}
    given[name] = with_value(given[name], 3, bad, component=0)
    windows = SequentialTorchTrainingDataset(**given, input_chunk_length=8, output_chunk_length=4)
    with pytest.raises(ValueError, match=f"must hold finite values; `{name}` has {bad}"):
        tiny_model(trainer={"limit_train_batches": None}).fit_from_dataset(windows)


def test_bad_weights_and_a_gap_in_what_validates_are_refused_of_data_sets(
    tiny_model, waves, with_value
):
    lengths = {"input_chunk_length": 8, "output_chunk_length": 4}
    weight = waves().with_values(np.full((40, 1), -1.0))
    weighted = SequentialTorchTrainingDataset(waves(), sample_weight=weight, **lengths)
    with pytest.raises(ValueError, match=r"`sample_weight` must hold.*has -1\.0"):
        tiny_model().fit_from_dataset(weighted)
    good = SequentialTorchTrainingDataset(waves(), **lengths)
    holed = SequentialTorchTrainingDataset(with_value(waves(), 30, np.nan), **lengths)
    with pytest.raises(ValueError, match="windows that validate must have a finite loss"):
        tiny_model().fit_from_dataset(good, val_dataset=holed)


def test_sample_weights_of_zeros_only_are_refused(tiny_model, waves):
    """One series may be left out by zeros, but not all."""
    zeros, ones = (waves().with_values(np.full((40, 1), w)) for w in (0.0, 1.0))
    with pytest.raises(ValueError, match="`sample_weight` must hold a weight above 0"):
        tiny_model().fit(waves(), sample_weight=zeros)
    tiny_model().fit([waves(), waves(seed=1)], sample_weight=[zeros, ones])


def test_no_series_to_forecast_is_refused(fitted):
    with pytest.raises(ValueError, match=r"`series` must hold at least one.*got \[\]"):
        fitted.predict(4, [])


def test_series_of_different_calendars_are_refused(tiny_model, waves):
    """The features of the first would be computed for all, hours of daily series among them."""
    daily = TimeSeries.from_times_and_values(
        pd.date_range("2024-01-01", periods=40, freq="D"), waves().values()
    )
    for other in (daily, waves(index="range")):
        with pytest.raises(ValueError, match=r"series\[1\].*time_features=False"):
            tiny_model().fit([waves(), other])
        tiny_model(time_features=False).fit([waves(), other])
    model = tiny_model().fit(waves())
    with pytest.raises(
        ValueError, match=r"calendar features that the weights were.*Train a new model"
    ):
        model.fit(daily)
