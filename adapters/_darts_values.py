"""Private: what is checked of series by themselves: how many, their steps, values and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from darts import TimeSeries
from darts.typing import TimeSeriesLike

from ._darts_series import as_list, label


def check_type(name: str, given: TimeSeriesLike | None, *, required: bool = False) -> None:
    """Raise unless ``given`` is a series or a sequence of them, or None."""
    if required and not as_list(given):
        raise ValueError(f"`{name}` must hold at least one Darts TimeSeries; got {given!r}.")
    for position, one in enumerate(as_list(given)):
        if not isinstance(one, TimeSeries):
            raise ValueError(
                f"{label(name, given, position)} must be a Darts TimeSeries; got "
                f"{type(one).__name__}. Convert it with `TimeSeries.from_series`, "
                "`TimeSeries.from_dataframe` or `TimeSeries.from_values`."
            )


def check_one_path(name: str, given: TimeSeriesLike | None) -> None:
    """Raise if covariates of several sample paths would join calendar features, which are one."""
    for position, one in enumerate(as_list(given)):
        if one.is_stochastic:
            raise ValueError(
                f"{label(name, given, position)} must be one path beside calendar features; "
                f"got {one.n_samples} samples. Give its `mean()` or a quantile, or choose "
                "`time_features=False`."
            )


def check_lists(inputs: Mapping[str, TimeSeriesLike | None]) -> None:
    """Raise unless each argument has a series for each target, all with as many components."""
    target, series = next(iter(inputs.items()))
    for name, every in inputs.items():
        ones = as_list(every)
        if ones and len(ones) != len(as_list(series)):
            raise ValueError(
                f"`{name}` must hold one series for each of `{target}`, {len(as_list(series))}; "
                f"got {len(ones)}."
            )
        for position, one in enumerate(ones):
            if one.n_components != ones[0].n_components:
                raise ValueError(
                    f"{label(name, every, position)} must have as many components as the first "
                    f"series of the list, {ones[0].n_components}; got {one.n_components}. Give the "
                    "missing ones, or train a model for each kind of series."
                )


def check_inputs(
    inputs: Mapping[str, TimeSeriesLike | None],
    ahead: Sequence[int],
    largest: float,
    *,
    trained: int | None = None,
    remedy: str = "Give the missing steps, or a shorter series.",
) -> None:
    """Raise unless target and covariates are finite over the steps that are used.

    Parameters
    ----------
    inputs : mapping of str to darts.TimeSeries, sequence of them, or None
        What the user passed by argument, the target first.
    ahead : sequence of int
        Steps after the target's end for which each of them is used.
    largest : float
        Magnitude above which a value is refused: of `LARGEST_VALUE`.
    trained : int, optional
        Steps at the end of each series that are used, where that are not all.
    remedy : str
        What to do where the covariates lack some of these steps.

    Raises
    ------
    ValueError
        Naming the argument, and for a value the series, component and first time stamp.
    """
    series = as_list(next(iter(inputs.values())))
    if not series:
        return
    check_lists(inputs)
    targets = [one if trained is None else one[-trained:] for one in series]
    for (name, given), steps in zip(inputs.items(), ahead, strict=True):
        for position, one in enumerate(as_list(given)):
            here = label(name, given, position)
            used = _used_steps(here, one, targets[position], steps, remedy)
            _check_values(here, one, used, largest)


def _used_steps(name: str, given: TimeSeries, target: TimeSeries, ahead: int, remedy: str) -> slice:
    """Positions of the steps from the start of ``target`` to ``ahead`` steps after its end.

    By position, as the stamps of an offset may have two names (17:00 and 9:00 of business hours).
    """
    shared = given.time_index.intersection(target.time_index)
    if given.freq == target.freq and len(shared):
        shift = given.time_index.get_loc(shared[0]) - target.time_index.get_loc(shared[0])
        first, stop = shift, shift + len(target) + ahead
        if first >= 0 and stop <= len(given):
            return slice(first, stop)
    last = target.end_time()
    for _ in range(ahead):
        last += target.freq  # not every offset can be multiplied
    after = f" and {ahead} steps more, to {last}" if ahead > 0 else ""
    before = f" less {-ahead} steps" if ahead < 0 else ""
    raise ValueError(
        f"{name} must have the steps from {target.start_time()} to {target.end_time()}{after}"
        f"{before}, {target.freq_str} apart as in the series; got {given.start_time()} to "
        f"{given.end_time()}, {given.freq_str} apart. {remedy}"
    )


def _check_values(name: str, series: TimeSeries, steps: slice, largest: float) -> None:
    """Raise if ``series`` is not finite or above ``largest`` at some of the steps."""
    values = series.all_values(copy=False)[steps]
    largest = min(largest, float(np.finfo(values.dtype).max))
    if not values.size or np.abs(values).max() <= largest:
        return
    if not np.isfinite(values).all():
        raise ValueError(
            f"{name} must hold finite values; {_first(series[steps], ~np.isfinite(values))}. Fill "
            "gaps first, for example with `darts.utils.missing_values.fill_missing_values`."
        )
    raise ValueError(
        f"{name} must hold values of a magnitude up to {largest:.2g}, whose squares the "
        f"network can still square; {_first(series[steps], np.abs(values) > largest)}. Scale it "
        "first, for example with `darts.dataprocessing.transformers.Scaler`."
    )


def _first(series: TimeSeries, bad: npt.NDArray[np.bool_]) -> str:
    """Name the first value of a series that is ``bad``."""
    step, component, sample = np.argwhere(bad)[0]
    value = series.all_values(copy=False)[step, component, sample]
    return f"component {series.components[component]!r} is {value} at {series.time_index[step]}"


def check_static_covariates(name: str, series: TimeSeriesLike | None, largest: float) -> None:
    """Raise unless static covariates are of one kind in all series, finite and not too large."""
    tables = [one.static_covariates for one in as_list(series)]
    rows = [0 if one is None else len(one) for one in tables]
    otherwise = "or choose `use_static_covariates=False`."
    for position, table in enumerate(tables):
        here = label(name, series, position)
        if rows[position] != rows[0]:
            raise ValueError(
                f"the static covariates of {here} must have as many rows as those of the first "
                f"series, {rows[0]}: one that all components share, or one for each; got "
                f"{rows[position]}. Add or repeat rows, {otherwise}"
            )
        numbers = pd.DataFrame() if table is None else table.select_dtypes("number")
        good = np.abs(numbers.to_numpy(dtype=float)) <= largest
        if not good.all():
            raise ValueError(
                f"the static covariates of {here} must be finite, and of a magnitude up to "
                f"{largest:.2g}; {numbers.columns[~good.all(axis=0)][0]!r} is not. Fill its gaps, "
                f"scale it, for example with Darts' `StaticCovariatesTransformer`, {otherwise}"
            )


def check_length(name: str, series: TimeSeriesLike | None, minimum: int, reason: str) -> None:
    """Raise if a series has fewer than ``minimum`` steps, which ``reason`` asks for."""
    for position, one in enumerate(as_list(series)):
        if len(one) < minimum:
            raise ValueError(
                f"{label(name, series, position)} must have at least {minimum} steps "
                f"({reason}); got {len(one)}. Give a longer series or choose shorter chunks."
            )


def check_weights(name: str, given: TimeSeriesLike | str | None) -> None:
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
            raise ValueError(
                f"{label(name, given, position)} must hold finite weights of at least 0; "
                f"{_first(one, bad)}. Give 0 to steps that are not to count."
            )
    if not any(one.all_values(copy=False).any() for one in as_list(given)):
        raise ValueError(f"`{name}` must hold a weight above 0; got zeros only.")
