"""Refused before training: covariates that do not cover it, and values that would overflow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries

PAST, FUTURE = "past_covariates", "future_covariates"


@pytest.mark.parametrize("name", [PAST, FUTURE])
@pytest.mark.parametrize("prefix", ["", "val_"])
def test_covariates_must_cover_every_training_window(tiny_model, waves, name, prefix):
    """Darts looks at the latest window: those before it would get values of other steps."""
    series, whole = waves(40), waves(60)
    both = {"": {}, "val_": {"val_series": series, name: whole}}[prefix]
    beyond = 36 if name == PAST else 40  # the last window forecasts four steps
    times = whole.time_index + pd.Timedelta("30min")
    half_past = TimeSeries.from_times_and_values(times, whole.values(), columns=whole.components)
    for one in (whole[1:], whole[: beyond - 1], half_past, waves(60, index="range")):
        with pytest.raises(ValueError, match=rf"`{prefix}{name}` must have the steps from 2024"):
            tiny_model().fit(series, **both, **{f"{prefix}{name}": one})
    tiny_model().fit(series, **both, **{f"{prefix}{name}": whole[:beyond]})


def test_covariates_of_windows_that_do_not_train_may_be_missing(tiny_model, waves):
    """Eight windows, every second step: they need the last 12 + 14 steps."""
    given = {"max_samples_per_ts": 8, "stride": 2, "past_covariates": waves(60)[14:]}
    tiny_model(8, 4).fit(waves(40), **given)
    with pytest.raises(ValueError, match="`past_covariates` must have the steps"):
        tiny_model(8, 4).fit(waves(40), **{**given, "past_covariates": waves(60)[15:]})


def test_the_last_step_that_covariates_need_is_named(tiny_model, waves):
    """A chunk is forecast whole: a smaller horizon needs no less."""
    series, whole = waves(40), waves(60)
    model = tiny_model(8, 4).fit(series, future_covariates=whole)
    for steps, last, smaller in ((2, 43, False), (6, 45, True)):
        with pytest.raises(ValueError, match=f"to {whole.time_index[last]}, ") as raised:
            model.predict(steps, series, future_covariates=whole[:42])
        assert ("or a smaller `n`" in str(raised.value)) is smaller


def test_as_many_covariates_as_series(tiny_model, waves):
    with pytest.raises(ValueError, match=r"`past_covariates` must hold one .*, 2; got 1"):
        tiny_model().fit([waves(), waves()], past_covariates=[waves()])


@pytest.mark.parametrize(
    ("dtype", "precision", "allowed", "refused"),
    [
        (np.float32, None, 1e9, 1e10),
        (np.float64, None, 1e76, 1e80),
        (np.float64, "32-true", 1e9, 1e10),
        (np.float32, "64-true", 1e9, None),
    ],
)
@pytest.mark.parametrize("name", ["series", PAST, FUTURE])
def test_values_too_large_for_the_network_are_refused(
    tiny_model, waves, dtype, precision, allowed, refused, name
):
    """They would overflow in the loss or in the optimiser, and every forecast would be NaN."""
    trainer = {} if precision is None else {"precision": precision}

    def given(scale):
        every = {
            "series": waves(40, dtype=dtype),
            PAST: waves(60, dtype=dtype),
            FUTURE: waves(60, dtype=dtype),
        }
        return {**every, name: (every[name] * (scale / 10)).astype(dtype)}

    model = tiny_model(trainer=trainer).fit(**given(allowed / 2))
    assert np.isfinite(model.predict(7, **given(allowed / 2)).values()).all()
    if refused:
        with pytest.raises(
            ValueError, match=rf"`{name}` must .* magnitude up to [\d.]+e\+.*Scaler"
        ):
            tiny_model(trainer=trainer).fit(**given(refused))
        with pytest.raises(
            ValueError, match=rf"`{name}` must .* magnitude up to [\d.]+e\+.*Scaler"
        ):
            model.predict(4, **given(refused))


def test_covariates_that_the_training_had_not_are_named(tiny_model, waves):
    """Without the calendar features, of which the user knows nothing."""
    series, one = waves(), waves(60)
    plain, taught = tiny_model().fit(series), tiny_model().fit(series, future_covariates=one)
    with pytest.raises(ValueError, match=r"`future_covariates` must be left out, .* TimeSeries"):
        plain.predict(4, future_covariates=one)
    with pytest.raises(ValueError, match=r"`future_covariates` must be left out, .* TimeSeries"):
        plain.historical_forecasts(series, retrain=False, future_covariates=one)
    with pytest.raises(
        ValueError, match=r"`future_covariates` must have the components .*'wave_0_1'"
    ):
        taught.predict(4, future_covariates=one.stack(one))


def test_sample_paths_beside_calendar_features_are_refused(tiny_model, waves):
    """Darts cannot join them: calendar features are one path."""
    one = waves(60)
    paths = one.with_values(np.repeat(one.all_values(), 3, axis=2))
    rule = "`future_covariates` must be one path beside calendar features; got 3 samples"
    with pytest.raises(ValueError, match=rule):
        tiny_model().fit(waves(), future_covariates=paths)
    with pytest.raises(ValueError, match=rule):
        tiny_model().fit(waves(), future_covariates=one).predict(4, future_covariates=paths)
    tiny_model(time_features=False).fit(waves(), future_covariates=paths)


def test_sample_paths_are_taken_where_the_index_has_no_calendar(tiny_model, waves):
    """The wish for calendar features is the default; an integer index fulfils none."""
    series, one = waves(index="range"), waves(60, index="range")
    paths = one.with_values(np.repeat(one.all_values(), 3, axis=2))
    model = tiny_model().fit(series, future_covariates=paths)
    assert np.isfinite(model.predict(4, future_covariates=paths).values()).all()


@pytest.mark.parametrize(
    "encoders",
    [{"custom": {"future": len}}, {"custom": {"future": None}}, {"custom": [1]}, [1]],
    ids=str,
)
def test_encoders_that_are_no_lists_are_refused(tiny_model, encoders):
    with pytest.raises(ValueError, match="`add_encoders` must be None or a dictionary"):
        tiny_model(add_encoders=encoders)
