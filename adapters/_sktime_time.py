"""Private: what a step of a time index means, and which steps a horizon asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from sktime.forecasting.base import ForecastingHorizon
from sktime.utils.validation.forecasting import check_fh

from informer_forecaster.time_features import usual_length

Step = pd.offsets.BaseOffset | int
Times: TypeAlias = "pd.Index[Any]"
Positions = npt.NDArray[np.int64]

_MONTH = 28  # days, of the shortest
TO_PERIOD = (
    "Where each row stands for a month or a year, say so: `y.index = y.index.to_period('M')`, or "
    "'Y' for years, and the same for `X`."
)
# Enough to outvote the gaps; pandas takes 0.05 ms a window.
_WINDOWS = 1000


# What kind of labels an index has


def check_kind(labels: Times, known: Times, argument: str, name: str) -> None:
    """Raise unless labels are of the kind that is known: stamps, periods or integers."""
    if not len(labels) or kind_of(labels) == kind_of(known):
        return
    raise ValueError(
        f"`{argument}` must have labels of one kind with the series that the forecaster knows, "
        f"{kind_of(known)}; {name} has {kind_of(labels)}. Convert them, for example with "
        "`to_period`, `to_timestamp`, `tz_localize` or `tz_convert`."
    )


def kind_of(index: Times) -> str:
    """Say what the labels of an index are."""
    if isinstance(index, pd.PeriodIndex):
        return f"periods of {index.freqstr}"
    if isinstance(index, pd.DatetimeIndex):
        return (
            "time stamps without a time zone" if index.tz is None else f"time stamps of {index.tz}"
        )
    return "integers" if pd.api.types.is_integer_dtype(index.dtype) else f"labels of {index.dtype}"


def check_frequency(index: Times) -> None:
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


# Steps


def step_of(index: Times) -> Step | None:
    """The step of a time index, the most frequent one if there are gaps, or None if too short."""
    if isinstance(index, pd.PeriodIndex):
        return cast(Step, index.freq)
    if not isinstance(index, pd.DatetimeIndex):
        return 1
    if step := index.freq or _inferred(index):
        return step
    # Not slices: in pandas 2.2 they count as duplicated where the whole index is.
    windows = (index.take([*range(i, i + 4)]) for i in range(min(len(index) - 3, _WINDOWS)))
    found = Counter(one for window in windows if (one := _inferred(window)))
    return found.most_common(1)[0][0] if found else None


def _inferred(index: pd.DatetimeIndex) -> pd.offsets.BaseOffset | None:
    # `pd.infer_freq` says the same, and warns from pandas 3.1 on.
    return pd.DatetimeIndex(index, freq="infer").freq


def size_of(index: Times, step: Step) -> str:
    """The step as pandas writes it for this kind of index."""
    if isinstance(index, pd.PeriodIndex):
        return str(index.freqstr)
    return "1" if isinstance(step, int) else str(step.freqstr)


def labels_after(index: Times, step: Step, n: int) -> Times:
    """The ``n`` labels that follow ``index``."""
    last = index[-1]
    if isinstance(step, int):
        return pd.RangeIndex(last + 1, last + 1 + n)
    make: Any = pd.period_range if isinstance(index, pd.PeriodIndex) else pd.date_range
    labels: Times = make(last, periods=n + 1, freq=step)[1:]
    return labels


def labels_at(index: Times, step: Step, ahead: Positions) -> Times:
    """The labels some steps ``ahead`` of ``index``; whole stretches keep their frequency."""
    labels = labels_after(index, step, int(ahead[-1]))
    is_whole = bool((np.diff(ahead) == 1).all())
    return labels[ahead[0] - 1 :] if is_whole else labels[ahead - 1]


def is_whole(index: Times, step: Step) -> bool:
    """Whether ``index`` goes on by one step from row to row."""
    return bool((index == _regular(index, step)).all())


def _regular(index: Times, step: Step) -> Times:
    return index[:1].append(labels_after(index[:1], step, len(index) - 1))


def check_steps(index: Times, step: Step, name: str) -> None:
    """Raise unless ``index`` goes on by one step from row to row."""
    if is_whole(index, step):
        return
    due = _regular(index, step)
    row = int(np.argmax(index != due))
    size = size_of(index, step)
    make = "period_range" if isinstance(index, pd.PeriodIndex) else "date_range"
    remedy = (
        "Leave out rows that lie between the steps or come twice, insert those that are missing "
        f'with `y.reindex(pd.{make}(first, last, freq="{size}"))`, and fill them with '
        "`Imputer() * InformerForecaster(...)`."
    )
    if isinstance(step, int):
        remedy = "Count the rows: `y.reset_index(drop=True)`."
    elif isinstance(step, pd.offsets.Day) and step.n >= _MONTH:
        remedy = TO_PERIOD
    raise ValueError(
        f"`y` must have a row at every step of {size}, and none between or twice; {name} has "
        f"{index[row]} after {index[row - 1]}, where {due[row]} is due. {remedy}"
    )


def listed(labels: Times | Sequence[str]) -> str:
    """Write out the first few of ``labels``."""
    shown = ", ".join(map(str, labels[:3]))
    return shown if len(labels) <= 3 else f"{shown} and {len(labels) - 3} more"


# The calendar


def to_stamps(index: Times) -> pd.DatetimeIndex:
    """Time stamps of an index: the starts of its periods; local time where it has a time zone."""
    stamps = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
    assert isinstance(stamps, pd.DatetimeIndex)  # an integer index has no calendar features
    return stamps


def length_of(index: Times, step: Step) -> pd.Timedelta | None:
    """How long a step usually is: of business days a day. None for steps that only count."""
    if isinstance(step, int):
        return None
    return usual_length(to_stamps(labels_after(index, step, 14)))


def span_of(index: Times, step: Step) -> pd.Timedelta:
    """The time that a series takes, its last step included."""
    return to_stamps(labels_after(index, step, 1))[0] - to_stamps(index[:1])[0]


# Horizons


def read_horizon(
    fh: ForecastingHorizon, cutoff: Times, step: Step | None = None
) -> ForecastingHorizon:
    """Make sktime's horizon of ``fh``, with a time step where it names time stamps.

    Raises
    ------
    ValueError
        If its labels are of another kind than ``cutoff``, or sktime cannot count their steps.
    """
    horizon = check_fh(fh, freq=cutoff)
    if horizon.is_relative:
        return horizon
    labels = horizon.to_pandas()
    # sktime asserts it without a word.
    check_kind(labels, cutoff, "fh", "it")
    if not isinstance(labels, pd.DatetimeIndex):
        return horizon
    # Of series that end at different times sktime knows no common step.
    horizon = ForecastingHorizon(labels, is_relative=False, freq=step or cast(Any, cutoff).freq)
    try:
        horizon.to_relative(cutoff)
    except (AttributeError, ValueError):
        raise ValueError(
            "`fh` must count steps where sktime has no periods of the frequency, "
            f"{horizon.freq}; got time stamps, {listed(labels)}. Give numbers: `fh=[1, 2, 3]`."
        ) from None
    return horizon


def steps_ahead(fh: ForecastingHorizon, index: Times, step: Step, name: str) -> Positions:
    """Steps from the end of a series to each entry of a forecasting horizon.

    Raises
    ------
    ValueError
        If an entry is none of the time stamps that follow.
    """
    values: Any = fh.to_pandas()
    if fh.is_relative and pd.api.types.is_integer_dtype(values.dtype):
        return np.asarray(values, dtype=np.int64)
    wanted = index[-1] + values if fh.is_relative else values
    check_kind(wanted, index, "fh", "it")
    if isinstance(step, int):
        steps = np.asarray(wanted, dtype=np.int64) - int(index[-1])
    else:
        make: Any = pd.period_range if isinstance(index, pd.PeriodIndex) else pd.date_range
        steps = make(index[-1], max(index[-1], wanted.max()), freq=step).get_indexer(wanted)
    if (steps < 1).any():
        raise ValueError(
            f"`fh` must hold time stamps that follow the last one of {name}, {index[-1]}, by "
            f"whole steps; got {listed(wanted[steps < 1])}. Leave these out."
        )
    return steps
