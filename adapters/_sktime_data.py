"""Private: the series of an sktime container, each with its step and its scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ._sktime_index import (
    TO_PERIOD,
    Step,
    business_periods_allowed,
    check_kind,
    check_labels,
    check_steps,
    listed,
    missing_labels,
    step_of,
)
from ._sktime_tables import (
    Float64Array,
    Key,
    check_finite,
    join_rows,
    name_of,
    split_series,
    spread,
)


@dataclass(frozen=True, eq=False)
class Instance:
    """One series: its rows, the exogenous rows known so far, its step, and its own scale."""

    name: str
    y: pd.DataFrame
    X: pd.DataFrame | None
    step: Step
    center: Float64Array
    scale: Float64Array

    @business_periods_allowed()
    def extend(self, new: Instance, enough: int) -> Instance:
        """Append the rows of ``new``, which replace those of the same and of later time stamps.

        Where a gap lies between the two, ``new`` stands alone if it has ``enough`` rows.
        """
        earlier = self.y.loc[self.y.index < new.y.index[0]]
        y = pd.concat([earlier, new.y])
        stands_alone = len(new.y) >= enough
        if not stands_alone:
            check_labels(y.index, y.index[0], self.step, "y", self.name)
        missing = missing_labels(y.index, self.step)
        if len(missing) and not stands_alone:
            raise ValueError(
                f"`y` must go on where the known rows of {self.name} end, or hold the {enough} "
                f"rows of a look-back window; got {len(new.y)} from {new.y.index[0]}, and none at "
                f"{listed(missing)}. Give the rows between, or more."
            )
        return replace(self, y=new.y if len(missing) else y, X=join_rows(self.X, new.X))

    def scaled_by(self, rows: int) -> Instance:
        """Take mean and deviation of the first ``rows`` rows only."""
        center, scale = spread(self.y.to_numpy(dtype=np.float64)[:rows], scaled=True)
        return replace(self, center=center, scale=scale)

    @business_periods_allowed()
    def head(self, rows: int) -> Instance:
        """Keep the first ``rows`` rows, and the exogenous rows up to there."""
        y = self.y.iloc[:rows]
        X = None if self.X is None else self.X.loc[self.X.index <= y.index[-1]]
        return replace(self, y=y, X=X)

    @business_periods_allowed()
    def exogenous_history(self) -> pd.DataFrame | None:
        """The exogenous rows from the first to the last time stamp of the series."""
        X, index = self.X, self.y.index
        return None if X is None else X.loc[(X.index >= index[0]) & (X.index <= index[-1])]

    @business_periods_allowed()
    def tail(self, rows: int) -> Instance:
        """Keep the last ``rows`` rows, and the exogenous rows from there on."""
        y = self.y.iloc[-rows:]
        X = None if self.X is None else self.X.loc[self.X.index >= y.index[0]]
        return replace(self, y=y, X=X)


@business_periods_allowed()
def make_instances(
    y: pd.DataFrame, X: pd.DataFrame | None, *, scaled: bool, step: Step | None = None
) -> dict[Key, Instance]:
    """Make an instance of each series, checked to be finite and without gaps.

    All have one ``step``, by default that of the longest series.

    Raises
    ------
    ValueError
        Naming the series and the first time stamp at fault.
    """
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
        check_steps(table.index, step, "y", name)
        check_finite(table, "y", name)
        if X is not None and key not in exogenous:
            raise ValueError(f"`X` must hold the same series as `y`; {name} is missing from it.")
        rows = exogenous.get(key)
        if rows is not None:
            check_kind(rows.index, table.index, "X", name)
            check_labels(rows.index, table.index[0], step, "X", name)
            check_finite(rows, "X", name)
            rows = rows.astype(np.float64)
        center, scale = spread(table.to_numpy(dtype=np.float64), scaled)
        instances[key] = Instance(name, table.astype(np.float64), rows, step, center, scale)
    return instances


@business_periods_allowed()
def join_future(instances: Mapping[Key, Instance], X: pd.DataFrame | None) -> dict[Key, Instance]:
    """Add the exogenous rows of a forecast to those that each series has."""
    tables = split_series("X", X)
    joined = {}
    for key, instance in instances.items():
        rows = tables.get(key)
        if rows is not None:
            check_kind(rows.index, instance.y.index, "X", instance.name)
            check_labels(rows.index, instance.y.index[0], instance.step, "X", instance.name)
            check_finite(rows, "X", instance.name)
        joined[key] = replace(instance, X=join_rows(instance.X, rows))
    return joined
