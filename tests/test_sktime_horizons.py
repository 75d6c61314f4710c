"""Horizons that cannot be forecast, and time indices without a regular step: what is said."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from informer_forecaster import InformerForecaster

TINY = InformerForecaster.get_test_params()[0]


def values(index):
    return pd.Series(np.random.default_rng(0).normal(size=len(index)), index=index)


def fit(y, fh=(1, 2, 3), **parameters):
    return InformerForecaster(**{**TINY, **parameters}).fit(y, fh=list(fh))


@pytest.mark.filterwarnings("ignore:step .* of `fh`")
def test_time_stamps_suit_a_panel_whose_members_leave_gaps_between_them():
    """Sktime tells the step from all labels together, which here have none."""
    first = pd.date_range("2000-01-01", periods=30, name="day")
    last = pd.date_range("2000-02-01", periods=30, name="day")
    y = pd.concat({"a": values(first), "b": values(last)}, names=["shop"]).to_frame("y")
    forecaster = fit(y, output_chunk_length=3)
    stamps = pd.date_range("2000-03-02", periods=2)
    forecast = forecaster.predict(stamps)
    assert list(forecast.loc["b"].index) == list(stamps)
    np.testing.assert_allclose(forecast.loc["b"], forecaster.predict([1, 2]).loc["b"], rtol=1e-5)


@pytest.mark.parametrize("unit", [1, 1000, 10**9], ids=["s", "ms", "ns"])
def test_unix_time_is_refused_without_counting_it(unit):
    """All integers between two days in nanoseconds would be 86 terabytes."""
    y = values(pd.Index((1_700_000_000 + np.arange(40) * 86400) * unit))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"step of 1, .* after 1700.* is due. Count the rows"):
        fit(y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        ("0s", r"has 2020-01-01 00:00:00 after 2000-01-01 00:00:29, where .*:30 is due"),
        ("500ms", "has 2020-01-01 00:00:00.500000 after 2000-01-01 00:00:29, where .*:30 is due"),
    ],
)
def test_decades_between_seconds_are_refused_without_counting_them(offset, message):
    seconds = pd.date_range("2000-01-01", periods=30, freq="s")
    later = pd.date_range("2020-01-01", periods=30, freq="s") + pd.Timedelta(offset)
    with pytest.raises(ValueError, match=message):
        fit(values(seconds.append(later)))


@pytest.mark.parametrize("years", [0, 1])
def test_rows_for_months_or_years_are_told_to_be_periods(years):
    """Their stamps are no equal steps apart, and none of them should be left out."""
    stamps = [pd.Timestamp(1950 + i, 2, 15) for i in range(40)]
    if not years:
        stamps = [pd.Timestamp(2000 + i // 12, i % 12 + 1, 15) for i in range(40)]
    with pytest.raises(ValueError, match=r"to_period\('M'\)"):
        fit(values(pd.DatetimeIndex(stamps)))
    assert len(fit(values(pd.PeriodIndex(stamps, freq="Y" if years else "M"))).predict()) == 3


def test_rows_behind_a_gap_are_not_told_to_fill_gaps_of_their_own():
    forecaster = fit(values(pd.RangeIndex(40)))
    rows = values(pd.RangeIndex(45, 47))
    with pytest.raises(ValueError, match=r"must go on where the known rows.* end, 39, .* from 45"):
        forecaster.update(rows, update_params=False)
