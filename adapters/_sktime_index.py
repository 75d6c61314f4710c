"""Private: what a step of a time index means, whether labels are periods, stamps or integers."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pandas as pd
from pandas.tseries.frequencies import to_offset

Step = pd.offsets.BaseOffset | int


def step_of(index: pd.Index[Any]) -> Step | None:
    """The step of a time index, the most frequent one if there are gaps, or None if too short."""
    if isinstance(index, pd.PeriodIndex):
        return cast(Step, index.freq)
    if not isinstance(index, pd.DatetimeIndex):
        return 1
    if index.freq is not None:
        return index.freq
    name = pd.infer_freq(index) if len(index) > 2 else None
    if name is None:
        windows = (index[i : i + 4] for i in range(len(index) - 3))
        found = Counter(freq for window in windows if (freq := pd.infer_freq(window)))
        name = found.most_common(1)[0][0] if found else None
    return None if name is None else to_offset(name)


def check_steps(index: pd.Index[Any], step: Step, argument: str, name: str) -> None:
    """Raise unless ``index`` goes on by one step from row to row."""
    missing = missing_labels(index, step)
    if not len(missing):
        return
    if isinstance(step, int):
        size, remedy = "1", f"Count the rows: `{argument}.reset_index(drop=True)`."
    else:
        size, make = step.freqstr, "date_range"
        if isinstance(index, pd.PeriodIndex):
            size, make = index.freqstr, "period_range"
        remedy = (
            f'Insert rows with `{argument}.reindex(pd.{make}(first, last, freq="{size}"))` and '
            "fill them with `Imputer() * InformerForecaster(...)`."
        )
    raise ValueError(
        f"`{argument}` must have a row at every step of {size}; {name} has none at "
        f"{listed(missing)}. {remedy}"
    )


def labels_after(index: pd.Index[Any], step: Step, n: int) -> pd.Index[Any]:
    """The ``n`` time stamps that follow ``index``."""
    last = index[-1]
    if isinstance(step, int):
        return pd.RangeIndex(last + 1, last + 1 + n)
    make: Any = pd.period_range if isinstance(index, pd.PeriodIndex) else pd.date_range
    labels: pd.Index[Any] = make(last, periods=n + 1, freq=step)[1:]
    return labels


def missing_labels(index: pd.Index[Any], step: Step) -> pd.Index[Any]:
    """Time stamps without a row between the ends of ``index``."""
    if isinstance(step, int):
        whole: pd.Index[Any] = pd.RangeIndex(index[0], index[-1] + 1)
    elif isinstance(index, pd.PeriodIndex):
        whole = pd.period_range(index[0], index[-1], freq=step)
    else:
        whole = pd.date_range(index[0], index[-1], freq=step)
    return whole.difference(index)


def to_stamps(index: pd.Index[Any]) -> pd.DatetimeIndex:
    """Time stamps of an index: the starts of its periods; local time where it has a time zone."""
    stamps = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
    assert isinstance(stamps, pd.DatetimeIndex)  # an integer index has no calendar features
    return stamps


def step_in_time(index: pd.Index[Any], step: pd.offsets.BaseOffset) -> Any:
    """The step between the time stamps of an index: months' starts for monthly periods."""
    if not isinstance(index, pd.PeriodIndex):
        return step
    stamps = to_stamps(labels_after(index, step, 14))
    return stamps.freq or pd.infer_freq(stamps)


def listed(labels: pd.Index[Any]) -> str:
    """Write out the first few of ``labels``."""
    shown = ", ".join(map(str, labels[:3]))
    return shown if len(labels) <= 3 else f"{shown} and {len(labels) - 3} more"
