"""Private: checks of Darts series, before any work starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from darts import TimeSeries


def check_inputs(
    series: Any,
    past_covariates: Any,
    future_covariates: Any,
    *,
    prefix: str = "",
    steps_back: int | None = None,
    past_steps_ahead: int = 0,
    future_steps_ahead: int = 0,
) -> None:
    """Raise unless target and covariates are finite float series over the steps that are used.

    Parameters
    ----------
    series, past_covariates, future_covariates : darts.TimeSeries, sequence of them, or None
        What the user passed.
    prefix : str
        Put before the arguments' names in messages: ``"val_"`` for a validation set.
    steps_back : int or None
        Last steps of the target that are used; ``None`` for all.
    past_steps_ahead, future_steps_ahead : int
        Steps after the target's end for which the covariates are used.

    Raises
    ------
    ValueError
        Naming the argument, and for a value the series, component and first time stamp.
    """
    inputs = {
        f"{prefix}series": (series, 0),
        f"{prefix}past_covariates": (past_covariates, past_steps_ahead),
        f"{prefix}future_covariates": (future_covariates, future_steps_ahead),
    }
    for name, (given, _) in inputs.items():
        _check_type(name, given)
    for name, (given, ahead) in inputs.items():
        for position, (target, one) in enumerate(
            zip(as_list(series), as_list(given), strict=False)
        ):
            first = target.time_index[-min(steps_back or len(target), len(target))]
            last = target.end_time() + ahead * target.freq
            _check_finite(label(name, given, position), one, first, last)


def check_length(name: str, series: Any, minimum: int, reason: str) -> None:
    """Raise if a series has fewer than ``minimum`` steps, which ``reason`` asks for."""
    for position, one in enumerate(as_list(series)):
        if len(one) < minimum:
            raise ValueError(
                f"{label(name, series, position)} must have at least {minimum} steps "
                f"({reason}); got {len(one)}. Give a longer series or choose shorter chunks."
            )


def as_list(series: Any) -> list[Any]:
    """Make a list of one series, of a sequence of them, or of None."""
    if series is None:
        return []
    return list(series) if isinstance(series, Sequence) else [series]


def label(name: str, given: object, position: int) -> str:
    """Name an argument, and the position in it where it holds several series."""
    return f"`{name}[{position}]`" if isinstance(given, Sequence) else f"`{name}`"


def _check_type(name: str, given: object) -> None:
    if isinstance(given, pd.Series | pd.DataFrame | np.ndarray | str):
        raise ValueError(
            f"`{name}` must be a Darts TimeSeries or a sequence of them; got "
            f"{type(given).__name__}. Convert it with `TimeSeries.from_series`, "
            "`TimeSeries.from_dataframe` or `TimeSeries.from_values`."
        )
    for position, one in enumerate(as_list(given)):
        if not isinstance(one, TimeSeries):
            raise ValueError(
                f"{label(name, given, position)} must be a Darts TimeSeries; got "
                f"{type(one).__name__}."
            )
        if not np.issubdtype(one.dtype, np.floating):
            raise ValueError(
                f"{label(name, given, position)} must hold floating-point numbers; got dtype "
                f"{one.dtype}. Convert it with `series.astype(np.float32)`."
            )


def _check_finite(name: str, series: TimeSeries, first: Any, last: Any) -> None:
    """Raise if ``series`` holds NaN or infinity between two time stamps, both included."""
    values = series.all_values(copy=False)
    if np.isfinite(values).all():
        return
    index = series.time_index
    if isinstance(index, pd.DatetimeIndex) != isinstance(first, pd.Timestamp):
        return  # the axes do not match, which Darts reports
    used = np.asarray((index >= first) & (index <= last))
    bad = ~np.isfinite(values) & used[:, None, None]
    if bad.any():
        step, component, sample = np.argwhere(bad)[0]
        raise ValueError(
            f"{name} must hold finite values; component {series.components[component]!r} is "
            f"{values[step, component, sample]} at {index[step]}. Fill gaps first, for example "
            "with `darts.utils.missing_values.fill_missing_values`."
        )
