"""Private: one network for all series of a table, between :class:`InformerForecaster` and Darts."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._sktime_data import Instance
from ._sktime_explanation import restate
from ._sktime_index import labels_after
from ._sktime_layout import Layout
from ._sktime_tables import Float64Array, Key

if TYPE_CHECKING:
    from informer_forecaster.explain import Explanation

    from ._model_holder import ModelHolder, Sample

Steps = npt.NDArray[np.int64]


class GlobalModel:
    """A network and the layout of its data; pickle and deepcopy carry both whole.

    Parameters
    ----------
    layout : Layout
        Columns, calendar features and the scale of the exogenous columns.
    quantiles : tuple of float or None
        Quantiles to forecast, symmetric around 0.5; ``None`` for the mean.
    **arguments
        Those of :class:`InformerModel`.
    """

    def __init__(
        self, layout: Layout, quantiles: tuple[float, ...] | None, **arguments: Any
    ) -> None:
        # Here, as Darts and Lightning are slow to import.
        from ._model_holder import ModelHolder

        self.layout = layout
        self.network: ModelHolder = ModelHolder(quantiles, **arguments)

    def for_columns(self, columns: list[Hashable]) -> GlobalModel:
        """The same network for as many columns of other names, in their order.

        Columns of which some bear a known name are left to be refused: their order means nothing.
        """
        known = self.layout.y_columns
        if len(columns) != len(known) or not set(columns).isdisjoint(known):
            return self
        model = copy.copy(self)
        model.layout = replace(self.layout, y_columns=columns)
        return model

    @property
    def input_chunk_length(self) -> int:
        """Steps of the look-back window."""
        return int(self.network.model.input_chunk_length)

    @property
    def output_chunk_length(self) -> int:
        """Steps forecast in one pass."""
        return int(self.network.model.output_chunk_length)

    @property
    def rows_needed(self) -> int:
        """Rows from which one training window can be made."""
        return self.input_chunk_length + self.output_chunk_length

    def train(
        self,
        instances: Collection[Instance],
        *,
        epochs: int,
        trainer: Mapping[str, Any],
        patience: int | None = None,
        validation_fraction: float = 0.0,
        progress: bool = False,
    ) -> list[str]:
        """Train on the series that are long enough, and name the others.

        Raises
        ------
        ValueError
            If none is.
        """
        from ._model_holder import Sample

        needed = self.rows_needed
        samples = [Sample(*self.layout.history(i)) for i in instances if len(i.y) >= needed]
        if not samples:
            raise ValueError(
                f"`y` must have at least {needed} rows to train: `input_chunk_length` + output "
                f"chunk, {self.input_chunk_length} + {self.output_chunk_length}; got "
                f"{max(len(i.y) for i in instances)}. Give a longer series or choose shorter "
                "lengths."
            )
        validation: list[Sample] = []
        if patience is not None:
            samples, validation = self._hold_back(samples, validation_fraction)
        self.network.train(
            samples,
            epochs=epochs,
            trainer=trainer,
            validation=validation,
            patience=patience,
            progress=progress,
        )
        return [i.name for i in instances if len(i.y) < needed]

    def forecast(
        self,
        instances: Mapping[Key, Instance],
        steps: Mapping[Key, Steps],
        *,
        trainer: Mapping[str, Any],
    ) -> dict[Key, Float64Array]:
        """Forecast each series at its ``steps`` ahead, ``(len(steps), C, P)`` in its own units.

        Raises
        ------
        ValueError
            If exogenous rows are missing, or a roll-out would need columns not known ahead.
        """
        furthest = max(int(ahead.max()) for ahead in steps.values())
        length = self.output_chunk_length
        if furthest > length and self.layout.past_columns:
            raise ValueError(
                "`past_covariates` are not known over a roll-out, so `fh` must not go beyond the "
                f"output chunk of {length} steps; got a step of {furthest}. Fit with "
                f"`output_chunk_length={furthest}` or more."
            )
        total = math.ceil(furthest / length) * length
        samples = [
            self._window(instance, int(steps[key].max()), total)
            for key, instance in instances.items()
        ]
        forecasts = self.network.forecast(samples, furthest, trainer=trainer)
        return {
            key: values[steps[key] - 1] * i.scale[:, None] + i.center[:, None]
            for (key, i), values in zip(instances.items(), forecasts, strict=True)
        }

    def explain(self, instance: Instance, steps: Steps, columns: Sequence[Any]) -> Explanation:
        """Explain the forecast of a series at its ``steps`` ahead, in the names ``columns``.

        Raises
        ------
        ValueError
            If a step lies outside the output chunk, or the series does not fill the look-back.
        """
        lookback, horizon = self.input_chunk_length, self.output_chunk_length
        if steps.min() < 1 or steps.max() > horizon:
            raise ValueError(
                f"`fh` must lie within the {horizon} steps that are forecast in one pass, to be "
                f"explained; got the steps {steps.tolist()}. Leave out the others, or fit with a "
                "larger `output_chunk_length`."
            )
        if len(instance.y) < lookback:
            raise ValueError(
                f"`y` must have {lookback} rows, the look-back window, to be explained; "
                f"{instance.name} has {len(instance.y)}. Give more rows, or choose a shorter "
                "`input_chunk_length`."
            )
        sample = self._window(instance, int(steps.max()), horizon)
        explanation = self.network.explain(sample, [int(step) for step in steps])
        times = instance.y.index[-lookback:]
        times = times.append(labels_after(times, instance.step, horizon))
        return restate(explanation, self.layout, instance, times, columns)

    def _window(self, instance: Instance, known: int, total: int) -> Sample:
        from ._model_holder import Sample

        return Sample(*self.layout.window(instance, self.input_chunk_length, known, total))

    def _hold_back(
        self, samples: list[Sample], fraction: float
    ) -> tuple[list[Sample], list[Sample]]:
        """Split off the end of each series that keeps a training window without it."""
        training, validation = [], []
        for sample in samples:
            rows = len(sample.target)
            kept = rows_to_train(rows, self.input_chunk_length, self.output_chunk_length, fraction)
            training.append(sample.rows(0, kept))
            if kept < rows:
                validation.append(sample.rows(kept - self.input_chunk_length, rows))
        if not validation:
            raise ValueError(
                f"`early_stopping_patience` needs a series with {self.rows_needed} rows to train "
                f"on besides {self.output_chunk_length} or more to validate on, {fraction:g} of "
                f"all; got {max(len(s.target) for s in samples)} rows. Give a longer series, a "
                "smaller `validation_fraction`, or `early_stopping_patience=None`."
            )
        return training, validation


def rows_to_train(rows: int, input_length: int, output_length: int, fraction: float) -> int:
    """How many of a series' rows train if ``fraction`` of them is to validate.

    All of them where a training window and the rows to validate do not both fit.

    Examples
    --------
    >>> from informer_forecaster.adapters._global_model import rows_to_train
    >>> rows_to_train(100, 12, 3, 0.2), rows_to_train(17, 12, 3, 0.2)
    (80, 17)
    """
    kept = rows - max(output_length, math.ceil(fraction * rows))
    return rows if kept < input_length + output_length else kept


def interpolate_quantiles(
    values: Float64Array, quantiles: Sequence[float], alpha: Sequence[float]
) -> Float64Array:
    """Quantiles ``alpha`` of the last axis of ``values``, from ascending ones at ``quantiles``.

    Linear in the quantiles of a normal distribution, also beyond the outer ones: exact for a normal
    distribution, and never crossing.

    Examples
    --------
    >>> import numpy as np
    >>> from informer_forecaster.adapters._global_model import interpolate_quantiles
    >>> interpolate_quantiles(np.array([[-1.0, 0.0, 1.0]]), (0.1, 0.5, 0.9), (0.1, 0.5)).tolist()
    [[-1.0, 0.0]]
    """
    probit = NormalDist().inv_cdf
    at = np.array([probit(q) for q in quantiles])
    wanted = np.array([probit(a) for a in alpha])
    left = np.clip(np.searchsorted(at, wanted) - 1, 0, len(at) - 2)
    weight = (wanted - at[left]) / (at[left + 1] - at[left])
    wanted_values: Float64Array = values[..., left] * (1 - weight)
    wanted_values += values[..., left + 1] * weight
    return wanted_values
