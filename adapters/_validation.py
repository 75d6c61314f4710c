"""Private: checks of Darts series, before any work starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.utils.likelihood_models.base import Likelihood

from informer_forecaster._network.config import check_integer


def check_inputs(
    series: Any,
    past_covariates: Any,
    future_covariates: Any,
    *,
    largest: float,
    prefix: str = "",
    past_steps_ahead: int = 0,
    future_steps_ahead: int = 0,
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
            _check_steps(label(name, given, position), one, first, last, target)
            _check_values(label(name, given, position), one, first, last, largest)


def check_arguments(arguments: dict[str, Any]) -> None:
    """Raise if an argument of the model, but not of the network, is outside its range.

    Numpy's integers become Python's, in place.
    """
    time_features = arguments["time_features"]
    if not isinstance(time_features, bool) and time_features != "all":
        raise ValueError(f"`time_features` must be True, False or 'all'; got {time_features!r}.")
    _check_encoders(arguments.get("add_encoders"))
    for name in ("use_static_covariates", "compile_network"):
        if not isinstance(arguments[name], bool):
            raise ValueError(f"`{name}` must be True or False; got {arguments[name]!r}.")
    norm = arguments["use_reversible_instance_norm"]
    if norm is not None and not (
        isinstance(norm, bool) or (isinstance(norm, dict) and norm.keys() <= {"affine", "eps"})
    ):
        raise ValueError(
            "`use_reversible_instance_norm` must be True, False, None, or a dictionary with the "
            f"keys 'affine' and 'eps'; got {norm!r}."
        )
    for name, minimum in (("output_chunk_shift", 0), ("batch_size", 1), ("n_epochs", 0)):
        if name in arguments:
            arguments[name] = check_integer(name, arguments[name], minimum)
    patience = arguments["early_stopping_patience"]
    if patience is not None:
        arguments["early_stopping_patience"] = check_integer("early_stopping_patience", patience, 1)
    if not callable(arguments.get("loss_fn", callable)):
        raise ValueError(
            f"`loss_fn` must be a torch loss module; got {arguments['loss_fn']!r}. Give for "
            "example `torch.nn.L1Loss()`."
        )
    likelihood = arguments.get("likelihood")
    if likelihood is not None and not isinstance(likelihood, Likelihood):
        raise ValueError(
            "`likelihood` must be an object of `darts.utils.likelihood_models.torch` or None; got "
            f"{likelihood!r}. Give for example `QuantileRegression()`."
        )


def _check_encoders(encoders: Any) -> None:
    """Raise unless the user's own encoders are in lists, which calendar features can join."""
    own = encoders.get("custom") if isinstance(encoders, dict) else encoders
    are_lists = isinstance(own, dict) and isinstance(own.get("future", []), list | tuple)
    if own is not None and not (are_lists and isinstance(encoders, dict)):
        raise ValueError(
            "`add_encoders` must be None or a dictionary, with encoders of one's own in lists, as "
            f"{{'custom': {{'future': [function]}}}}; got {encoders!r}."
        )


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


def _check_steps(name: str, given: TimeSeries, first: Any, last: Any, target: TimeSeries) -> None:
    """Raise unless a series has the steps of ``target`` from ``first`` to ``last``."""
    # Darts looks at the latest window only: an earlier one would get values of other steps.
    index = given.time_index
    if given.freq == target.freq and first in index and last in index:
        return
    raise ValueError(
        f"{name} must have the steps of the series from {first} to {last}, {target.freq_str} "
        f"apart; got {index[0]} to {index[-1]}, {given.freq_str} apart. Give the missing steps, or "
        "a shorter series."
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
