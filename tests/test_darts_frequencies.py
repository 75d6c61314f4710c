"""Every frequency of pandas forecasts with the default, and stays that of the weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from darts.utils.data import SequentialTorchTrainingDataset
from pandas.tseries import offsets

RETAIL = {"weekday": 5, "startingMonth": 1, "variation": "last"}
FREQUENCIES = {
    "hours": "h",
    "days": "D",
    "business days": "B",
    "business hours": "bh",
    "business hours by two": "2bh",
    "long business hours": offsets.BusinessHour(start="08:00", end="20:00"),
    "weeks": "W-WED",
    "months": "ME",
    "quarters": "QS",
    "half months": "SME",
    "weeks of a month": "WOM-2TUE",
    "holidays": offsets.CustomBusinessDay(holidays=["2024-02-08", "2024-02-09"]),
    "retail quarters": offsets.FY5253Quarter(qtr_with_extra_week=4, **RETAIL),
    "retail years": offsets.FY5253(**RETAIL),
    "years": "YS",
}


@pytest.fixture
def by(waves):
    """Make a series of waves by a frequency."""

    def make(frequency, length=40, **kwargs):
        index = pd.date_range("2024-01-31", periods=length, freq=frequency)
        return TimeSeries.from_times_and_values(index, waves(length, **kwargs).values())

    return make


@pytest.mark.parametrize("frequency", FREQUENCIES.values(), ids=FREQUENCIES)
def test_every_frequency_forecasts(tiny_model, by, frequency):
    series = by(frequency, 45)
    known = series[:40]
    model = tiny_model().fit(known)
    forecast = model.predict(5)
    assert forecast.time_index.equals(series.time_index[40:])
    assert np.isfinite(forecast.values()).all()


@pytest.mark.parametrize("frequency", ["h", "bh", FREQUENCIES["retail quarters"]], ids=str)
def test_covariates_of_every_frequency_are_found(tiny_model, by, frequency):
    """Steps are counted in the index: an offset may not be a length of time."""
    series, long = by(frequency), by(frequency, 60)
    given = {"past_covariates": long, "future_covariates": long}
    model = tiny_model().fit(series, **given)
    assert len(model.predict(6, **given)) == 6
    with pytest.raises(ValueError, match="`future_covariates` must have the steps"):
        model.predict(6, **{**given, "future_covariates": long[:45]})
    with pytest.raises(ValueError, match="`past_covariates` must have the steps"):
        tiny_model().fit(series, past_covariates=long[3:])


@pytest.mark.parametrize("end", range(36, 45))
def test_business_hours_forecast_as_their_backtest(tiny_model, by, end):
    """9:00 and 17:00 of the day before are one step, and one value of the hour of the day."""
    series = by("bh", 50)
    model = tiny_model().fit(series)
    forecast = model.predict(4, series[:end])
    backtest = model.historical_forecasts(
        series, start=end, start_format="position", forecast_horizon=4, stride=50, retrain=False,
        last_points_only=False,
    )[0]  # fmt: skip
    assert np.allclose(forecast.values(), backtest.values(), rtol=1e-9)


def test_another_frequency_than_in_training_is_refused(tiny_model, by):
    """Calendar features of hours would be fed days."""
    hours, days = by("h"), by("D")
    model = tiny_model().fit(hours)
    rule = "`series` must have the calendar features .*got steps of D"
    with pytest.raises(ValueError, match=rule):
        model.predict(4, days)
    with pytest.raises(ValueError, match=r"`series\[1\]` must have the calendar features"):
        model.predict(4, [hours, days])
    with pytest.raises(ValueError, match=rule):
        model.historical_forecasts(days, retrain=False)
    with pytest.raises(ValueError, match=rule):
        model.fit(days)
    assert len(model.predict(4, hours)) == 4
    assert len(tiny_model(time_features=False).fit(hours).predict(4, days)) == 4


def test_data_sets_of_other_lengths_are_refused(tiny_model, by):
    def data(inputs, outputs):
        lengths = {"input_chunk_length": inputs, "output_chunk_length": outputs}
        return SequentialTorchTrainingDataset(by("h"), **lengths)

    with pytest.raises(ValueError, match=r"`train_dataset` .*`input_chunk_length`.*, 8; got 12"):
        tiny_model().fit_from_dataset(data(12, 4))
    with pytest.raises(ValueError, match=r"`train_dataset` .*`output_chunk_length`.*, 4; got 6"):
        tiny_model().fit_from_dataset(data(8, 6))
    with pytest.raises(ValueError, match=r"`val_dataset` .*`output_chunk_length`.*, 4; got 6"):
        tiny_model().fit_from_dataset(data(8, 4), data(8, 6))
    tiny_model().fit_from_dataset(data(8, 4), data(8, 4))
