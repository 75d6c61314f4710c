"""Private: the network as one of Darts' Lightning modules. Tensors in and out, no series."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from darts.utils.data.torch_datasets.utils import (
    PLModuleInput,
    PLModuleOutput,
    TorchInferenceBatch,
    TorchTrainingBatch,
)
from darts.utils.likelihood_models.torch import QuantileRegression
from darts.utils.torch import MonteCarloDropout

from informer_forecaster._network import Informer, InformerConfig
from informer_forecaster._network.component_lags import ComponentLags, exist_as_in_file
from informer_forecaster._network.config import ARCHITECTURE, DATA_FIELDS, LENGTHS
from informer_forecaster._network.dropout import drop
from informer_forecaster._network.effects import CovariateEffects
from informer_forecaster._network.inputs import Inputs
from informer_forecaster._training.defaults import LEARNING_RATE, WIDTH_OF_RATE
from informer_forecaster._training.intervals import ValidatedBatch, calibrate
from informer_forecaster._training.linear_forecast import SeriesNorm
from informer_forecaster._training.parameters import (
    begin_at,
    invert_softplus,
    leave_to_network,
    start_parameters,
)
from informer_forecaster._training.recipe import TrainingRecipe
from informer_forecaster._training.start import MOST_WINDOWS, fit_start
from informer_forecaster._training.windows import TrainingWindows, Windows

from ._darts_likelihoods import LOCATION_SCALE, keep_above_zero, moves_with_the_series
from ._darts_private import TellsLosses

NETWORK_FIELDS = ARCHITECTURE | DATA_FIELDS
Batch = TypeVar("Batch", TorchTrainingBatch, TorchInferenceBatch)


class _Dropout(MonteCarloDropout):
    """Dropout that Darts can keep active at prediction."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Drop values in training and with `mc_dropout=True`."""
        return drop(input, self.p) if self.mc_dropout_enabled else input


