"""Private: checks of Darts series: types, steps, values, components, static covariates, weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.typing import TimeSeriesLike

INPUTS = ("series", "past_covariates", "future_covariates")


def check_inputs(
    series: TimeSeriesLike | None,
    past_covariates: TimeSeriesLike | None,
    future_covariates: TimeSeriesLike | None,
    *,
    largest: float,
    prefix: str = "",
    past_steps_ahead: int = 0,
    future_steps_ahead: int = 0,
    trained: int | None = None,
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
    trained : int, optional
        Steps at the end of each series that are used, where that are not all.
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
    if series is None:
        return
    check_lists({name: given for name, (given, _) in inputs.items()}, series, prefix)
    targets = [one if trained is None else one[-trained:] for one in as_list(series)]
    for name, (given, ahead) in inputs.items():
        for position, (target, one) in enumerate(zip(targets, as_list(given), strict=True)):
            here = label(name, given, position)
            check_values(here, one, _used_steps(here, one, target, ahead, remedy), largest)


def check_lists(
    given: Mapping[str, TimeSeriesLike | None], series: TimeSeriesLike, prefix: str = ""
) -> None:
    """Raise unless each argument has a series for each target, all with as many components."""
    for name, every in given.items():
        ones = as_list(every)
        if ones and len(ones) != len(as_list(series)):
            raise ValueError(
                f"`{name}` must hold one series for each of `{prefix}series`, "
                f"{len(as_list(series))}; got {len(ones)}."
            )
        for position, one in enumerate(ones):
            if one.n_components != ones[0].n_components:
                raise ValueError(
                    f"{label(name, every, position)} must have as many components as the first "
                    f"series of the list, {ones[0].n_components}; got {one.n_components}. Give the "
                    "missing ones, or train a model for each kind of series."
                )


def check_static_covariates(name: str, series: TimeSeriesLike | None, largest: float) -> None:
    """Raise unless static covariates are of one kind in all series, finite and not too large."""
    tables = [one.static_covariates for one in as_list(series)]
    columns = [None if table is None else list(table.columns) for table in tables]
    rows = [0 if table is None else len(table) for table in tables]
    for position, _ in enumerate(tables):
        here = label(name, series, position)
        if columns[position] != columns[0]:
            raise ValueError(
                f"{here} must have the static covariates of the first series, {columns[0]}; got "
                f"{columns[position]}. Add them to each series, or choose "
                "`use_static_covariates=False`."
            )
        if rows[position] != rows[0]:
            kinds = ("one row that all components share", "a row for each component")
            raise ValueError(
                f"the static covariates of {here} must have {kinds[rows[0] > 1]}, as those of the "
                f"first series; got {kinds[rows[position] > 1]}. Repeat the shared row, or choose "
                "`use_static_covariates=False`."
            )
    for position, table in enumerate(tables):
        if table is not None:
            _check_static_table(label(name, series, position), table, largest)


def _check_static_table(name: str, table: pd.DataFrame, largest: float) -> None:
    numbers = table.select_dtypes("number")
    values = np.abs(numbers.to_numpy(dtype=float))
    for rule, good, remedy in (
        ("finite", np.isfinite(values), "Fill its gaps first"),
        (
            f"of a magnitude up to {largest:.0e}",
            values <= largest,
            "Scale it, for example with Darts' `StaticCovariatesTransformer`",
        ),
    ):
        if not good.all():
            raise ValueError(
                f"the static covariates of {name} must be {rule}; "
                f"{numbers.columns[~good.all(axis=0)][0]!r} is not. {remedy}, or choose "
                "`use_static_covariates=False`."
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
            step, component, sample = np.argwhere(bad)[0]
            raise ValueError(
                f"{label(name, given, position)} must hold finite weights of at least 0; component "
                f"{one.components[component]!r} is {values[step, component, sample]} at "
                f"{one.time_index[step]}. Give 0 to steps that are not to count."
            )
    if not any(one.all_values(copy=False).any() for one in as_list(given)):
        raise ValueError(f"`{name}` must hold a weight above 0; got zeros only.")


def check_one_path(name: str, given: TimeSeriesLike | None) -> None:
    """Raise if covariates of several sample paths would join calendar features, which are one."""
    for position, one in enumerate(as_list(given)):
        if one.is_stochastic:
            raise ValueError(
                f"{label(name, given, position)} must be one path beside calendar features; "
                f"got {one.n_samples} samples. Give its `mean()` or a quantile, or choose "
                "`time_features=False`."
            )


def as_list(series: TimeSeriesLike | None) -> list[TimeSeries]:
    """Make a list of one series, of a sequence of them, or of None."""
    if series is None:
        return []
    return list(series) if isinstance(series, Sequence) else [series]


def label(name: str, given: TimeSeriesLike | None, position: int) -> str:
    """Name an argument, and the position in it where it holds several series."""
    return f"`{name}[{position}]`" if len(as_list(given)) > 1 else f"`{name}`"


def check_type(name: str, given: TimeSeriesLike | None, *, required: bool = False) -> None:
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


def _used_steps(name: str, given: TimeSeries, target: TimeSeries, ahead: int, remedy: str) -> slice:
    """Positions of the steps from the start of ``target`` to ``ahead`` steps after its end.

    By position, as the stamps of an offset may have two names (17:00 and 9:00 of business hours),
    and not every offset can be multiplied.
    """
    shared = given.time_index.intersection(target.time_index)
    if given.freq == target.freq and len(shared):
        shift = given.time_index.get_loc(shared[0]) - target.time_index.get_loc(shared[0])
        first, stop = shift, shift + len(target) + ahead
        if first >= 0 and stop <= len(given):
            return slice(first, stop)
    after = f" and {ahead} steps more" if ahead > 0 else ""
    before = f" less {-ahead} steps" if ahead < 0 else ""
    raise ValueError(
        f"{name} must have the steps from {target.start_time()} to {target.end_time()}{after}"
        f"{before}, {target.freq_str} apart as in the series; got {given.start_time()} to "
        f"{given.end_time()}, {given.freq_str} apart. {remedy}"
    )


def check_values(name: str, series: TimeSeries, steps: slice, largest: float) -> None:
    """Raise if ``series`` is not finite or above ``largest`` at some of the steps."""
    values = series.all_values(copy=False)[steps]
    largest = min(largest, float(np.finfo(values.dtype).max))
    if not values.size or np.abs(values).max() <= largest:
        return
    index = series.time_index[steps]
    bad = ~np.isfinite(values)
    large = np.abs(values) > largest
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
