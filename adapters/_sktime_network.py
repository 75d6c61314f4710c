"""Private: one network for all series, trained and asked through Darts; copies carry it whole.

Imported when a network is first needed, as Darts and Lightning are slow to import.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from darts import TimeSeries

from informer_forecaster._training.runs import Progress, available, quiet

from ._sktime_columns import Arrays, Columns
from ._sktime_frames import Float32Array, Float64Array, Instance, Key
from ._sktime_time import Positions, labels_after
from ._sktime_trainer import Trainer, for_forecasts, for_training
from .darts import InformerModel

if TYPE_CHECKING:
    from informer_forecaster.explain import Explanation

Scales = dict[Key, Any]  # center and scale of each series, (2, C)


class SharedNetwork:
    """An :class:`InformerModel` for all series of a table; pickle and deepcopy carry it whole.

    Darts drops the network from its own copies. Each call is told by ``trainer`` where to compute.

    Parameters
    ----------
    columns : Columns
        Columns, calendar features and the scale of the exogenous columns.
    quantiles : tuple of float or None
        Quantiles that the model forecasts, symmetric around 0.5; ``None`` for the mean.
    model : InformerModel
        The model; with a quantile regression of these quantiles as likelihood.

    Attributes
    ----------
    epochs_trained : int
        Epochs that the last training ran.
    scales : dict
        Of a network from a file: center and scale of the series that it was fitted on.
    """

    def __init__(
        self, columns: Columns, quantiles: tuple[float, ...] | None, model: InformerModel
    ) -> None:
        self.columns = columns
        self.quantiles = quantiles
        self.model = model
        model._own_calendar = len(columns.calendar)
        self.epochs_trained = 0
        self.scales: Scales = {}

    @property
    def input_chunk_length(self) -> int:
        """Steps of the look-back window."""
        return int(self.model.input_chunk_length)

    @property
    def output_chunk_length(self) -> int:
        """Steps forecast in one pass."""
        return int(self.model.output_chunk_length)

    @property
    def rows_needed(self) -> int:
        """Rows from which one training window can be made."""
        return self.input_chunk_length + self.output_chunk_length

    def renamed(self, names: list[Any]) -> SharedNetwork:
        """The same network for as many columns of other names, in their order."""
        renamed = copy.copy(self)
        renamed.columns = self.columns.renamed(names)
        return renamed

    def train(
        self,
        instances: Sequence[Instance],
        *,
        epochs: int | None,
        trainer: Trainer,
        progress: bool = False,
    ) -> list[str]:
        """Train from the present weights on the series that are long enough; name the others.

        For as many ``epochs``, or for those of the model where it is 0 or ``None``.

        Raises
        ------
        ValueError
            If no series is long enough, or the trainer cannot run here.
        """
        training = [one for one in instances if len(one.y) >= self.rows_needed]
        if not training:
            raise ValueError(
                f"`y` must have at least {self.rows_needed} rows to train: `input_chunk_length` + "
                f"output chunk, {self.input_chunk_length} + {self.output_chunk_length}; got "
                f"{max(len(one.y) for one in instances)}. Give a longer series or choose shorter "
                "lengths."
            )
        series = _as_series([self.columns.arrays(one) for one in training])
        asked = available(trainer) if self.epochs_trained else trainer
        bar = [Progress()] if progress else []
        try:
            with quiet(), for_training(asked, *bar) as arguments:
                self.model.trainer_params = arguments
                self.model.fit(**series, epochs=int(epochs or 0))
        finally:
            # Copies of a network would hold copies of what watched its training.
            self.model.trainer_params = for_forecasts(trainer)
        self.epochs_trained = self.model.trainer.current_epoch
        self._forget()
        return [one.name for one in instances if len(one.y) < self.rows_needed]

    def forecast(
        self,
        instances: Mapping[Key, Instance],
        steps: Mapping[Key, Positions],
        *,
        trainer: Trainer,
    ) -> dict[Key, Float64Array]:
        """Forecast each series at its ``steps`` ahead, ``(len(steps), C, P)`` in its own units.

        Beyond the output chunk the medians are fed back as if they had been observed.

        Raises
        ------
        ValueError
            If exogenous rows are missing.
        """
        furthest = max(int(ahead.max()) for ahead in steps.values())
        length = self.output_chunk_length
        num_chunks = math.ceil(furthest / length)
        windows = [
            self._window(one, int(steps[key].max()), num_chunks * length)
            for key, one in instances.items()
        ]
        self.model.trainer_params = for_forecasts(trainer)
        chunks: list[list[Float32Array]] = []
        with quiet():
            for _ in range(num_chunks):
                chunks.append(self._forecast_chunk(windows))
                windows = [
                    window._replace(target=np.r_[window.target, chunk[..., self.middle]])
                    for window, chunk in zip(windows, chunks[-1], strict=True)
                ]
        return {
            key: one.in_units(np.concatenate(parts)[steps[key] - 1])
            for (key, one), parts in zip(instances.items(), zip(*chunks, strict=True), strict=True)
        }

    def explain(self, instance: Instance, steps: Positions, names: Sequence[Any]) -> Explanation:
        """Explain the mean or median at ``steps`` ahead, with ``names`` for the columns of `y`.

        What a value adds is measured against the means of the series' own rows.

        Raises
        ------
        ValueError
            If a step lies outside the output chunk, or the series does not fill the look-back.
        """
        # Here, as it imports what draws the plots.
        from informer_forecaster.explain import InformerExplainer

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
        background = _as_series([self._window(instance, int(steps.max()), horizon)])
        with quiet():
            explainer = InformerExplainer(self.model, *background.values(), sort_quantiles=True)
            every = list(explainer.target_components_likelihood)
            middle = every[self.middle :: len(self.quantiles or (0,))]
            result = explainer.explain(horizons=steps.tolist(), target_components=middle)
        times = instance.y.index[-lookback:]
        times = times.append(labels_after(times, instance.step, horizon))
        past, future = self.columns.past, [*self.columns.future, *self.columns.calendar]
        columns = {"target": names, "pastcov": past, "futcov": future, "statcov": []}
        return result.explanations[0].restated(
            times,
            instance.step,
            instance.y.iloc[-lookback:].set_axis(list(map(str, names)), axis=1),
            {kind: list(map(str, each)) for kind, each in columns.items()},
            (instance.center, instance.scale),
        )

    @property
    def middle(self) -> int:
        """Which parameter is the point forecast: the median, or the mean alone."""
        return 0 if self.quantiles is None else self.quantiles.index(0.5)

    def _window(self, instance: Instance, known: int, ahead: int) -> Arrays:
        """The look-back window of a series, and ``ahead`` steps of which ``known`` have rows."""
        rows = self.input_chunk_length
        return self.columns.arrays(instance.between(-rows, ahead=True), rows, known, ahead)

    def _forecast_chunk(self, windows: Sequence[Arrays]) -> list[Float32Array]:
        """Forecast one output chunk of each window, ``(H, C, P)``."""
        forecasts = self.model.predict(
            n=self.output_chunk_length,
            **_as_series(windows),
            predict_likelihood_parameters=self.quantiles is not None,
            show_warnings=False,
            random_state=0,
        )
        shape = (self.output_chunk_length, -1, len(self.quantiles or (0,)))
        arrays = [forecast.values(copy=False).reshape(shape) for forecast in forecasts]
        return [np.sort(array, axis=2) for array in arrays]

    def _forget(self) -> None:
        """Drop what a later call does not need: the data, and what training left on the device."""
        model, module = self.model, self.model.model
        model.training_series = None
        model.past_covariate_series = model.future_covariate_series = None
        # Lightning's module points to its trainer, and so to the training data.
        model.trainer = module.trainer = None
        module.cpu()
        for part in module.modules():
            # Of the last batch, such as the statistics of the instance norm.
            for name, value in vars(part).items():
                if isinstance(value, torch.Tensor):
                    setattr(part, name, None)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "module": self.model.model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.model, self.model.model = state["model"], state.pop("module")
        self.__dict__.update(state)


def _as_series(arrays: Sequence[Arrays]) -> dict[str, list[TimeSeries] | None]:
    """Darts series of the arrays, each on an axis of its own that counts from 0."""

    def convert(found: Sequence[npt.NDArray[np.float32] | None]) -> list[TimeSeries] | None:
        return [TimeSeries.from_values(one) for one in found if one is not None] or None

    return {
        "series": convert([each.target for each in arrays]),
        "past_covariates": convert([each.past for each in arrays]),
        "future_covariates": convert([each.future for each in arrays]),
    }
