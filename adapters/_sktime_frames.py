"""Private: tables of sktime to series and back."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from informer_forecaster._checks import LARGEST_VALUE

from ._sktime_time import (
    TO_PERIOD,
    Step,
    Times,
    check_kind,
    check_steps,
    is_whole,
    step_of,
)

Key = tuple[Hashable, ...]
Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
UNNAMED: set[Hashable] = {None, 0}  # what sktime calls the column of an array or nameless series


def __getattr__(name: str) -> Any:
    """Find the columns, which pickled forecasters of earlier versions name in this module."""
    if name == "Columns":
        return import_module("._sktime_columns", __package__).Columns
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def split_series(argument: str, table: pd.DataFrame | None) -> dict[Key, pd.DataFrame]:
    """Separate the series of a table, in their order; the key of a single series is empty.

    A row without the label of its series is refused: pandas would drop it without a word.
    """
    if table is None:
        return {}
    if not isinstance(table.index, pd.MultiIndex):
        return {(): table}
    levels = list(range(table.index.nlevels - 1))
    for number in levels:
        unlabelled = np.asarray(table.index.get_level_values(number).isna())
        if unlabelled.any():
            level = table.index.names[number]
            name = repr(level) if level is not None else f"number {number}"
            raise ValueError(
                f"`{argument}` must have a label for each series in every level of its index; "
                f"level {name} has none in {unlabelled.sum()} of {len(table)} rows, the first at "
                f"{table.index[unlabelled][0][-1]}. Give these rows a label, or leave them out."
            )
    # A list of one level would give keys without their tuples, and a warning, in pandas below 3.
    by: Any = levels if len(levels) > 1 else 0
    # Categories left over from a larger table are no series; pandas below 3 would make them some.
    groups: Any = table.groupby(level=by, sort=False, observed=True)
    return {
        key if len(levels) > 1 else (key,): rows.droplevel(levels if len(levels) > 1 else 0)
        for key, rows in groups
    }


def name_of(key: Key) -> str:
    """How messages call a series."""
    return "the series" if not key else f"series {key[0] if len(key) == 1 else key!r}"


def label_rows(labels: Mapping[Key, Times], names: list[Hashable]) -> Times:
    """Join the row labels of all series, with the series' keys as upper levels."""
    times = list(labels.values())
    time = times[0].append(times[1:])
    if () in labels:
        return time.rename(names[-1])
    keys = [key for key, one in labels.items() for _ in one]
    return pd.MultiIndex.from_arrays([*zip(*keys, strict=True), time], names=names)


def select_columns(
    argument: str,
    table: pd.DataFrame,
    columns: Sequence[Hashable],
    optional: Collection[Hashable] = (),
) -> pd.DataFrame:
    """Bring the columns of ``table`` into the order of training, those ``optional`` if present.

    A single column of ``y`` may lack a name, as an array does. Columns of other names are refused.
    """
    given = list(table.columns)
    if argument == "y" and len(given) == len(columns) == 1 and {*given, *columns} & UNNAMED:
        return table.set_axis(list(columns), axis=1)
    wanted = [c for c in columns if c in given or c not in optional]
    if given and not columns:
        raise ValueError(
            f"`{argument}` must be left out, as the network was trained without it; got {given}."
        )
    if set(given) != set(wanted):
        raise ValueError(
            f"`{argument}` must have the columns that the network was trained on, "
            f"{list(columns)}; got {given}. Give these columns, or fit again."
        )
    return table[wanted]


def check_finite(table: pd.DataFrame, argument: str, name: str) -> None:
    """Raise unless every value of ``table`` is a finite number, and one that can be scaled."""
    values = table.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        # sktime's pipelines tell `y` and `X` apart.
        joint = "*" if argument == "y" else "**"
        raise ValueError(
            f"`{argument}` must hold finite numbers; {_first(~np.isfinite(values), table, name)}. "
            f"Fill it first, for example with `Imputer() {joint} InformerForecaster(...)`."
        )
    _check_size(values, 64, table, argument, name)


def narrow(values: Float64Array, table: pd.DataFrame, argument: str, name: str) -> Float32Array:
    """Values of ``table`` in the units of the network, as 32-bit floats that are not too large."""
    _check_size(values, 32, table, argument, name)
    return values.astype(np.float32)


# By the bits of a number: which ones are meant, and what else makes them smaller.
_SIZES = {
    64: ("", "choose another unit"),
    32: (", after scaling if there is a `scaler`", "use `scaler='standard'` if there is none"),
}


