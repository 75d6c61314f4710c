"""Private: the columns of a network, and the arrays that it takes of a series."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from informer_forecaster.time_features import TimeFeatures, features_of_length

from ._sktime_frames import Float32Array, Instance, narrow, spread
from ._sktime_time import Times, labels_after, length_of, listed, size_of, span_of, to_stamps


class Arrays(NamedTuple):
    """What a network takes of one series, in its units; all arrays start at the same step.

    ``target`` is ``(T, C)``; ``past`` and ``future``, where there are such covariates, are
    ``(T, X)`` and ``(T + n, F)`` to forecast ``n`` steps.
    """

    target: Float32Array
    past: Float32Array | None
    future: Float32Array | None


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns that a network was trained on, in their order, and the scale of those of `X`.

    The exogenous columns share one scale over all series: a price or a holiday means the same in
    each, and a series in which it never changed has no scale of its own. ``step`` is the length of
    a step in the training.
    """

    y: list[Hashable]
    past: list[Hashable]
    future: list[Hashable]
    calendar: tuple[str, ...]
    center: pd.Series[float]
    scale: pd.Series[float]
    step: pd.Timedelta | None

    @property
    def exogenous(self) -> list[Hashable]:
        """All columns of `X`."""
        return [*self.past, *self.future]

    def renamed(self, names: list[Hashable]) -> Columns:
        """The same columns under other names, in their order.

        Columns of which some bear a known name are left to be refused: their order means nothing.
        """
        is_other = len(names) == len(self.y) and set(names).isdisjoint(self.y)
        return replace(self, y=names) if is_other else self

    def arrays(self, instance: Instance, rows: int = 0, known: int = 0, ahead: int = 0) -> Arrays:
        """The arrays of a series, with ``ahead`` more steps of what is known ahead.

        A series shorter than ``rows`` is filled up with its first row. Of the steps ahead the first
        ``known`` must have exogenous rows. The last of them stands for all others, also where these
        have a row, so that a forecast does not depend on rows after its last step.
        """
        labels = instance.y.index
        later = labels.append(labels_after(labels, instance.step, ahead)) if ahead else labels
        target = (instance.y.to_numpy(dtype=np.float64) - instance.center) / instance.scale
        past = self._exogenous(instance, self.past, labels)
        future = self._exogenous(instance, self.future, later, fill=ahead - known)
        if self.calendar:
            calendar = TimeFeatures(self.calendar)(to_stamps(later)).astype(np.float32)
            future = calendar if future is None else np.concatenate([future, calendar], axis=1)
        padding = ((max(rows - len(labels), 0), 0), (0, 0))
        found = (narrow(target, instance.y, "y", instance.name), past, future)
        filled = (None if one is None else np.pad(one, padding, mode="edge") for one in found)
        return Arrays(*filled)  # type: ignore[arg-type]

    def _exogenous(
        self, instance: Instance, columns: list[Hashable], labels: Times, fill: int = 0
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
        values = ((rows.reindex(known).reindex(labels).ffill() - self.center) / self.scale)[columns]
        return narrow(values.to_numpy(dtype=np.float64), values, "X", instance.name)

    def check_reach(self, furthest: int, length: int) -> None:
        """Raise if steps beyond an output chunk would need past columns, which end with `y`."""
        if furthest > length and self.past:
            raise ValueError(
                f"`fh` must lie within the {length} steps that are forecast in one pass, as "
                f"`past_covariates`, here {listed([*map(str, self.past)])}, end with `y`; got step "
                f"{furthest}. Give `fit` the `fh`, more rows, or a larger `output_chunk_length`, "
                "or leave columns that are known ahead out of `past_covariates`."
            )

    def check_step(self, instance: Instance) -> None:
        """Raise unless a series has a step of the length that calendar features were trained on.

        A network without calendar features can forecast every series.
        """
        step = length_of(instance.y.index, instance.step)
        if self.step and self.calendar and not (step and 0.8 < step / self.step < 1.25):
            raise ValueError(
                "`y` must have a step of the length that the network was trained on, "
                f"{self.step}, as calendar features depend on it; got a step of "
                f"{size_of(instance.y.index, instance.step)}. Train on series of this step, or "
                "with `time_features=False`."
            )


def make_columns(
    instances: Sequence[Instance],
    past: Collection[Hashable],
    *,
    time_features: bool | Literal["all"],
    scaled: bool,
) -> Columns:
    """Find the columns, their scale and the calendar features that suit the step."""
    first = instances[0]
    # Rows after the last of `y` are given to `fit` or to `predict`: no forecast depends on where.
    tables = [rows for one in instances if (rows := one.between(0).X) is not None]
    X = pd.concat(tables) if tables else pd.DataFrame(index=first.y.index)
    center, scale = spread(X.to_numpy(dtype=np.float64), scaled)
    step = length_of(first.y.index, first.step)
    calendar: tuple[str, ...] = ()
    if time_features and step is not None:
        # Only features whose cycles come again in the data can be learnt from.
        longest = max(span_of(one.y.index, one.step) for one in instances)
        calendar = features_of_length(step, None if time_features == "all" else longest)
    return Columns(
        y=list(first.y.columns),
        past=[column for column in X.columns if column in past],
        future=[column for column in X.columns if column not in past],
        calendar=calendar,
        center=pd.Series(center, index=X.columns),
        scale=pd.Series(scale, index=X.columns),
        step=step,
    )
