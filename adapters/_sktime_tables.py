"""Private: the tables of an sktime container: series, columns, and whether values can be used."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from informer_forecaster._network.config import LARGEST_VALUE

from ._sktime_index import THE_SERIES, business_periods_allowed

Key = tuple[Hashable, ...]
UNNAMED: set[Any] = {None, 0}  # what sktime calls the column of an array or a nameless series
Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]


def split_series(argument: str, table: pd.DataFrame | None) -> dict[Key, pd.DataFrame]:
    """Separate the series of a table, in their order; the key of a single series is empty.

    Raises
    ------
    ValueError
        If a row lacks the label of its series: pandas would drop it without a word.
    """
    if table is None:
        return {}
    if not isinstance(table.index, pd.MultiIndex):
        return {(): table}
    for number, level in enumerate(table.index.names[:-1]):
        unlabelled = np.asarray(table.index.get_level_values(number).isna())
        if unlabelled.any():
            name = repr(level) if level is not None else f"number {number}"
            raise ValueError(
                f"`{argument}` must have a label for each series in every level of its index; "
                f"level {name} has none in {unlabelled.sum()} of {len(table)} rows, the first at "
                f"{table.index[unlabelled][0][-1]}. Give these rows a label, or leave them out."
            )
    levels: Any = list(range(table.index.nlevels - 1))
    # Categories left over from a larger table are no series; pandas below 3 would make them some.
    if len(levels) == 1:
        # pandas below 3 gives the keys of a list of one level without their tuples, and warns.
        groups = table.groupby(level=0, sort=False, observed=True)
        return {(key,): rows.droplevel(0) for key, rows in groups}
    groups = table.groupby(level=levels, sort=False, observed=True)
    return {key: rows.droplevel(levels) for key, rows in groups}


def name_of(key: Key) -> str:
    """How messages call a series."""
    return THE_SERIES if not key else f"series {key[0] if len(key) == 1 else key!r}"


def select_columns(
    argument: str,
    table: pd.DataFrame,
    columns: list[Hashable],
    optional: Collection[Hashable] = (),
) -> pd.DataFrame:
    """Bring the columns of ``table`` into the order of training, those ``optional`` if present.

    A single column of ``y`` may lack a name, as an array does; another would be another quantity.

    Raises
    ------
    ValueError
        If they are not those of training.
    """
    given = list(table.columns)
    if argument == "y" and len(given) == len(columns) == 1 and {*given, *columns} & UNNAMED:
        return table.set_axis(columns, axis=1)
    wanted = [c for c in columns if c in given or c not in optional]
    if set(given) != set(wanted):
        raise ValueError(
            f"`{argument}` must have the columns that the network was trained on, {columns}; got "
            f"{given}. Give these columns, or fit again."
        )
    return table[wanted]


@business_periods_allowed()
def label_rows(labels: Mapping[Key, pd.Index[Any]], names: list[Any]) -> pd.Index[Any]:
    """Join the row labels of all series, with the series' keys as upper levels."""
    times = list(labels.values())
    time = times[0].append(times[1:])
    if () in labels:
        return time.rename(names[-1])
    keys = [key for key, one in labels.items() for _ in one]
    return pd.MultiIndex.from_arrays([*zip(*keys, strict=True), time], names=names)


def join_rows(old: pd.DataFrame | None, new: pd.DataFrame | None) -> pd.DataFrame | None:
    """Join exogenous rows; values of ``new`` replace those of the same time stamps."""
    if old is None or new is None:
        return old if new is None else new
    return new.astype(np.float64).combine_first(old)[old.columns]


def spread(values: Float64Array, scaled: bool) -> tuple[Float64Array, Float64Array]:
    """Mean and deviation of each column; about 1 for a constant one, 0 and 1 if left as it is."""
    columns = values.shape[1]
    if not scaled or not len(values):
        return np.zeros(columns), np.ones(columns)
    center = values.mean(axis=0)
    deviation = values.std(axis=0)
    # The deviation of equal numbers need not be an exact zero, nor their mean one of them.
    rounding = 1e-9 * np.abs(values).max(axis=0)
    return center, np.where(deviation <= rounding, np.maximum(rounding, 1.0), deviation)


def fill(argument: str) -> str:
    """Say how missing values of `y` or `X` are filled; sktime's pipelines tell the two apart."""
    joint = "*" if argument == "y" else "**"
    return f"Fill it first, for example with `Imputer() {joint} InformerForecaster(...)`."


def check_finite(table: pd.DataFrame, argument: str, name: str) -> None:
    """Raise unless every value of ``table`` is a finite number, and one that can be scaled."""
    values = table.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        found = _first(~np.isfinite(values), table, name)
        raise ValueError(f"`{argument}` must hold finite numbers; {found}. {fill(argument)}")
    _check_size(values, LARGEST_VALUE[64], table, argument, name)


def narrow(values: Float64Array, table: pd.DataFrame, argument: str, name: str) -> Float32Array:
    """Values of ``table`` in the units of the network, as 32-bit floats.

    Raises
    ------
    ValueError
        If one is too large to train on.
    """
    _check_size(values, LARGEST_VALUE[32], table, argument, name)
    return values.astype(np.float32)


def _check_size(
    values: Float64Array, largest: float, table: pd.DataFrame, argument: str, name: str
) -> None:
    large = np.abs(values) > largest
    if large.any():
        raise ValueError(
            f"`{argument}` must hold numbers of a magnitude up to {largest:.0e}, after scaling if "
            f"there is a `scaler`; {_first(large, table, name)}. Use `scaler='standard'`, leave "
            "out what is no measurement, or choose another unit."
        )


def _first(bad: npt.NDArray[np.bool_], table: pd.DataFrame, name: str) -> str:
    """Name the first value of ``table`` that is ``bad``."""
    row, column = np.argwhere(bad)[0]
    value = table.iloc[row, column]
    return f"column {table.columns[column]!r} of {name} is {value} at {table.index[row]}"