def _check_size(
    values: Float64Array, bits: int, table: pd.DataFrame, argument: str, name: str
) -> None:
    largest, (which, remedy) = LARGEST_VALUE[bits], _SIZES[bits]
    if (large := np.abs(values) > largest).any():
        raise ValueError(
            f"`{argument}` must hold numbers of a magnitude up to {largest:.0e}{which}; "
            f"{_first(large, table, name)}. Leave out what is no measurement, or {remedy}."
        )


def _first(bad: npt.NDArray[np.bool_], table: pd.DataFrame, name: str) -> str:
    """Name the first value of ``table`` that is ``bad``."""
    row, column = np.argwhere(bad)[0]
    value = table.iloc[row, column]
    return f"column {table.columns[column]!r} of {name} is {value} at {table.index[row]}"


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


# Series


@dataclass(frozen=True, eq=False)
class Instance:
    """One series: its rows, the exogenous rows known so far, its step, and its own scale."""

    name: str
    y: pd.DataFrame
    X: pd.DataFrame | None
    step: Step
    center: Float64Array
    scale: Float64Array

    def in_units(self, values: Float32Array) -> Float64Array:
        """Put ``values`` of the network, ``(H, C, P)``, into the units of the series."""
        return np.asarray(values * self.scale[:, None] + self.center[:, None])

    def rescaled(self) -> Instance:
        """Take mean and deviation of the rows that are there now."""
        center, scale = spread(self.y.to_numpy(dtype=np.float64), scaled=True)
        return replace(self, center=center, scale=scale)

    def between(self, start: int, stop: int | None = None, *, ahead: bool = False) -> Instance:
        """Keep some rows and the exogenous rows of their time, with ``ahead`` also later ones."""
        y, X = self.y.iloc[start:stop], self.X
        if X is not None:
            X = X.loc[(X.index >= y.index[0]) & (ahead | (X.index <= y.index[-1]))]
        return replace(self, y=y, X=X)

    def with_known(self, rows: pd.DataFrame | None) -> Instance:
        """Add exogenous rows; they replace those of the same time stamps."""
        if rows is None:
            return self
        check_kind(rows.index, self.y.index, "X", self.name)
        check_finite(rows, "X", self.name)
        rows = rows.astype(np.float64)
        X = rows if self.X is None else rows.combine_first(self.X)[self.X.columns]
        return replace(self, X=X)

    def extend(self, new: Instance, enough: int) -> Instance:
        """Append the rows of ``new``, which replace those of the same and of later time stamps.

        Where a gap lies between the two, ``new`` stands alone if it has ``enough`` rows.
        """
        y = pd.concat([self.y.loc[self.y.index < new.y.index[0]], new.y])
        goes_on = is_whole(y.index, self.step)
        if not goes_on and len(new.y) < enough:
            raise ValueError(
                f"`y` must go on where the known rows of {self.name} end, {self.y.index[-1]}, by "
                f"whole steps, or hold the {enough} rows of a look-back window; got {len(new.y)} "
                f"from {new.y.index[0]}. Give the rows between, or more."
            )
        return replace(self.with_known(new.X), y=y if goes_on else new.y)


def make_instances(
    y: pd.DataFrame, X: pd.DataFrame | None, *, scaled: bool, step: Step | None = None
) -> dict[Key, Instance]:
    """Check each series to be finite and without gaps, by one step: that of the longest series."""
    if not len(y):
        raise ValueError("`y` must have rows; got none. Give a series.")
    tables, exogenous = split_series("y", y), split_series("X", X)
    step = step or step_of(max((table.index for table in tables.values()), key=len))
    if step is None:
        raise ValueError(
            "`y` must have a regular time step; none can be told from its index. Give more rows, "
            f"or an index with a `freq`. {TO_PERIOD}"
        )
    instances = {}
    for key, table in tables.items():
        name = name_of(key)
        check_steps(table.index, step, name)
        check_finite(table, "y", name)
        if X is not None and key not in exogenous:
            raise ValueError(f"`X` must hold the same series as `y`; {name} is missing from it.")
        center, scale = spread(table.to_numpy(dtype=np.float64), scaled)
        instance = Instance(name, table.astype(np.float64), None, step, center, scale)
        instances[key] = instance.with_known(exogenous.get(key))
    return instances


def as_known(instances: Mapping[Key, Instance], scales: Mapping[Key, Any]) -> dict[Key, Instance]:
    """Scale the series that are known by center and scale as they were then."""
    known = {key: scales[key] for key in instances if key in scales}
    scaled = {k: replace(instances[k], center=c, scale=s) for k, (c, s) in known.items()}
    return {**instances, **scaled}


def join_known(instances: Mapping[Key, Instance], X: pd.DataFrame | None) -> dict[Key, Instance]:
    """Add exogenous rows to those that each series has."""
    tables = split_series("X", X)
    return {key: one.with_known(tables.get(key)) for key, one in instances.items()}
