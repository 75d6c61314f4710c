"""Private: the columns that a network was trained on, and the arrays that it takes of a series."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from ._sktime_data import Instance
from ._sktime_index import labels_after, length_of, listed, size_of, step_in_time, to_stamps
from ._sktime_tables import Float32Array, narrow, spread
from .time_features import TimeFeatures, informative_features

Arrays = tuple[Float32Array, Float32Array | None, Float32Array | None]


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
    step: pd.Timedelta | None

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
                f"look-back window and each step up to the last one in `fh`, also those that `fh` "
                f"leaves out; {instance.name} "
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
    # Rows behind the last of `y` are given to `fit` or to `predict`: no forecast depends on where.
    tables = [rows for one in instances if (rows := one.exogenous_history()) is not None]
    X = pd.concat(tables) if tables else pd.DataFrame(index=first.y.index)
    center, scale = spread(X.to_numpy(dtype=np.float64), scaled)
    return Layout(
        y_columns=list(first.y.columns),
        past_columns=[column for column in X.columns if column in past_columns],
        future_columns=[column for column in X.columns if column not in past_columns],
        features=choose_features(instances, time_features),
        center=pd.Series(center, index=X.columns),
        scale=pd.Series(scale, index=X.columns),
        step=length_of(first.y.index, first.step),
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
    """Raise unless the series has the step, and the calendar features, of the training.

    A network without calendar features can forecast every series.
    """
    features = features_of(instance)
    # The longest cycles come last: a short training part leaves these out.
    if layout.features != features[: len(layout.features)]:
        raise ValueError(
            "`y` must have a step of the same calendar features as those that the network was "
            f"trained on, {', '.join(layout.features)}; a step of "
            f"{size_of(instance.y.index, instance.step)} has {', '.join(features) or 'none'}. "
            "Train on series of this step, or with `time_features=False`."
        )
    step = length_of(instance.y.index, instance.step)
    if layout.features and step and layout.step and not 0.8 < step / layout.step < 1.25:
        raise ValueError(
            "`y` must have a step of the length that the network was trained on, "
            f"{layout.step}; got {step}. Train on series of this step, or with "
            "`time_features=False`."
        )
