"""Calendar features of a time index, in [-0.5, 0.5]: the paper's time stamps (appendix B)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]

DAY = 86_400.0
TIME_FEATURES: tuple[Any, ...] = (True, False, "all")  # what the parameter of that name may be

# name -> (value of a time stamp counted from 0, largest value, days until it comes again)
_FEATURES: dict[str, tuple[Callable[[pd.DatetimeIndex], object], int, float]] = {
    "second_of_minute": (lambda index: index.second, 59, 1 / 1440),
    "minute_of_hour": (lambda index: index.minute, 59, 1 / 24),
    "hour_of_day": (lambda index: index.hour, 23, 1),
    "day_of_week": (lambda index: index.day_of_week, 6, 7),
    "day_of_month": (lambda index: index.day - 1, 30, 30),
    "day_of_year": (lambda index: index.day_of_year - 1, 365, 365),
    "week_of_year": (lambda index: index.isocalendar().week.to_numpy() - 1, 52, 365),
    "month_of_year": (lambda index: index.month - 1, 11, 365),
}

# Longest step in seconds for which these features tell two steps apart, and their names.
_DAILY = ("day_of_week", "day_of_month", "day_of_year")
_INFORMATIVE: tuple[tuple[float, tuple[str, ...]], ...] = (
    (59, ("second_of_minute", "minute_of_hour", "hour_of_day", *_DAILY)),
    (3599, ("minute_of_hour", "hour_of_day", *_DAILY)),
    (DAY - 1, ("hour_of_day", *_DAILY)),
    (6.9 * DAY, _DAILY),
    (27 * DAY, ("day_of_month", "week_of_year")),
    (360 * DAY, ("month_of_year",)),
)


def informative_features(
    frequency: pd.DateOffset | str, span: pd.Timedelta | None = None
) -> tuple[str, ...]:
    """Names of the calendar features that tell the steps of ``frequency`` apart.

    Parameters
    ----------
    frequency : pandas.DateOffset or str
        The step between two time stamps.
    span : pandas.Timedelta, optional
        The time that is there to learn from. A feature whose cycle is not seen twice in it is left
        out: each of its values stands for one date, and says nothing about another. ``None`` for
        any length.

    Returns
    -------
    tuple of str
        Empty for a step of a year or more.

    Examples
    --------
    >>> import pandas as pd
    >>> from informer_forecaster.time_features import informative_features
    >>> informative_features("h")
    ('hour_of_day', 'day_of_week', 'day_of_month', 'day_of_year')
    >>> informative_features("h", pd.Timedelta(days=365))
    ('hour_of_day', 'day_of_week', 'day_of_month')
    >>> informative_features("MS")
    ('month_of_year',)
    """
    return features_of_length(
        usual_length(pd.date_range("2001-01-01", periods=14, freq=frequency)), span
    )


def usual_length(stamps: pd.DatetimeIndex) -> pd.Timedelta:
    """How long a step usually is: of several, as a business day or a February may be short."""
    return stamps.to_series().diff().median()


def features_of_length(length: pd.Timedelta, span: pd.Timedelta | None = None) -> tuple[str, ...]:
    """Names of the features that tell steps of a length apart; see `informative_features`."""
    seconds = length.total_seconds()
    names = next((names for longest, names in _INFORMATIVE if seconds <= longest), ())
    if span is None:
        return names
    return tuple(name for name in names if span >= 2 * _FEATURES[name][2] * pd.Timedelta(days=1))


@dataclass(frozen=True)
class TimeFeatures:
    """Callable that maps a time index to its calendar features; one of Darts' custom encoders.

    Parameters
    ----------
    names : tuple of str
        Features, from those that :func:`informative_features` returns.

    Examples
    --------
    >>> import pandas as pd
    >>> from informer_forecaster.time_features import TimeFeatures
    >>> TimeFeatures(("month_of_year",))(pd.DatetimeIndex(["2020-01-31", "2020-12-01"]))
    array([[-0.5],
           [ 0.5]])
    """

    names: tuple[str, ...]

    def __call__(self, index: pd.DatetimeIndex) -> FloatArray:
        """Compute the features of ``index``, shape ``(len(index), len(names))``."""
        columns = []
        for name in self.names:
            value, largest, _ = _FEATURES[name]
            columns.append(np.asarray(value(index), dtype=np.float64) / largest - 0.5)
        return np.stack(columns, axis=1)
