"""Private: what a step of a time index means, whether labels are periods, stamps or integers."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

Step = pd.offsets.BaseOffset | int

THE_SERIES = "the series"  # how messages call one that has no label
_ZERO = pd.Timedelta(0)
_MONTH = 28  # days, of the shortest
TO_PERIOD = (
    "Where each row stands for a month or a year, say so: `y.index = y.index.to_period('M')`, or "
    "'Y' for years, and the same for `X`."
)
# Enough to outvote the gaps; pandas takes 0.05 ms a window.
_WINDOWS = 1000


@contextlib.contextmanager
def business_periods_allowed() -> Iterator[None]:
    """Hold back what pandas warns of periods of business days: the user's index made them so."""
    with warnings.catch_warnings():
        for message in (r"Period with BDay freq", r"PeriodDtype\[B\]"):
            warnings.filterwarnings("ignore", message, FutureWarning)
        yield


def check_kind(labels: pd.Index[Any], known: pd.Index[Any], argument: str, name: str) -> None:
    """Raise unless labels are of the kind that is known: stamps, periods or integers."""
    if not len(labels) or kind_of(labels) == kind_of(known):
        return
    raise ValueError(
        f"`{argument}` must have labels of one kind with the series that the forecaster knows, "
        f"{kind_of(known)}; {name} has {kind_of(labels)}. Convert them, for example with "
        "`to_period`, `to_timestamp` or `tz_localize`."
    )


def in_zone(labels: pd.Index[Any], zone: Any) -> pd.Index[Any]:
    """The same times in a time zone, where both have one; the last level of several."""
    if isinstance(labels, pd.MultiIndex):
        times = labels.levels[-1]
        moved = in_zone(times, zone)
        return labels if moved is times else labels.set_levels(cast(Any, moved), level=-1)
    if not isinstance(labels, pd.DatetimeIndex) or None in (labels.tz, zone) or labels.tz == zone:
        return labels
    return labels.tz_convert(zone)


def to_zone(table: Any, zone: Any) -> Any:
    """A table, or each one of a list, at the same times in a time zone; others as they are."""
    if isinstance(table, list):
        return [to_zone(each, zone) for each in table]
    if not isinstance(table, pd.DataFrame | pd.Series):
        return table
    moved = in_zone(table.index, zone)
    return table if moved is table.index else table.set_axis(moved)


def zone_of(labels: pd.Index[Any]) -> Any:
    """The time zone of an index, or of its last level; None if there is none."""
    times = labels.levels[-1] if isinstance(labels, pd.MultiIndex) else labels
    return times.tz if isinstance(times, pd.DatetimeIndex) else None


def check_frequency(index: pd.Index[Any]) -> None:
    """Raise if sktime cannot give the frequency of ``index`` to its last time stamp alone.

    Raises
    ------
    ValueError
        For calendars of 52 or 53 weeks and their like.
    """
    times = index.levels[-1] if isinstance(index, pd.MultiIndex) else index
    if not isinstance(times, pd.DatetimeIndex) or times.freq is None:
        return
    try:
        pd.DatetimeIndex(times[-1:].to_numpy(), freq=times.freq)
    except ValueError:
        raise ValueError(
            f"`y` must have a frequency that a single time stamp can carry, as sktime's cutoff "
            f"does; got {times.freqstr}. Count the rows instead, `y.reset_index(drop=True)`, and "
            "the same for `X`; where it matters, give the time of the year as a column of `X`."
        ) from None


@business_periods_allowed()
def kind_of(index: pd.Index[Any]) -> str:
    """Say what the labels of an index are."""
    if isinstance(index, pd.PeriodIndex):
        return f"periods of {index.freqstr}"
    if isinstance(index, pd.DatetimeIndex):
        return f"time stamps {'without' if index.tz is None else 'with'} a time zone"
    return "integers" if pd.api.types.is_integer_dtype(index.dtype) else f"labels of {index.dtype}"


def step_of(index: pd.Index[Any]) -> Step | None:
    """The step of a time index, the most frequent one if there are gaps, or None if too short."""
    if isinstance(index, pd.PeriodIndex):
        return cast(Step, index.freq)
    if not isinstance(index, pd.DatetimeIndex):
        return 1
    if index.freq is not None:
        return index.freq
    step = _inferred(index)
    if step is None:
        # Not slices: in pandas 2.2 they count as duplicated where the whole index is.
        windows = (index.take([*range(i, i + 4)]) for i in range(min(len(index) - 3, _WINDOWS)))
        found = Counter(step for window in windows if (step := _inferred(window)))
        step = found.most_common(1)[0][0] if found else None
    return step


def _inferred(index: pd.DatetimeIndex) -> pd.offsets.BaseOffset | None:
    # `pd.infer_freq` says the same, and warns from pandas 3.1 on.
    return pd.DatetimeIndex(index, freq="infer").freq


def check_steps(index: pd.Index[Any], step: Step, argument: str, name: str) -> None:
    """Raise unless ``index`` goes on by one step from row to row."""
    check_labels(index, index[0], step, argument, name)
    missing = missing_labels(index, step)
    if not len(missing):
        return
    size = size_of(index, step)
    if name != THE_SERIES:
        remedy = "Give that series a row at each of its steps, for example by interpolation."
    elif isinstance(step, int):
        remedy = f"Count the rows: `{argument}.reset_index(drop=True)`."
    else:
        make = "period_range" if isinstance(index, pd.PeriodIndex) else "date_range"
        remedy = (
            f'Insert rows with `{argument}.reindex(pd.{make}(first, last, freq="{size}"))` and '
            "fill them with `Imputer() * InformerForecaster(...)`."
        )
    raise ValueError(
        f"`{argument}` must have a row at every step of {size}; {name} has none at "
        f"{listed(missing)}. {remedy}"
    )


