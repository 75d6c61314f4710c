"""Tables that cannot be used: the error names the row, the rule and the remedy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.base import ForecastingHorizon
from sktime.transformations.impute import Imputer
from sktime_tables import FH, make, noise

INDEXES = {
    "period-month": lambda n: pd.period_range("2001-11", periods=n, freq="M"),
    "datetime-hour": lambda n: pd.date_range("2001-11-27 22:00", periods=n, freq="h"),
    "datetime-month-end": lambda n: pd.date_range("2001-11-30", periods=n, freq="ME"),
    "datetime-no-freq": lambda n: pd.DatetimeIndex(
        list(pd.date_range("2001-11-01", periods=n, freq="MS"))
    ),
    "integer": lambda n: pd.Index(np.arange(5, 5 + n)),
}
DAYS = pd.date_range("2020-01-01", periods=60, freq="D")


def line(index, slope=2.0, start=10.0, columns=("a",)):
    steps = np.arange(len(index))[:, None] * slope + start
    values = steps + 100.0 * np.arange(len(columns))
    return pd.DataFrame(values, index=index, columns=list(columns))


def exogenous(rows=60):
    """A target that is the driver of two steps later, and a column of noise."""
    X = noise(rows, columns=("driver", "noise"), seed=3)
    return X[["driver"]].rename(columns={"driver": "a"}), X


def with_row(table, stamp):
    """A copy of ``table`` with one more row at ``stamp``, in the order of time."""
    row = table[-1:].set_axis(pd.DatetimeIndex([stamp]))
    return pd.concat([table, row]).sort_index()


def test_missing_values_name_the_remedy():
    y, X = exogenous()
    broken, broken_X = y.copy(), X.copy()
    broken.iloc[3] = np.nan
    broken_X.iloc[3, 0] = np.nan
    remedy = r"`Imputer\(\) \* InformerForecaster"
    for one in (broken, broken["a"]):
        with pytest.raises(ValueError, match=rf"`y` .*'a' .* is nan at 2001-04.*{remedy}"):
            make().fit(one, fh=FH)
    joint = r"`Imputer\(\) \*\* InformerForecaster"
    with pytest.raises(ValueError, match=rf"`X` .*'driver' .* is nan at 2001-04.*{joint}"):
        make().fit(y, broken_X, fh=FH)
    assert (Imputer() ** make()).fit(y, broken_X, fh=FH).is_fitted
    table = pd.concat({"a": y, "b": broken}, names=["region", "month"])
    with pytest.raises(ValueError, match=rf"'a' of series 'b' is nan at 2001-04.*{remedy}"):
        make().fit(table, fh=FH)
    with pytest.raises(ValueError, match=rf"column 0 of the series is nan at 3.*{remedy}"):
        make().fit(broken.to_numpy(), fh=FH)


def test_infinite_values_are_located():
    y, X = exogenous()
    y.iloc[3], X.iloc[31, 1] = np.inf, -np.inf
    with pytest.raises(ValueError, match=r"`y` .* column 'a' of the series is inf at 2001-04"):
        make().fit(y[:30], fh=FH)
    forecaster = make().fit(y[10:30], X[10:30], fh=FH)
    with pytest.raises(ValueError, match=r"`X` .* column 'noise' of the series is -inf at 2003-08"):
        forecaster.predict(X=X[30:33])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("period-month", r"step of M, .* has 2002-06 after 2002-04, where 2002-05 .*period_range"),
        ("datetime-no-freq", r"step of MS, .* has 2002-06-01 .*, where 2002-05-01 .*date_range\("),
        ("datetime-hour", "step of h, .* has 2001-11-28 05:00:00 .* where 2001-11-28 04:00:00"),
        ("integer", r"step of 1, .* has 12 after 10, where 11 is due\. Count the rows"),
    ],
)
def test_gaps_are_located(index, message):
    y = line(INDEXES[index](30))
    with pytest.raises(ValueError, match=message):
        make().fit(y.drop(y.index[6]), fh=FH)


@pytest.mark.parametrize("stamp", ["2020-02-10 12:00", "2020-02-29", "2020-01-21"])
def test_time_stamps_between_the_steps_and_twice_are_located(stamp):
    y, X = noise(index=DAYS), noise(index=DAYS, columns=("x",))
    stamp = pd.Timestamp(stamp)
    day = stamp.normalize()
    message = f"`y` must .* {stamp} after {day}, where {day + pd.Timedelta('1D')} is due"
    with pytest.raises(ValueError, match=message):
        make().fit(with_row(y, stamp), fh=FH)
    forecaster = make().fit(y[:15], X[:15], fh=FH)
    with pytest.raises(ValueError, match=message):
        forecaster.update(with_row(y[15:], stamp), with_row(X[15:], stamp))
    if stamp == day:
        with pytest.raises(ValueError, match="duplicate"):
            make().fit(y, with_row(X, stamp), fh=FH)
        with pytest.raises(ValueError, match="duplicate"):
            forecaster.predict(X=with_row(X[15:], stamp))


def test_an_update_between_the_steps_is_refused():
    y = noise(index=DAYS)
    forecaster = make().fit(y[:30], fh=FH)
    late = y[30:31].set_axis(DAYS[30:31] + pd.Timedelta("12h"))
    with pytest.raises(ValueError, match=r"by whole steps, .* from 2020-01-31 12:00:00"):
        forecaster.update(late)


def test_the_step_of_a_long_series_with_gaps_is_the_most_frequent_one():
    minutes = pd.date_range("2020-01-01", periods=20_000, freq="min").delete([5, 9_000])
    with pytest.raises(ValueError, match=r"step of min, .* where 2020-01-01 00:05:00 is due"):
        make().fit(noise(index=minutes), fh=FH)


def test_integer_steps_other_than_one_are_refused():
    with pytest.raises(ValueError, match=r"step of 1, .* has 2 after 0, where 1 is due"):
        make().fit(line(pd.RangeIndex(0, 60, 2)), fh=FH)


def test_too_few_rows_name_how_many_are_needed():
    with pytest.raises(ValueError, match=r"at least 7 rows to train: .* 4 \+ 3; got 5"):
        make(output_chunk_length=3).fit(noise(5))
    with pytest.raises(ValueError, match="at least 5 rows to train"):
        make().fit(noise(3), fh=FH)


def test_time_stamps_off_the_steps_are_refused():
    y = line(INDEXES["datetime-month-end"](30))
    forecaster = make(output_chunk_length=3).fit(y)
    horizon = ForecastingHorizon(pd.DatetimeIndex(["2004-05-31", "2004-06-15"]), is_relative=False)
    with pytest.raises(ValueError, match=r"`fh` must hold time stamps .* got 2004-06-15"):
        forecaster.predict(fh=horizon)