class _InformerModule(TrainingRecipe, TellsLosses):
    """The Informer in Darts' Lightning module.

    Parameters
    ----------
    compile_network : bool
        Whether ``torch.compile`` runs the network.
    **kwargs
        Fields of :class:`InformerConfig` and parameters of ``TrainingRecipe``; all are
        primitive, as they become hyper-parameters of the checkpoint.
    """

    likelihood: Any  # Darts leaves these without a type
    rin: Any
    optimizer_cls: Any
    optimizer_kwargs: dict[str, Any]

    def __init__(self, compile_network: bool = False, **kwargs: Any) -> None:
        super().__init__(**{k: v for k, v in kwargs.items() if k not in NETWORK_FIELDS})
        config = {k: v for k, v in kwargs.items() if k in NETWORK_FIELDS | LENGTHS}
        self.network = Informer(InformerConfig(**config), dropout=_Dropout)
        if self.optimizer_cls is torch.optim.Adam:
            self.slows_down = "lr" not in self.optimizer_kwargs
            share = min(1.0, WIDTH_OF_RATE / self.network.config.d_model)
            self.optimizer_kwargs = {"lr": share * LEARNING_RATE, **self.optimizer_kwargs}
        skip = self.network.lookback_skip
        moves = skip is not None and moves_with_the_series(self.likelihood)
        has_effects = moves and self.network.config.has_effects
        self.effects = CovariateEffects(self.network.config) if has_effects else None
        reads_others = moves and ComponentLags.suits(self.network.config)
        self.components = ComponentLags(self.network.config) if reads_others else None
        self.register_load_state_dict_pre_hook(exist_as_in_file)  # type: ignore[no-untyped-call]
        if skip is not None and moves:
            # Least squares sets it. Trained along, it follows the noise of the gradient.
            skip.requires_grad_(False)
        self._begins = False
        self._norm_eps = 0.0 if self.rin is None else self.rin.eps
        if compile_network:
            # In place, so that the names of the parameters stay. Not `fullgraph`: torch compiles a
            # function for eight networks of a process at most, and then has to run it as it is.
            self.network.compile()

    # Not Darts' `io_processor`: it would add the window's mean to the raw deviation of a Gaussian.

    def forward(self, x_in: PLModuleInput) -> PLModuleOutput:
        """Forecast ``(B, H, C, P)`` from the tensors of a batch."""
        return PLModuleOutput(prediction=self.forecast(self._inputs(x_in)))

    def forecast(self, inputs: Inputs) -> torch.Tensor:
        """Forecast ``(B, H, C, P)`` in the units of the target."""
        ahead = None
        if self.effects is not None:
            before, ahead = self.effects(inputs)
            inputs = self.effects.standardise(inputs._replace(target=inputs.target - before))
        by_others = None
        if self.components is not None and self.components.is_set:
            by_others = self.components(inputs.target)
        # NOTE[DIFF] the paper scales whole series only; here each window loses level and deviation.
        inputs = inputs._replace(target=self._normalise(inputs.target))
        if ahead is not None and self.network.step_head is not None:
            inputs = inputs._replace(effects=ahead if self.rin is None else ahead / self.rin.stdev)
        forecast = self.network(*inputs)
        # Mixed precision ends here: losses and inverse transforms run in the model's own dtype.
        forecast = keep_above_zero(forecast.to(inputs.target.dtype), self.likelihood)
        forecast = self._put_back_level_and_scale(forecast)
        for moved in (ahead, by_others):
            forecast = forecast if moved is None else self._move(forecast, moved.unsqueeze(3))
        return forecast

    @property
    def reads_covariates(self) -> bool:
        """Whether a covariate can change a forecast."""
        if bool(self.network.projection.weight.any()):
            return True
        return self.effects is not None and self.effects.reads_covariates

    def _move(self, forecast: torch.Tensor, effects: torch.Tensor) -> torch.Tensor:
        """Move the parameters ``(B, H, C, P)`` by the effects ``(B, H, C, 1)``."""
        if not isinstance(self.likelihood, tuple(LOCATION_SCALE)):
            return forecast + effects
        return torch.cat([forecast[..., :1] + effects, forecast[..., 1:]], dim=3)

    def _inputs(self, x_in: PLModuleInput) -> Inputs:
        """The network's inputs among those of Darts."""
        future = static = None
        if x_in.future_covariates is not None:
            future = x_in.concatenate_future_along_time()
        if x_in.static_covariates is not None:
            static = self._arrange_static(x_in.static_covariates, x_in.past_target.shape[2])
        return Inputs(x_in.past_target, x_in.past_covariates, future, static)

    def _normalise(self, past: torch.Tensor) -> torch.Tensor:
        """Take away level and deviation of each window ``(B, L, C)``, where that is wanted."""
        if self.rin is None:
            return past
        # In half precision 1e-12 is 0, and a constant window would be divided by it.
        self.rin.eps = max(self._norm_eps, torch.finfo(past.dtype).tiny)
        # Darts' own are constants to the gradient: what a step adds to a forecast would be wrong.
        self.rin.mean = past.mean(1, keepdim=True)
        # The exporter to ONNX leaves out a term of 1e-12, not a bound.
        variance = past.var(1, keepdim=True, unbiased=False)
        self.rin.stdev = variance.clamp(min=self.rin.eps).sqrt()
        normalised: torch.Tensor = self.rin.transform(past)
        return normalised

    def _arrange_static(self, static: torch.Tensor, num_targets: int) -> torch.Tensor:
        """Flatten ``(B, C or 1, S)``, or give each independent component its own row."""
        if self.network.config.channel_independent:
            return static.expand(-1, num_targets, -1)
        return static.flatten(1)

    def _put_back_level_and_scale(self, forecast: torch.Tensor) -> torch.Tensor:
        """Undo the instance norm in the parameters ``(B, H, C, P)`` of the likelihood."""
        if self.rin is None:
            return forecast
        if not isinstance(self.likelihood, tuple(LOCATION_SCALE)):
            inverse: torch.Tensor = self.rin.inverse(forecast)
            return inverse
        location = self.rin.inverse(forecast[..., :1])
        # The second parameter passes through a softplus later; its deviation scales, nothing else.
        stretch = self.rin.stdev
        if self.rin.affine:
            stretch = stretch / (self.rin.affine_weight.abs() + self.rin.eps**2)
        scale = F.softplus(forecast[..., 1]) * stretch
        return torch.cat([location, invert_softplus(scale).unsqueeze(3)], dim=3)

    # Series are float64 by default, whatever precision the trainer was asked for. The steps cast,
    # as Lightning warns of a module that has its own hook for this.

    def training_step(self, train_batch: TorchTrainingBatch, batch_idx: int) -> Any:
        """Compute the training loss of a batch."""
        return super().training_step(self._cast(train_batch), batch_idx)

    def validation_step(self, val_batch: TorchTrainingBatch, batch_idx: int) -> Any:
        """Compute the validation loss of a batch."""
        return super().validation_step(self._cast(val_batch), batch_idx)

    def predict_step(
        self, batch: TorchInferenceBatch, batch_idx: int, dataloader_idx: int | None = None
    ) -> Any:
        """Forecast a batch."""
        return super().predict_step(self._cast(batch), batch_idx, dataloader_idx)

    # The start, before Lightning validates it

    def on_fit_start(self) -> None:
        """Begin the first training at the best linear forecast."""
        super().on_fit_start()
        skip = self.network.lookback_skip
        if skip is not None and skip.is_zero and moves_with_the_series(self.likelihood):
            self._begin_at_linear_forecast()

    def _begin_at_linear_forecast(self) -> None:
        # As many columns as effects have fit some of what validates by chance.
        has_columns = self.effects is not None and self.effects.num_columns > 0
        is_compared = bool(self.trainer.max_epochs)
        enough = MOST_WINDOWS if has_columns and is_compared else math.inf
        windows = TrainingWindows(self.trainer, self._windows, enough)
        norm = self.rin or SeriesNorm(windows, self.add_up)
        found = fit_start(windows, norm, self.effects, self.components, self.add_up)
        if found is not None:
            quantiles = getattr(self.likelihood, "quantiles", None)
            shares = LOCATION_SCALE.items()
            share = next((s for cls, s in shares if isinstance(self.likelihood, cls)), None)
            day = None if self.effects is None else self.effects.day
            begin_at(self.network, *start_parameters(found, quantiles, share), day)
            self._begins = True

    def _windows(self, fold: int, batch: TorchTrainingBatch) -> Windows:
        """Read a batch of Darts for the start."""
        batch = self._cast(batch)
        inputs = self._inputs(batch.to_module_input())
        return Windows(fold, inputs, batch.future_target, batch.sample_weight)

    def on_train_start(self) -> None:
        """Leave a part of the map to the network, once Lightning has validated the whole of it."""
        super().on_train_start()
        begins, self._begins = self._begins, False
        # A head of each step reads the linear forecast, and takes of it what it likes. Without the
        # instance norm the map holds the level of the series, too.
        is_left = self.network.step_head is None and self.rin is not None
        if begins and is_left and self.will_keep_best_weights:
            leave_to_network(self.network, self.trainer.estimated_stepping_batches)

    # The width of quantiles, once the best weights are in

    def calibrate(self) -> None:
        """Scale all distances to the median by the factor that forecasts best."""
        if isinstance(self.likelihood, QuantileRegression):
            windows, quantiles = self._validated(), self.likelihood.quantiles
            calibrate(self, self.network, quantiles, windows, self.add_up)

    def _validated(self) -> Iterator[ValidatedBatch]:
        """Forecasts, values and weights of the windows that validate."""
        (count,) = self.trainer.num_val_batches
        batches: Any = self.trainer.val_dataloaders
        for batch in islice(batches, int(count)):
            read = self._cast(self.trainer.strategy.batch_to_device(batch))
            forecast = self.forecast(self._inputs(read.to_module_input()))
            yield forecast, read.future_target, read.sample_weight

    def _cast(self, batch: Batch) -> Batch:
        """Cast the tensors of a batch to the dtype of the weights."""
        tensors = {
            name: value.to(self.dtype)
            for name in batch.__slots__
            if isinstance(value := getattr(batch, name), torch.Tensor)
        }
        return batch.replace(**tensors)
