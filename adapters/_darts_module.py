"""Private: the network as one of Darts' Lightning modules. Tensors in and out, no series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from darts.utils.data.torch_datasets.utils import (
    PLModuleInput,
    PLModuleOutput,
    TorchInferenceBatch,
    TorchTrainingBatch,
)
from darts.utils.torch import MonteCarloDropout

from informer_forecaster._network import Informer, InformerConfig
from informer_forecaster._network.config import ARCHITECTURE, DATA_FIELDS, LENGTHS
from informer_forecaster._network.dropout import drop
from informer_forecaster._network.inputs import Inputs
from informer_forecaster._network.lookback_skip import LookbackSkip
from informer_forecaster._network.ridge import FOLDS

from ._darts_training import TrainingRecipe
from ._linear_start import (
    LOCATION_SCALE,
    SeriesNorm,
    fit_linear_map,
    invert_softplus,
    moves_with_the_series,
)

NETWORK_FIELDS = ARCHITECTURE | DATA_FIELDS
Batch = TypeVar("Batch", TorchTrainingBatch, TorchInferenceBatch)


class _Dropout(MonteCarloDropout):
    """Dropout that Darts can keep active at prediction."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Drop values in training and with `mc_dropout=True`."""
        return drop(input, self.p) if self.mc_dropout_enabled else input


class _InformerModule(TrainingRecipe):
    """The Informer in Darts' Lightning module.

    Parameters
    ----------
    compile_network : bool
        Whether ``torch.compile`` runs the network.
    **kwargs
        Fields of :class:`InformerConfig` and parameters of ``TrainingRecipe``; all are
        primitive, as they become hyper-parameters of the checkpoint.
    """

    def __init__(self, compile_network: bool = False, **kwargs: Any) -> None:
        super().__init__(**{k: v for k, v in kwargs.items() if k not in NETWORK_FIELDS})
        config = {k: v for k, v in kwargs.items() if k in NETWORK_FIELDS | LENGTHS}
        self.network = Informer(InformerConfig(**config), dropout=_Dropout)
        skip = self.network.lookback_skip
        if skip is not None and moves_with_the_series(self.likelihood):
            # Least squares sets it. Trained along, it follows the noise of the gradient.
            skip.requires_grad_(False)
        self._norm_eps = 0.0 if self.rin is None else self.rin.eps
        self._generators: tuple[torch.Tensor, list[torch.Tensor]] | None = None
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
        past = inputs.target
        # NOTE[DIFF] the paper scales whole series only; here each window loses level and deviation.
        forecast = self.network(*inputs._replace(target=self._normalise(past)))
        # Mixed precision ends here: losses and inverse transforms run in the model's own dtype.
        return self._put_back_level_and_scale(forecast.to(past.dtype))

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

    def training_step(self, train_batch: TorchTrainingBatch, batch_idx: int) -> torch.Tensor:
        """Compute the training loss of a batch."""
        loss: torch.Tensor = super().training_step(self._cast(train_batch), batch_idx)
        return loss

    def validation_step(self, val_batch: TorchTrainingBatch, batch_idx: int) -> torch.Tensor:
        """Compute the validation loss of a batch."""
        loss: torch.Tensor = super().validation_step(self._cast(val_batch), batch_idx)
        return loss

    def predict_step(
        self, batch: TorchInferenceBatch, batch_idx: int, dataloader_idx: int | None = None
    ) -> Any:
        """Forecast a batch."""
        return super().predict_step(self._cast(batch), batch_idx, dataloader_idx)

    # A training that was interrupted goes on with the random numbers that it would have drawn next.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state of torch's generators, which shuffle, drop and sample keys."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["generators"] = (torch.get_rng_state(), torch.cuda.get_rng_state_all())

    def on_fit_start(self) -> None:
        """Put the generators back where the checkpoint left them, if training resumes from one."""
        super().on_fit_start()
        if self._generators is not None and self.trainer.ckpt_path is not None:
            state, device_states = self._generators
            torch.set_rng_state(state.cpu())
            if len(device_states) == torch.cuda.device_count():
                torch.cuda.set_rng_state_all([each.cpu() for each in device_states])
        self._generators = None

    def on_train_start(self) -> None:
        """Begin the first training at the best linear forecast, and let every start compete."""
        super().on_train_start()
        skip = self.network.lookback_skip
        if skip is not None and skip.is_zero and moves_with_the_series(self.likelihood):
            self._begin_at_linear_forecast(skip)
        if self.trainer.ckpt_path is None:
            self.validate_start()

    def _batches_for_the_start(self) -> Iterator[tuple[int, TorchTrainingBatch]]:
        return ((fold, self._cast(batch)) for fold, batch in self.training_folds(FOLDS))

    def _begin_at_linear_forecast(self, skip: LookbackSkip) -> None:
        found = fit_linear_map(
            self._batches_for_the_start(),
            self.rin or SeriesNorm(self._batches_for_the_start(), self.trainer.strategy),
            self.likelihood,
            self.trainer.strategy,
            folds_are_apart=self.count_training_series() >= FOLDS,
        )
        if found is not None:
            skip.set_map(*found)
            torch.nn.init.zeros_(self.network.projection.weight)
            torch.nn.init.zeros_(self.network.projection.bias)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the generators for the training that may follow."""
        super().on_load_checkpoint(checkpoint)
        self._generators = checkpoint.get("generators")

    def _cast(self, batch: Batch) -> Batch:
        """Cast the tensors of a batch to the dtype of the weights."""
        tensors = {
            name: value.to(self.dtype)
            for name in batch.__slots__
            if isinstance(value := getattr(batch, name), torch.Tensor)
        }
        return batch.replace(**tensors)
