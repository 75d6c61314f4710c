"""Private: the network as one of Darts' Lightning modules. Tensors in and out, no series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

import torch
from darts.utils.data.torch_datasets.utils import TorchInferenceBatch, TorchTrainingBatch

from informer_forecaster._network.inputs import Inputs
from informer_forecaster._training.defaults import LEARNING_RATE, WIDTH_OF_RATE
from informer_forecaster._training.gains import windows_apart
from informer_forecaster._training.intervals import best_factor, losses_by_factor, scale_intervals
from informer_forecaster._training.linear_forecast import LinearForecast, SeriesNorm
from informer_forecaster._training.parameters import begin_at, move_start, start_parameters
from informer_forecaster._training.recipe import TrainingRecipe
from informer_forecaster._training.share import SHARES, agreed_share, usual_share
from informer_forecaster._training.start import fit_start
from informer_forecaster._training.windows import TrainingWindows, Windows

from ._darts_forecast import Forecasts
from ._darts_likelihoods import loss_degree, unit_scale

Batch = TypeVar("Batch", TorchTrainingBatch, TorchInferenceBatch)


class _InformerModule(TrainingRecipe, Forecasts):
    """The Informer in Darts' Lightning module, and how it is trained.

    Parameters
    ----------
    compile_network : bool
        Whether ``torch.compile`` runs the network.
    **kwargs
        Fields of :class:`InformerConfig` and parameters of ``TrainingRecipe``; all are
        primitive, as they become hyper-parameters of the checkpoint.
    """

    optimizer_cls: Any  # Darts leaves these without a type
    optimizer_kwargs: dict[str, Any]

    def __init__(self, compile_network: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.optimizer_cls is torch.optim.Adam:
            self.slows_down = "lr" not in self.optimizer_kwargs
            share = min(1.0, WIDTH_OF_RATE / self.network.config.d_model)
            self.optimizer_kwargs = {"lr": share * LEARNING_RATE, **self.optimizer_kwargs}
        self._begins = False  # at a start that this training has found
        if compile_network:
            # In place, so that the names of the parameters stay. Not `fullgraph`: torch compiles a
            # function for eight networks of a process at most, and then has to run it as it is.
            self.network.compile()

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
        if self.trainer.ckpt_path is None:
            self._begins = False
        skip = self.network.lookback_skip
        if self.has_start and skip is not None and skip.is_zero:
            self._begin_at_linear_forecast()

    def _begin_at_linear_forecast(self) -> None:
        # What a network is weighed against may not have seen the windows that judge both.
        found = self._fit_start(whole=not self.trainer.max_epochs)
        if found is not None:
            scale = unit_scale(self.likelihood)
            begin_at(self.network, *start_parameters(found, self._quantiles, scale))
            self._begins = True

    def learn_the_rest(self) -> None:
        """Let the start learn from the windows that were held back, too, once they have judged."""
        skip = self.network.lookback_skip
        has_seen_all = self.trainer.limit_train_batches != 1.0  # that it may see
        if skip is None or not self._begins or has_seen_all:
            return
        found = self._fit_start(whole=True, rescale=False)
        if found is not None:
            move_start(skip, found, num_moved=len(self._quantiles or [None]))

    def _fit_start(self, *, whole: bool, rescale: bool = True) -> LinearForecast | None:
        windows = TrainingWindows(self.trainer, self._windows, whole=whole)
        norm = self.rin or SeriesNorm(windows, self.add_up)
        parts = self.effects, self.components
        return fit_start(windows, norm, *parts, self.add_up, rescale=rescale)

    @property
    def _quantiles(self) -> list[float] | None:
        return getattr(self.likelihood, "quantiles", None)

    # A training that was interrupted knows whether its start has yet to learn the rest.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add whether the training began at a start of its own."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["begins"] = self._begins

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read whether the training began at a start of its own."""
        super().on_load_checkpoint(checkpoint)
        self._begins = checkpoint.get("begins", False)

    def _windows(self, fold: int, batch: TorchTrainingBatch) -> Windows:
        """Read a batch of Darts for the start."""
        batch = self._cast(batch)
        inputs = self._inputs(batch.to_module_input())
        return Windows(fold, inputs, batch.future_target, batch.sample_weight)

    def on_train_start(self) -> None:
        """Give the network the share that it keeps where nothing validates."""
        super().on_train_start()
        skip = self.network.lookback_skip
        if self.share is not None and skip is not None and not self.share:
            steps = self.trainer.estimated_stepping_batches
            self.share.fill_(1.0 if skip.is_zero else usual_share(steps))

    # The share of the network and the width of quantiles, once the best weights are in

    def choose_share(self) -> None:
        """Give the network the share by which the windows that validate are forecast best.

        As far as they can tell, of which few or none may have no steps in common.
        """
        if self.share is None:
            return

        def by_shares(inputs: Inputs, batch: TorchTrainingBatch) -> torch.Tensor:
            both = self.of_start(inputs), self.of_network(inputs)
            parts = [self.losses_of(torch.lerp(*both, share), batch) for share in SHARES]
            return torch.stack(parts, dim=1)

        losses, num_apart = self._judge(by_shares)
        degree = loss_degree(self.likelihood)
        self.share.fill_(agreed_share(losses, num_apart, self.add_up, degree))

    def calibrate(self) -> None:
        """Scale all distances to the median by the factor that forecasts best."""
        quantiles = self._quantiles
        if quantiles is None:
            return

        def by_factors(inputs: Inputs, batch: TorchTrainingBatch) -> torch.Tensor:
            forecast = self.forecast(inputs)
            return losses_by_factor(quantiles, forecast, batch.future_target, batch.sample_weight)

        losses, num_apart = self._judge(by_factors)
        factor = best_factor(losses, num_apart, self.add_up)
        scale_intervals(self.network, len(quantiles), factor)

    def _judge(
        self, losses_of: Callable[[Inputs, TorchTrainingBatch], torch.Tensor]
    ) -> tuple[torch.Tensor, float]:
        """Losses on the windows that validate, and how many of these have no steps in common."""
        losses, count, horizon = [], 0, 1
        with self.judging():
            for inputs, batch in self._validating():
                losses.append(losses_of(inputs, batch))
                count, horizon = count + len(batch.future_target), batch.future_target.shape[1]
        told = torch.cat(losses)
        told = told.to(torch.promote_types(told.dtype, torch.float32))  # half counts to 2048
        count = int(self.add_up(told.new_tensor(count)))
        return told, windows_apart(self.trainer.val_dataloaders, count, horizon)

    def _validating(self) -> Iterator[tuple[Inputs, TorchTrainingBatch]]:
        """Batches of the windows that validate."""
        (count,) = self.trainer.num_val_batches
        batches: Any = self.trainer.val_dataloaders
        for batch in islice(batches, int(count)):
            read = self._cast(self.trainer.strategy.batch_to_device(batch))
            yield self._inputs(read.to_module_input()), read

    def _cast(self, batch: Batch) -> Batch:
        """Cast the tensors of a batch to the dtype of the weights."""
        tensors = {
            name: value.to(self.dtype)
            for name in batch.__slots__
            if isinstance(value := getattr(batch, name), torch.Tensor)
        }
        return batch.replace(**tensors)
