"""What a forecasting task of covariates.py is: targets, covariates, parts and windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from darts import TimeSeries
from numpy.typing import NDArray
from protocol import stride_of

Array = NDArray[np.float64]
WINDOWS = 300


class Covariates(NamedTuple):
    """Covariates over the whole time of the targets, one series for each; or none."""

    past: tuple[TimeSeries, ...] = ()
    future: tuple[TimeSeries, ...] = ()


@dataclass(frozen=True)
class Task:
    """What is forecast, from what, and how it is cut.

    Parameters
    ----------
    targets : tuple of TimeSeries
        One series, or the series of a panel; all of one length.
    look_back, horizon : int
        Steps before and after the origin of a window.
    ends : tuple of int
        Rows at which the training and the validation part end.
    season : int
        Rows that the naive forecast repeats; at most ``look_back``.
    cycle : int
        Rows of the shortest cycle: a day of hours, a week of days, a year of months.
    covariates : Covariates
        What acts on the targets and is known.
    calendar : tuple of str
        Attributes of the time stamps that a method without calendar features is given.
    stride : int
        Rows between the training windows, where all would take hours.
    event : str, optional
        Future covariate whose steps are also scored apart.
    windows : int
        About how many windows of a series are scored.
    """

    targets: tuple[TimeSeries, ...]
    look_back: int
    horizon: int
    ends: tuple[int, int]
    season: int
    cycle: int
    covariates: Covariates = field(default_factory=Covariates)
    calendar: tuple[str, ...] = ()
    stride: int = 1
    event: str | None = None
    windows: int = WINDOWS

    def origins(self, part: str) -> range:
        """Number the first forecast rows of the windows of ``validation`` or ``test``."""
        first, end = {
            "validation": self.ends,
            "test": (self.ends[1], len(self.targets[0])),
        }[part]
        count = end - first - self.horizon + 1
        return range(first, first + count, stride_of(count, self.windows))

    def rows(self, first: int, end: int) -> list[TimeSeries]:
        """Cut the targets."""
        return [one[first:end] for one in self.targets]

    def truth(self, part: str) -> Array:
        """Stack what the windows of a part hold: series and windows, steps, components."""
        steps = np.arange(self.horizon)
        rows = np.asarray(self.origins(part))[:, None] + steps
        return np.concatenate([one.values()[rows] for one in self.targets])

    def is_event(self, part: str) -> NDArray[np.bool_] | None:
        """Tell the steps of an event from the others: series and windows, steps."""
        if self.event is None:
            return None
        rows = np.asarray(self.origins(part))[:, None] + np.arange(self.horizon)
        flags = [one[self.event].values()[rows, 0] > 0 for one in self.covariates.future]
        return np.concatenate(flags)


def to_series(index: pd.Index, **columns: Any) -> TimeSeries:
    """Make a series of 32-bit floats from columns."""
    values = np.column_stack(list(columns.values())).astype(np.float32)
    return TimeSeries.from_times_and_values(index, values, columns=list(columns))


def scale(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Scale by mean and deviation of the first ``rows``; columns of zeros and ones stay."""
    is_flag = table.isin([0.0, 1.0]).all()
    head = table[:rows]
    mean, deviation = head.mean().where(~is_flag, 0.0), head.std(ddof=0).where(~is_flag, 1.0)
    return (table - mean) / deviation


def split(rows: int, horizon: int = 0) -> tuple[int, int]:
    """Split 70 / 10 / 20 %; the validation part holds a horizon at least."""
    first = int(0.7 * rows)
    return first, max(int(0.8 * rows), first + horizon)