@business_periods_allowed()
def check_labels(index: pd.Index[Any], origin: Any, step: Step, argument: str, name: str) -> None:
    """Raise if a label comes twice, or is not whole steps behind ``origin``; gaps are allowed."""
    if not index.is_unique:
        twice = index[index.duplicated()].unique()
        raise ValueError(
            f"`{argument}` must have one row a time stamp; {name} has duplicated ones at "
            f"{listed(twice)}. Keep one of each: `{argument}[~{argument}.index.duplicated()]`."
        )
    behind = index[index >= origin]
    if not len(behind):
        return
    if are_far_apart(origin, behind[-1], len(behind), step):
        # A whole number of steps behind: of integers every one is.
        strays = behind[:0] if isinstance(step, int) else behind[(behind - origin) % step != _ZERO]
    else:
        strays = behind.difference(labels_between(origin, behind[-1], index, step))
    if len(strays):
        is_long = isinstance(step, pd.offsets.Day) and step.n >= _MONTH
        remedy = TO_PERIOD if is_long else "Leave these rows out, or resample to one step."
        raise ValueError(
            f"`{argument}` must have its rows whole steps of {size_of(index, step)} apart; {name} "
            f"has time stamps between the steps, or steps of another length, at {listed(strays)}. "
            f"{remedy}"
        )


def size_of(index: pd.Index[Any], step: Step) -> str:
    """The step as pandas writes it for this kind of index."""
    if isinstance(index, pd.PeriodIndex):
        return str(index.freqstr)
    return "1" if isinstance(step, int) else str(step.freqstr)


@business_periods_allowed()
def labels_after(index: pd.Index[Any], step: Step, n: int) -> pd.Index[Any]:
    """The ``n`` time stamps that follow ``index``."""
    last = index[-1]
    if isinstance(step, int):
        return pd.RangeIndex(last + 1, last + 1 + n)
    make: Any = pd.period_range if isinstance(index, pd.PeriodIndex) else pd.date_range
    labels: pd.Index[Any] = make(last, periods=n + 1, freq=step)[1:]
    return labels


def labels_at(index: pd.Index[Any], step: Step, ahead: npt.NDArray[np.int64]) -> pd.Index[Any]:
    """The time stamps some steps ``ahead`` of ``index``; whole stretches keep their frequency."""
    labels = labels_after(index, step, int(ahead[-1]))
    is_whole = bool((np.diff(ahead) == 1).all())
    return labels[ahead[0] - 1 :] if is_whole else labels[ahead - 1]


def missing_labels(index: pd.Index[Any], step: Step) -> pd.Index[Any]:
    """Time stamps without a row between the ends of ``index``; of wide gaps the first one."""
    if are_far_apart(index[0], index[-1], len(index), step):
        width = 1 if isinstance(step, int) else pd.Timedelta(cast(Any, step))
        return index[:-1][np.asarray(index[1:] - index[:-1]) > np.asarray(width)] + width
    return labels_between(index[0], index[-1], index, step).difference(index)


def are_far_apart(first: Any, last: Any, rows: int, step: Step) -> bool:
    """Whether all labels between two might not fit into memory, as of Unix time counted as rows."""
    if isinstance(step, int):
        return bool((last - first) / _WINDOWS > rows)
    is_short = isinstance(step, pd.offsets.Tick) and isinstance(first, pd.Timestamp)
    return is_short and bool((last - first) / pd.Timedelta(cast(Any, step)) / _WINDOWS > rows)


@business_periods_allowed()
def labels_between(first: Any, last: Any, index: pd.Index[Any], step: Step) -> pd.Index[Any]:
    """All labels from ``first`` to ``last``, of the kind that ``index`` has."""
    if isinstance(step, int):
        return pd.RangeIndex(first, last + 1)
    if isinstance(index, pd.PeriodIndex):
        return pd.period_range(first, last, freq=step)
    return pd.date_range(first, last, freq=step)


@business_periods_allowed()
def to_stamps(index: pd.Index[Any]) -> pd.DatetimeIndex:
    """Time stamps of an index: the starts of its periods; local time where it has a time zone."""
    stamps = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
    assert isinstance(stamps, pd.DatetimeIndex)  # an integer index has no calendar features
    return stamps


def length_of(index: pd.Index[Any], step: Step) -> pd.Timedelta | None:
    """How long a step usually is: of business days a day. None for steps that only count."""
    if isinstance(step, int):
        return None
    return to_stamps(labels_after(index, step, 14)).to_series().diff().median()


def step_in_time(index: pd.Index[Any], step: pd.offsets.BaseOffset) -> Any:
    """The step between the time stamps of an index: months' starts for monthly periods."""
    if not isinstance(index, pd.PeriodIndex):
        return step
    stamps = to_stamps(labels_after(index, step, 14))
    return stamps.freq or _inferred(stamps)


def listed(labels: pd.Index[Any] | Sequence[str]) -> str:
    """Write out the first few of ``labels``."""
    shown = ", ".join(map(str, labels[:3]))
    return shown if len(labels) <= 3 else f"{shown} and {len(labels) - 3} more"
