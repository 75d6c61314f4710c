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
    largest: float,
    prefix: str = "",
    past_steps_ahead: int = 0,
    future_steps_ahead: int = 0,
    remedy: str = "Give the missing steps, or a shorter series.",
) -> None:
    """Raise unless target and covariates are finite float series over the steps that are used.

    Parameters
    ----------
    series, past_covariates, future_covariates : darts.TimeSeries, sequence of them, or None
        What the user passed.
    largest : float
        Magnitude above which a value is refused: of `LARGEST_VALUE`.
    prefix : str
        Put before the arguments' names in messages: ``"val_"`` for a validation set.
    past_steps_ahead, future_steps_ahead : int
        Steps after the target's end for which the covariates are used.
    remedy : str
        What to do where the covariates lack some of these steps.

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
    inputs = {name: entry for name, entry in inputs.items() if entry[0] is not None}
    for name, (given, _) in inputs.items():
        check_type(name, given)
        if series is not None and len(as_list(given)) != len(as_list(series)):
            raise ValueError(
                f"`{name}` must hold one series for each of `{prefix}series`, "
                f"{len(as_list(series))}; got {len(as_list(given))}."
            )
    if series is None:
        return
    for name, (given, ahead) in inputs.items():
        for position, (target, one) in enumerate(zip(as_list(series), as_list(given), strict=True)):
            first, last = target.start_time(), target.end_time() + ahead * target.freq
            _check_steps(label(name, given, position), one, first, last, target, remedy)
            _check_values(label(name, given, position), one, first, last, largest)


def check_static_covariates(name: str, series: Any) -> None:
    """Raise if static covariates are not those of all series, or not finite."""
    tables = [one.static_covariates for one in as_list(series)]
    kinds = [None if table is None else (list(table.columns), len(table)) for table in tables]
    for position, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ValueError(
                f"{label(name, series, position)} must have the static covariates of the first "
                f"series, {kinds[0] and kinds[0][0]}; got {kind and kind[0]}. Add them to each "
                "series in one order, or choose `use_static_covariates=False`."
            )
    for position, one in enumerate(as_list(series)):
        table = one.static_covariates
        numbers = None if table is None else table.select_dtypes("number")
        if numbers is not None and not np.isfinite(numbers.to_numpy(dtype=float)).all():
            finite = np.isfinite(numbers.to_numpy(dtype=float)).all(axis=0)
            raise ValueError(
                f"the static covariates of {label(name, series, position)} must be finite; "
                f"{numbers.columns[~finite][0]!r} is not. Fill its gaps first, or choose "
                "`use_static_covariates=False`."
            )


def check_length(name: str, series: Any, minimum: int, reason: str) -> None:
    """Raise if a series has fewer than ``minimum`` steps, which ``reason`` asks for."""
    for position, one in enumerate(as_list(series)):
        if len(one) < minimum:
            raise ValueError(
                f"{label(name, series, position)} must have at least {minimum} steps "
                f"({reason}); got {len(one)}. Give a longer series or choose shorter chunks."
            )


def check_weights(name: str, given: Any) -> None:
    """Raise unless sample weights are finite, none negative, and not all zero.

    One that is not a number would spoil every loss, and training would keep what it began with.
    """
    if given is None or isinstance(given, str):  # Darts makes those that a name stands for
        return
    check_type(name, given)
    for position, one in enumerate(as_list(given)):
        values = one.all_values(copy=False)
        bad = ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            step, component, sample = np.argwhere(bad)[0]
            raise ValueError(
                f"{label(name, given, position)} must hold finite weights of at least 0; component "
                f"{one.components[component]!r} is {values[step, component, sample]} at "
                f"{one.time_index[step]}. Give 0 to steps that are not to count."
            )
    if not any(one.all_values(copy=False).any() for one in as_list(given)):
        raise ValueError(f"`{name}` must hold a weight above 0; got zeros only.")


def check_one_path(name: str, given: Any) -> None:
    """Raise if covariates of several sample paths would join calendar features, which are one."""
    for position, one in enumerate(as_list(given)):
        if one.is_stochastic:
            raise ValueError(
                f"{label(name, given, position)} must be one path beside calendar features; "
                f"got {one.n_samples} samples. Give its `mean()` or a quantile, or choose "
                "`time_features=False`."
            )


def as_list(series: Any) -> list[Any]:
    """Make a list of one series, of a sequence of them, or of None."""
    if series is None:
        return []
    return list(series) if isinstance(series, Sequence) else [series]


def label(name: str, given: Any, position: int) -> str:
    """Name an argument, and the position in it where it holds several series."""
    return f"`{name}[{position}]`" if len(as_list(given)) > 1 else f"`{name}`"


def check_type(name: str, given: Any, *, required: bool = False) -> None:
    """Raise unless ``given`` is a series of floats or a sequence of them, or None."""
    if isinstance(given, pd.Series | pd.DataFrame | np.ndarray | str):
        raise ValueError(
            f"`{name}` must be a Darts TimeSeries or a sequence of them; got "
            f"{type(given).__name__}. Convert it with `TimeSeries.from_series`, "
            "`TimeSeries.from_dataframe` or `TimeSeries.from_values`."
        )
    if required and not as_list(given):
        raise ValueError(f"`{name}` must hold at least one Darts TimeSeries; got {given!r}.")
    for position, one in enumerate(as_list(given)):
        if not isinstance(one, TimeSeries):
            raise ValueError(
                f"{label(name, given, position)} must be a Darts TimeSeries; got "
                f"{type(one).__name__}. Convert it with `TimeSeries.from_series`, "
                "`TimeSeries.from_dataframe` or `TimeSeries.from_values`."
            )
        if not np.issubdtype(one.dtype, np.floating):
            raise ValueError(
                f"{label(name, given, position)} must hold floating-point numbers; got dtype "
                f"{one.dtype}. Convert it with `series.astype(np.float32)`."
            )


def _check_steps(
    name: str, given: TimeSeries, first: Any, last: Any, target: TimeSeries, remedy: str
) -> None:
    """Raise unless a series has the steps of ``target`` from ``first`` to ``last``."""
    # Darts looks at the latest window only: an earlier one would get values of other steps.
    index = given.time_index
    if given.freq == target.freq and first in index and last in index:
        return
    raise ValueError(
        f"{name} must have the steps from {first} to {last}, {target.freq_str} apart as in the "
        f"series; got {index[0]} to {index[-1]}, {given.freq_str} apart. {remedy}"
    )


def _check_values(name: str, series: TimeSeries, first: Any, last: Any, largest: float) -> None:
    """Raise if ``series`` is not finite or above ``largest`` between two steps, both included."""
    values = series.all_values(copy=False)
    largest = min(largest, float(np.finfo(values.dtype).max))
    if np.abs(values).max() <= largest:
        return
    index = series.time_index
    used = np.asarray((index >= first) & (index <= last))[:, None, None]
    bad = ~np.isfinite(values) & used
    large = (np.abs(values) > largest) & used
    if bad.any() or large.any():
        step, component, sample = np.argwhere(bad if bad.any() else large)[0]
        found = f"component {series.components[component]!r} is {values[step, component, sample]}"
    if bad.any():
        raise ValueError(
            f"{name} must hold finite values; {found} at {index[step]}. Fill gaps first, for "
            "example with `darts.utils.missing_values.fill_missing_values`."
        )
    if large.any():
        raise ValueError(
            f"{name} must hold values of a magnitude up to {largest:.0e}, whose squares the "
            f"network can still square; {found} at {index[step]}. Scale it first, for example with "
            "`darts.dataprocessing.transformers.Scaler`."
        )
