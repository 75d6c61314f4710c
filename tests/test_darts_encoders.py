"""Calendar features inside the Darts model, alone and beside the user's own encoders."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler

from informer_forecaster import InformerModel
from informer_forecaster.adapters.darts import calendar_names
from informer_forecaster.time_features import TimeFeatures, informative_features

HOURLY = len(informative_features("h"))


def position(index):
    """Encode by a function of the user's own."""
    return np.arange(len(index)) / 10


def own_encoders():
    return {
        "cyclic": {"future": ["hour"]},
        "position": {"past": ["relative"]},
        "custom": {"future": [position]},
        "transformer": Scaler(),
    }


def widths(model):
    """Covariates that the network was built for: past, future."""
    config = model.model.network.config
    return config.num_past_covariates, config.num_future_covariates


@pytest.mark.parametrize(
    ("index", "on", "features"),
    [("datetime", "all", HOURLY), ("datetime", False, 0), ("range", True, 0), ("range", False, 0)],
)
def test_time_stamps_bring_features_unless_switched_off(tiny_model, waves, index, on, features):
    """They need no input from the user, at fit or later."""
    model = tiny_model(time_features=on).fit(waves(index=index))
    assert widths(model) == (0, features)
    assert np.isfinite(model.predict(9).values()).all()


@pytest.mark.parametrize("own", [None, own_encoders()], ids=["alone", "with encoders"])
@pytest.mark.parametrize("covariates", [False, True])
def test_features_encoders_and_covariates_add_up(tiny_model, waves, own, covariates):
    """All three sources at once: none may replace another."""
    given = {}
    if covariates:
        given = {"past_covariates": waves(60, 2), "future_covariates": waves(60, 3)}
    model = tiny_model(add_encoders=own).fit(waves(), **given)
    past, future = (2, 3) if covariates else (0, 0)
    if own:
        past, future = past + 1, future + 3
    assert widths(model) == (past, future + HOURLY)
    forecast = model.predict(9, **given)
    assert forecast == model.predict(9, **given)
    assert len(forecast) == 9


def test_the_users_encoders_are_left_as_they_were(tiny_model, waves):
    """The same dictionary often configures several models."""
    mine = own_encoders()
    before = {name: repr(value) for name, value in mine.items()}
    model = tiny_model(add_encoders=mine).fit(waves())
    assert {name: repr(value) for name, value in mine.items()} == before
    assert repr(model.untrained_model().add_encoders) == repr(
        tiny_model(add_encoders=mine).add_encoders
    )


def test_another_frequency_at_a_second_fit_is_another_choice(tiny_model, waves):
    """Features are chosen by the series of the last fit, and are not added up over fits."""
    days = waves()
    days = TimeSeries.from_times_and_values(
        pd.date_range("2024-01-01", periods=len(days), freq="D"), days.values()
    )
    model = tiny_model().fit(waves())
    assert widths(model) == (0, HOURLY)
    fresh = model.untrained_model().fit(days)
    assert widths(fresh) == (0, len(informative_features("D")))
    again = model.fit(waves(seed=1))
    assert widths(again) == (0, HOURLY)


@pytest.mark.parametrize(
    ("time_features", "names"),
    [(True, ("hour_of_day", "day_of_week")), ("all", informative_features("h")), (False, ())],
)
def test_the_longest_series_decides_which_cycles_are_seen_twice(
    tiny_model, waves, time_features, names
):
    model = tiny_model(time_features=time_features).fit([waves(14 * 24), waves(40)])
    assert calendar_names(model) == names


def test_a_second_fit_keeps_the_features(tiny_model, waves, tmp_path):
    """On a longer series and on a shorter one: the network was built for those of the first."""
    model = tiny_model(time_features=True).fit(waves(60))
    model.fit(waves(14 * 24)).fit(waves(40))
    assert calendar_names(model) == ("hour_of_day",)
    model.save(str(tmp_path / "model.pt"))
    other = tiny_model(time_features=True)
    other.load_weights(str(tmp_path / "model.pt"))
    assert calendar_names(other.fit(waves(14 * 24))) == ("hour_of_day",)


