"""Private: what a step of a time index means, and which steps a horizon asks for."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from sktime.forecasting.base import ForecastingHorizon
from sktime.utils.validation.forecasting import check_fh

from .time_features import informative_features

Step = pd.offsets.BaseOffset | int
Times: TypeAlias = "pd.Index[Any]"
Positions = npt.NDArray[np.int64]

THE_SERIES = "the series"  # how messages call one that has no label
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


# What kind of labels an index has


def check_kind(labels: Times, known: Times, argument: str, name: str) -> None:
    """Raise unless labels are of the kind that is known: stamps, periods or integers."""
    if not len(labels) or kind_of(labels) == kind_of(known):
        return
    raise ValueError(
        f"`{argument}` must have labels of one kind with the series that the forecaster knows, "
        f"{kind_of(known)}; {name} has {kind_of(labels)}. Convert them, for example with "
        "`to_period`, `to_timestamp` or `tz_localize`."
    )


def kind_of(index: Times) -> str:
    """Say what the labels of an index are."""
    if isinstance(index, pd.PeriodIndex):
        return f"periods of {index.freqstr}"
    if isinstance(index, pd.DatetimeIndex):
        return f"time stamps {'without' if index.tz is None else 'with'} a time zone"
    return "integers" if pd.api.types.is_integer_dtype(index.dtype) else f"labels of {index.dtype}"


def times_of(index: Times) -> Times:
    """The times of an index: of several levels the last one."""
    return index.levels[-1] if isinstance(index, pd.MultiIndex) else index


def zone_of(index: Times) -> tzinfo | None:
    """The time zone of an index; None if there is none."""
    times = times_of(index)
    return times.tz if isinstance(times, pd.DatetimeIndex) else None


def in_zone(index: Times, zone: tzinfo | None) -> Times:
    """The same times in a time zone, where both have one."""
    times = times_of(index)
    if not isinstance(times, pd.DatetimeIndex) or None in (times.tz, zone) or times.tz == zone:
        return index
    moved: Any = times.tz_convert(zone)
    return index.set_levels(moved, level=-1) if isinstance(index, pd.MultiIndex) else moved


def check_frequency(index: Times) -> None:
    """Raise if sktime cannot give the frequency of ``index`` to its last time stamp alone.

    Raises
    ------
    ValueError
        For calendars of 52 or 53 weeks and their like.
    """
    times = times_of(index)
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
    step = index.freq or _inferred(index)
    if step is None:
        # Not slices: in pandas 2.2 they count as duplicated where the whole index is.
        windows = (index.take([*range(i, i + 4)]) for i in range(min(len(index) - 3, _WINDOWS)))
        found = Counter(one for window in windows if (one := _inferred(window)))
        step = found.most_common(1)[0][0] if found else None
    return step


def _inferred(index: pd.DatetimeIndex) -> pd.offsets.BaseOffset | None:
    # `pd.infer_freq` says the same, and warns from pandas 3.1 on.
    return pd.DatetimeIndex(index, freq="infer").freq


def size_of(index: Times, step: Step) -> str:
    """The step as pandas writes it for this kind of index."""
    if isinstance(index, pd.PeriodIndex):
        return str(index.freqstr)
    return "1" if isinstance(step, int) else str(step.freqstr)


def _width(step: Step) -> pd.Timedelta | None:
    """The length of a step that is always the same: not of a day, where clocks are changed."""
    is_fixed = isinstance(step, pd.offsets.Tick) and not isinstance(step, pd.offsets.Day)
    return pd.Timedelta(cast(Any, step)) if is_fixed else None


def positions(labels: Times, origin: Any, step: Step) -> Positions:
    """How many steps each label is after ``origin``; -1 for one before it or between the steps."""
    width = _width(step)
    if isinstance(step, int):
        return np.asarray(labels, dtype=np.int64) - int(origin)
    if isinstance(labels, pd.PeriodIndex):
        after = labels.asi8 - origin.ordinal
        return np.where(after % step.n == 0, after // step.n, -1)
    if width is not None:
        apart = labels - origin
        return np.where(apart % width == pd.Timedelta(0), apart // width, -1)
    grid = pd.date_range(origin, labels.max(), freq=step)
    return grid.get_indexer(labels).astype(np.int64)


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
    return bool((np.diff(positions(index, index[0], step)) == 1).all())


def without_row(index: Times, step: Step) -> str:
    """Write out the first steps of ``index`` that have no row; nothing if all have one."""
    if is_whole(index, step):
        return ""
    at = positions(index, index[0], step)
    # All labels between two might not fit into memory, as of Unix time counted as rows.
    gaps = itertools.pairwise(at)
    first = [p for a, b in gaps if b - a > 1 for p in range(a + 1, min(b, a + 4))][:3]
    width: Any = _width(step)
    if isinstance(index, pd.DatetimeIndex) and width is None:
        labels = list(labels_after(index[:1], step, first[-1])[[p - 1 for p in first]])
    else:
        labels = [index[0] + p * (width or step) for p in first]
    return _shown(labels, int((np.diff(at) - 1).sum()))


def check_steps(index: Times, step: Step, argument: str, name: str) -> None:
    """Raise unless ``index`` goes on by one step from row to row."""
    check_labels(index, index[0], step, argument, name)
    missing = without_row(index, step)
    if not missing:
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
        f"`{argument}` must have a row at every step of {size}; {name} has none at {missing}. "
        f"{remedy}"
    )


def check_labels(index: Times, origin: Any, step: Step, argument: str, name: str) -> None:
    """Raise if a label comes twice, or is not whole steps after ``origin``; gaps are allowed."""
    if not index.is_unique:
        twice = index[index.duplicated()].unique()
        raise ValueError(
            f"`{argument}` must have one row a time stamp; {name} has duplicated ones at "
            f"{listed(twice)}. Keep one of each: `{argument}[~{argument}.index.duplicated()]`."
        )
    after = index[index >= origin]
    strays = after[positions(after, origin, step) < 0] if len(after) else after
    if len(strays):
        is_long = isinstance(step, pd.offsets.Day) and step.n >= _MONTH
        remedy = TO_PERIOD if is_long else "Leave these rows out, or resample to one step."
        raise ValueError(
            f"`{argument}` must have its rows whole steps of {size_of(index, step)} apart; {name} "
            f"has time stamps between the steps, or steps of another length, at {listed(strays)}. "
            f"{remedy}"
        )


def listed(labels: Times | Sequence[str]) -> str:
    """Write out the first few of ``labels``."""
    return _shown(list(labels[:3]), len(labels))


def _shown(first: Sequence[object], count: int) -> str:
    shown = ", ".join(map(str, first))
    return shown if count <= len(first) else f"{shown} and {count - len(first)} more"


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
    return to_stamps(labels_after(index, step, 14)).to_series().diff().median()


def span_of(index: Times, step: Step) -> pd.Timedelta | None:
    """The time that a series takes, its last step included; None if it counts."""
    if isinstance(step, int):
        return None
    return to_stamps(labels_after(index, step, 1))[0] - to_stamps(index[:1])[0]


def calendar_of(index: Times, step: Step, span: pd.Timedelta | None = None) -> tuple[str, ...]:
    """Names of the calendar features that suit a step; none if it counts."""
    if isinstance(step, int):
        return ()
    if isinstance(index, pd.PeriodIndex):
        # Months' starts for monthly periods.
        stamps = to_stamps(labels_after(index, step, 14))
        step = cast(pd.offsets.BaseOffset, stamps.freq or _inferred(stamps))
    return informative_features(cast(pd.DateOffset, step), span)


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
    # sktime puts a filter of warnings before those of the caller.
    with business_periods_allowed():
        labels = in_zone(horizon.to_pandas(), zone_of(cutoff))
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


def why_not(fh: ForecastingHorizon, known: ForecastingHorizon, cutoff: Times) -> str:
    """Say why a forecaster that was fitted for the horizon ``known`` cannot forecast ``fh``."""
    given = listed(fh.to_pandas())
    if not fh.is_all_out_of_sample(cutoff):
        return (
            "`fh` must lie after the last row: there are no forecasts of rows that the network "
            f"was trained on, which residuals and some reconcilers ask for; got {given}. "
            "Compare with held-out rows, for example by `evaluate`."
        )
    return (
        f"`fh` must be the one that `fit` was given, {listed(known.to_pandas())}, as "
        f"`output_chunk_length` is None; got {given}. Fit again, or with an `output_chunk_length`: "
        "then each `predict` may have a horizon of its own."
    )


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
    steps = positions(wanted, index[-1], step)
    if (steps < 1).any():
        raise ValueError(
            f"`fh` must hold time stamps that follow the last one of {name}, {index[-1]}, by "
            f"whole steps; got {listed(wanted[steps < 1])}. Leave these out."
        )
    return steps
