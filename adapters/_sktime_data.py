"""Private: the series of an sktime container, and the arrays that a network takes of them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from informer_forecaster._network.config import LARGEST_VALUE

from ._sktime_index import (
    Step,
    business_periods_allowed,
    check_labels,
    check_steps,
    labels_after,
    listed,
    missing_labels,
    size_of,
    step_in_time,
    step_of,
    to_stamps,
)
from .time_features import TimeFeatures, informative_features

FILL_IT = "Fill it first, for example with `Imputer() * InformerForecaster(...)`."

Key = tuple[Hashable, ...]
Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
Arrays = tuple[Float32Array, Float32Array | None, Float32Array | None]


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
        if len(new.y) >= enough and len(earlier):
            if len(missing_labels(y.index, self.step)):
                y = new.y
        else:
            check_steps(y.index, self.step, "y", self.name)
        return replace(self, y=y, X=join_rows(self.X, new.X))

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
    def tail(self, rows: int) -> Instance:
        """Keep the last ``rows`` rows, and the exogenous rows from there on."""
        y = self.y.iloc[-rows:]
        X = None if self.X is None else self.X.loc[self.X.index >= y.index[0]]
        return replace(self, y=y, X=X)


@dataclass(frozen=True, eq=False)
class Layout:
    """Which columns a network was trained on, in their order, and the scale of the exogenous ones.

    The exogenous columns share one scale over all series: a price or a holiday means the same in
    each, and a series in which it never changed has no scale of its own.
    """

    y_columns: list[Hashable]
    past_columns: list[Hashable]
    future_columns: list[Hashable]
    features: tuple[str, ...]
    center: pd.Series[float]
    scale: pd.Series[float]

    @property
    def exogenous_columns(self) -> list[Hashable]:
        """All exogenous columns."""
        return [*self.past_columns, *self.future_columns]

    def history(self, instance: Instance) -> Arrays:
        """Target, past and future covariates over all rows of ``instance``."""
        labels = instance.y.index
        past = self._exogenous(instance, self.past_columns, labels)
        return self._target(instance), past, self._future(instance, labels)

    def window(self, instance: Instance, rows: int, known: int, ahead: int) -> Arrays:
        """As :meth:`history` for the last ``rows`` rows, the future ones with ``ahead`` more.

        A shorter series is filled up with its first row. Of the steps ahead the first ``known``
        must have exogenous rows. The last of them stands for all others, also where those have a
        row, so that a forecast does not depend on rows behind its last step.
        """
        instance = instance.tail(rows)
        labels = instance.y.index
        ahead_too = labels.append(labels_after(labels, instance.step, ahead))
        padding = ((rows - len(labels), 0), (0, 0))
        target, past, future = (
            self._target(instance),
            self._exogenous(instance, self.past_columns, labels),
            self._future(instance, ahead_too, fill=ahead - known),
        )
        return (
            np.pad(target, padding, mode="edge"),
            None if past is None else np.pad(past, padding, mode="edge"),
            None if future is None else np.pad(future, padding, mode="edge"),
        )

    def _target(self, instance: Instance) -> Float32Array:
        """Scaled values, ``(T, C)``."""
        values = (instance.y.to_numpy(dtype=np.float64) - instance.center) / instance.scale
        return narrow(values, instance.y, "y", instance.name)

    def _future(
        self, instance: Instance, labels: pd.Index[Any], fill: int = 0
    ) -> Float32Array | None:
        """Future-known columns and calendar features at ``labels``."""
        parts = [self._exogenous(instance, self.future_columns, labels, fill)]
        if self.features:
            parts.append(TimeFeatures(self.features)(to_stamps(labels)).astype(np.float32))
        found = [part for part in parts if part is not None]
        return np.concatenate(found, axis=1) if found else None

    def _exogenous(
        self, instance: Instance, columns: list[Hashable], labels: pd.Index[Any], fill: int = 0
    ) -> Float32Array | None:
        """Columns of X at ``labels``; the row before the last ``fill`` stands for these."""
        if not columns:
            return None
        known = labels[: len(labels) - fill]
        rows = pd.DataFrame(columns=columns) if instance.X is None else instance.X[columns]
        missing = known.difference(rows.index[rows.notna().all(axis=1)])
        if len(missing):
            raise ValueError(
                f"`X` must have a row with {', '.join(map(repr, columns))} for each step of the "
                f"look-back window and each step up to the last one in `fh`; {instance.name} "
                f"lacks {listed(missing)}. Give these rows, or name columns that are not known "
                "ahead in `past_covariates`."
            )
        values = (rows.reindex(known).reindex(labels).ffill() - self.center) / self.scale
        values = values[columns]
        return narrow(values.to_numpy(dtype=np.float64), values, "X", instance.name)


def make_layout(
    instances: Sequence[Instance],
    past_columns: Collection[Hashable],
    *,
    time_features: bool | Literal["all"],
    scaled: bool,
) -> Layout:
    """Find the columns, their scale and the calendar features that suit the step."""
    first = instances[0]
    tables = [instance.X for instance in instances if instance.X is not None]
    X = pd.concat(tables) if tables else pd.DataFrame(index=first.y.index)
    center, scale = spread(X.to_numpy(dtype=np.float64), scaled)
    return Layout(
        y_columns=list(first.y.columns),
        past_columns=[column for column in X.columns if column in past_columns],
        future_columns=[column for column in X.columns if column not in past_columns],
        features=choose_features(instances, time_features),
        center=pd.Series(center, index=X.columns),
        scale=pd.Series(scale, index=X.columns),
    )


def choose_features(
    instances: Sequence[Instance], time_features: bool | Literal["all"]
) -> tuple[str, ...]:
    """Names of the calendar features to learn from; `True` for those whose cycles come again."""
    if not time_features:
        return ()
    if time_features == "all" or isinstance(instances[0].step, int):
        return features_of(instances[0])
    indices = [(each.y.index, each.step) for each in instances]
    ends = [to_stamps(labels_after(index, step, 1))[0] for index, step in indices]
    spans = [end - to_stamps(index)[0] for end, (index, _) in zip(ends, indices, strict=True)]
    return features_of(instances[0], max(spans))


def features_of(instance: Instance, span: pd.Timedelta | None = None) -> tuple[str, ...]:
    """Names of the calendar features that suit the step of a series; none if it counts."""
    if isinstance(instance.step, int):
        return ()
    return informative_features(step_in_time(instance.y.index, instance.step), span)


def check_features(instance: Instance, layout: Layout) -> None:
    """Raise unless the calendar features of the network are those that suit the series' step.

    A network without any can forecast every series.
    """
    features = features_of(instance)
    # The longest cycles come last: a short training part leaves these out.
    if layout.features == features[: len(layout.features)]:
        return
    raise ValueError(
        "`y` must have a step of the same calendar features as those that the network was trained "
        f"on, {', '.join(layout.features)}; a step of {size_of(instance.y.index, instance.step)} "
        f"has {', '.join(features) or 'none'}. Train on series of this step, or with "
        "`time_features=False`."
    )


def split_series(table: pd.DataFrame | None) -> dict[Key, pd.DataFrame]:
    """Separate the series of a table, in their order; the key of a single series is empty."""
    if table is None:
        return {}
    if not isinstance(table.index, pd.MultiIndex):
        return {(): table}
    levels: Any = list(range(table.index.nlevels - 1))
    if len(levels) == 1:
        # pandas below 3 gives the keys of a list of one level without their tuples, and warns.
        groups = table.groupby(level=0, sort=False)
        return {(key,): rows.droplevel(0) for key, rows in groups}
    return {key: rows.droplevel(levels) for key, rows in table.groupby(level=levels, sort=False)}


def name_of(key: Key) -> str:
    """How messages call a series."""
    return "the series" if not key else f"series {key[0] if len(key) == 1 else key!r}"


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
    tables, exogenous = split_series(y), split_series(X)
    step = step or step_of(max((table.index for table in tables.values()), key=len))
    if step is None:
        raise ValueError(
            "`y` must have a regular time step; none can be told from its index. Give more rows, "
            "or an index with a `freq`."
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
            check_labels(rows.index, table.index[0], step, "X", name)
            check_finite(rows, "X", name)
            rows = rows.astype(np.float64)
        center, scale = spread(table.to_numpy(dtype=np.float64), scaled)
        instances[key] = Instance(name, table.astype(np.float64), rows, step, center, scale)
    return instances


@business_periods_allowed()
def join_future(instances: Mapping[Key, Instance], X: pd.DataFrame | None) -> dict[Key, Instance]:
    """Add the exogenous rows of a forecast to those that each series has."""
    tables = split_series(X)
    joined = {}
    for key, instance in instances.items():
        rows = tables.get(key)
        if rows is not None:
            check_labels(rows.index, instance.y.index[0], instance.step, "X", instance.name)
            check_finite(rows, "X", instance.name)
        joined[key] = replace(instance, X=join_rows(instance.X, rows))
    return joined


def select_columns(
    argument: str,
    table: pd.DataFrame,
    columns: list[Hashable],
    optional: Collection[Hashable] = (),
) -> pd.DataFrame:
    """Bring the columns of ``table`` into the order of training, those ``optional`` if present.

    A single column of ``y`` may have any name; one of ``X`` would be another quantity.

    Raises
    ------
    ValueError
        If they are not those of training.
    """
    given = list(table.columns)
    if argument == "y" and len(given) == len(columns) == 1:
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


def spread(values: Float64Array, scaled: bool) -> tuple[Float64Array, Float64Array]:
    """Mean and deviation of each column; about 1 for a constant one, 0 and 1 if not scaled."""
    columns = values.shape[1]
    if not scaled:
        return np.zeros(columns), np.ones(columns)
    center = values.mean(axis=0)
    deviation = values.std(axis=0)
    # The deviation of equal numbers need not be an exact zero, nor their mean one of them.
    rounding = 1e-9 * np.abs(values).max(axis=0)
    return center, np.where(deviation <= rounding, np.maximum(rounding, 1.0), deviation)


def join_rows(old: pd.DataFrame | None, new: pd.DataFrame | None) -> pd.DataFrame | None:
    """Join exogenous rows; values of ``new`` replace those of the same time stamps."""
    if old is None or new is None:
        return old if new is None else new
    return new.astype(np.float64).combine_first(old)[old.columns]


def check_finite(table: pd.DataFrame, argument: str, name: str) -> None:
    """Raise unless every value of ``table`` is a finite number, and one that can be scaled."""
    values = table.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        found = _first(~np.isfinite(values), table, name)
        raise ValueError(f"`{argument}` must hold finite numbers; {found}. {FILL_IT}")
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


@business_periods_allowed()
def steps_ahead(fh: Any, instance: Instance) -> npt.NDArray[np.int64]:
    """Steps from the end of a series to each entry of a forecasting horizon.

    Raises
    ------
    ValueError
        If an entry is none of the time stamps that follow.
    """
    values: Any = fh.to_pandas()
    if fh.is_relative and pd.api.types.is_integer_dtype(values.dtype):
        return np.asarray(values, dtype=np.int64)
    index, last = instance.y.index, instance.y.index[-1]
    wanted = last + values if fh.is_relative else values
    count = 1
    labels = labels_after(index, instance.step, count)
    while labels[-1] < wanted.max():
        count *= 2
        labels = labels_after(index, instance.step, count)
    found = labels.get_indexer(wanted)
    if (found < 0).any():
        raise ValueError(
            f"`fh` must hold time stamps that follow the last one of {instance.name}, {last}, by "
            f"whole "
            f"steps; got {listed(wanted[found < 0])}. Leave these out."
        )
    return found.astype(np.int64) + 1
