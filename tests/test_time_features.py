"""The calendar features of a time index: which, and their values."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from informer_forecaster.time_features import TimeFeatures, informative_features

DAILY = ("day_of_week", "day_of_month", "day_of_year")
FREQUENCIES = {
    "s": ("second_of_minute", "minute_of_hour", "hour_of_day", *DAILY),
    "30s": ("second_of_minute", "minute_of_hour", "hour_of_day", *DAILY),
    "min": ("minute_of_hour", "hour_of_day", *DAILY),
    "15min": ("minute_of_hour", "hour_of_day", *DAILY),
    "h": ("hour_of_day", *DAILY),
    "6h": ("hour_of_day", *DAILY),
    "D": DAILY,
    "B": DAILY,
    "2D": DAILY,
    "W": ("day_of_month", "week_of_year"),
    "W-WED": ("day_of_month", "week_of_year"),
    "2W": ("day_of_month", "week_of_year"),
    "MS": ("month_of_year",),
    "ME": ("month_of_year",),
    "BMS": ("month_of_year",),
    "QS": ("month_of_year",),
    "QE": ("month_of_year",),
    "YS": (),
    "YE": (),
    "2YS": (),
}
ALL = ("second_of_minute", "minute_of_hour", "hour_of_day", *DAILY, "week_of_year", "month_of_year")


@pytest.mark.parametrize(("frequency", "names"), FREQUENCIES.items())
def test_the_frequency_chooses_the_features(frequency, names):
    """A feature that never changes, or only with another one, would be noise to learn."""
    assert informative_features(frequency) == names
    assert informative_features(pd.tseries.frequencies.to_offset(frequency)) == names


@pytest.mark.parametrize("frequency", [f for f, names in FREQUENCIES.items() if names])
def test_every_chosen_feature_varies(frequency):
    names = informative_features(frequency)
    periods = 200_000 if "minute_of_hour" in names else 400
    index = pd.date_range("2020-01-01", periods=periods, freq=frequency)
    assert (np.ptp(TimeFeatures(names)(index), axis=0) > 0).all()


@pytest.mark.parametrize(
    ("frequency", "days", "names"),
    [
        ("h", 1.9, ()),
        ("h", 2, ("hour_of_day",)),
        ("h", 14, ("hour_of_day", "day_of_week")),
        ("h", 729, ("hour_of_day", "day_of_week", "day_of_month")),
        ("h", 730, ("hour_of_day", *DAILY)),
        ("min", 1.9, ("minute_of_hour",)),
        ("W", 729, ("day_of_month",)),
        ("MS", 700, ()),
        ("MS", 730, ("month_of_year",)),
    ],
)
def test_a_cycle_has_to_come_again_to_be_learnt(frequency, days, names):
    """The day of the year in a year of data is the date: what it taught would never be asked."""
    assert informative_features(frequency, pd.Timedelta(days=days)) == names


def test_values_stay_within_half_and_reach_both_ends():
    """Leap years, week 53 and the last second of a year included: the scale is that of a year."""
    days = pd.date_range("2020-01-01", "2024-12-31", freq="D")
    ends = pd.DatetimeIndex(["2020-12-31 23:59:59", "2023-01-01 00:00:00"])
    features = TimeFeatures(ALL)(days.append(ends))
    assert np.allclose(features.min(axis=0), -0.5)
    assert np.allclose(features.max(axis=0), 0.5)


@pytest.mark.parametrize(
    ("name", "stamp", "value"),
    [
        ("second_of_minute", "2024-05-06 07:08:09", 9 / 59),
        ("minute_of_hour", "2024-05-06 07:08:09", 8 / 59),
        ("hour_of_day", "2024-05-06 07:08:09", 7 / 23),
        ("day_of_week", "2024-05-12", 6 / 6),
        ("day_of_month", "2024-05-12", 11 / 30),
        ("day_of_year", "2024-12-31", 365 / 365),
        ("week_of_year", "2020-12-31", 52 / 52),
        ("month_of_year", "2024-05-12", 4 / 11),
    ],
)
def test_each_feature_by_hand(name, stamp, value):
    assert TimeFeatures((name,))(pd.DatetimeIndex([stamp])) == pytest.approx(value - 0.5)


def test_columns_follow_the_names():
    index = pd.date_range("2024-01-01", periods=30, freq="h")
    one, other = TimeFeatures(ALL)(index), TimeFeatures(ALL[::-1])(index)
    assert one.shape == (30, len(ALL))
    assert np.array_equal(one, other[:, ::-1])


def test_a_value_depends_on_its_time_stamp_only():
    """Fit, forecast and backtest cut the index differently and must see the same calendar."""
    index = pd.date_range("2024-02-20", periods=500, freq="h")
    features = TimeFeatures(informative_features("h"))
    assert np.array_equal(features(index)[100:140], features(index[100:140]))


def test_equal_names_are_equal_encoders():
    """Darts compares encoders when weights move: two objects of one meaning must be equal."""
    one, other = TimeFeatures(("hour_of_day",)), TimeFeatures(("month_of_year",))
    assert one == TimeFeatures(("hour_of_day",))
    assert one != other
    assert len({one, TimeFeatures(("hour_of_day",)), other}) == 2
    assert pickle.loads(pickle.dumps(one)) == one
    assert eval(repr(one)) == one