def test_the_calendar_reaches_the_forecast(tiny_model, waves):
    """The same values at another hour give another forecast, and none without features."""
    series = waves()
    later = series.shift(5)
    for on in ("all", False):
        model = tiny_model(time_features=on, early_stopping_patience=None).fit(series)
        same = np.array_equal(model.predict(4, series).values(), model.predict(4, later).values())
        assert same is (not on)


def test_backtests_use_the_features_of_their_own_time(tiny_model, waves):
    series = waves(60)
    model = tiny_model().fit(series)
    forecasts = model.historical_forecasts(
        series, forecast_horizon=4, start=30, start_format="position", retrain=False,
        last_points_only=False,
    )  # fmt: skip
    for forecast in forecasts[::5]:
        alone = model.predict(4, series.drop_after(forecast.start_time()))
        assert np.allclose(alone.values(), forecast.values(), rtol=1e-9)


def test_features_survive_a_file_with_encoders(tiny_model, waves, tmp_path):
    own = {"cyclic": {"future": ["hour"]}, "datetime_attribute": {"past": ["month"]}}
    model = tiny_model(add_encoders=own).fit(waves())
    forecast = model.predict(9)
    model.save(str(tmp_path / "model.pt"))
    assert InformerModel.load(str(tmp_path / "model.pt")).predict(9) == forecast
    other = tiny_model(add_encoders=own, dropout=0.3)
    other.load_weights(str(tmp_path / "model.pt"))
    assert other.predict(9, waves()) == forecast


@pytest.mark.parametrize("more", [{}, {"transformer": Scaler()}], ids=["bare", "scaled"])
def test_encoders_of_loaded_weights_are_taken_over_and_kept(tiny_model, waves, tmp_path, more):
    """As Darts' own models do: the calendar features are no encoders that the user chose."""
    own = {"datetime_attribute": {"past": ["day"], "future": ["hour"]}, **more}
    model = tiny_model(add_encoders=own).fit(waves())
    forecast = model.predict(4)
    model.save(str(tmp_path / "model.pt"))
    new = tiny_model(12, 4)
    new.load_weights(str(tmp_path / "model.pt"))
    assert new.add_encoders.keys() == own.keys()
    assert len(new.predict(4, waves())) == 4
    same = tiny_model()
    same.load_weights(str(tmp_path / "model.pt"))
    assert same.predict(4, waves()) == forecast
    assert widths(same.fit(waves(seed=1))) == (1, 1 + HOURLY)
    assert np.isfinite(same.predict(4).values()).all()


def test_weights_of_other_encoders_are_refused(tiny_model, waves, tmp_path):
    model = tiny_model(add_encoders={"cyclic": {"future": ["hour"]}}).fit(waves())
    model.save(str(tmp_path / "model.pt"))
    with pytest.raises(ValueError, match=r"[Ee]ncoders"):
        tiny_model(add_encoders={"cyclic": {"future": ["month"]}}).load_weights(
            str(tmp_path / "model.pt")
        )
    with pytest.raises(ValueError, match="created without encoders and encoders were not loaded"):
        tiny_model().load_weights(str(tmp_path / "model.pt"), load_encoders=False)


def test_the_calendar_is_no_encoder_of_the_users(tiny_model, waves, tmp_path):
    """Weights without encoders move to a model without them, whether they are loaded or not."""
    model = tiny_model().fit(waves())
    assert model.add_encoders is None
    forecast = model.predict(4)
    model.save(str(tmp_path / "model.pt"))
    for load in (True, False):
        other = tiny_model()
        other.load_weights(str(tmp_path / "model.pt"), load_encoders=load)
        assert other.predict(4, waves()) == forecast


def test_an_integer_index_after_time_stamps_is_refused(tiny_model, waves):
    """The network was built for features that a step number cannot give."""
    model = tiny_model().fit(waves())
    with pytest.raises(ValueError, match="time_features=False"):
        model.predict(4, waves(index="range"))


def test_darts_encodes_by_our_callable(tiny_model, waves):
    """What the network sees is what `TimeFeatures` computes, for past and coming steps."""
    model = tiny_model().fit(waves())
    features = TimeFeatures(informative_features("h"))
    _, encoded = model.generate_predict_encodings(4, waves())
    encoded = encoded[0] if isinstance(encoded, list) else encoded
    assert len(encoded) >= 8 + 4
    assert np.allclose(encoded.values(), features(encoded.time_index))
