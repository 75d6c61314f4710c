"""Private: how the network is trained unless the user says otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.utils.data.torch_datasets.utils import TorchTrainingBatch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

WARM_UP_STEPS = 100  # at most; never more than a tenth of all steps
GRADIENT_NORM = 1.0


class KeepBestWeights(EarlyStopping):
    """Stop when the validation loss has not fallen for some epochs, and keep the best weights.

    Parameters
    ----------
    patience : int
        Epochs.
    """

    def __init__(self, patience: int) -> None:
        # At the end of an epoch there is no loss where no series validates.
        super().__init__("val_loss", patience=patience, check_on_train_epoch_end=False)
        self.best_weights: dict[str, Tensor] | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the validation loss, and copy the weights if none was lower."""
        before = float(self.best_score)
        super().on_validation_end(trainer, pl_module)
        if float(self.best_score) < before:
            weights = pl_module.state_dict()
            self.best_weights = {k: v.detach().cpu().clone() for k, v in weights.items()}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the best weights back, if this training validated: it may go on from one that did."""
        if self.best_weights is not None and trainer.val_dataloaders:
            pl_module.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """Collect what a training that resumes needs."""
        return {**super().state_dict(), "best_weights": self.best_weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the state of a checkpoint."""
        self.best_weights = state_dict["best_weights"]
        super().load_state_dict(state_dict)


class TrainingRecipe(PLForecastingModule):
    """Learning rate, clipping and early stopping where the user chose none.

    Parameters
    ----------
    early_stopping_patience : int or None
        Epochs without a lower validation loss after which training ends, if a series validates.
    **kwargs
        Parameters of ``PLForecastingModule``.
    """

    def __init__(self, early_stopping_patience: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._patience = early_stopping_patience

    def configure_optimizers(self) -> Any:
        """Make the optimizer; the learning rate warms up and decays unless a scheduler is given."""
        configured = super().configure_optimizers()
        if self.lr_scheduler_cls is not None:
            return configured

        def factor(step: int) -> float:
            # Asked for step 0 before the data are there: setting them up here would draw random
            # numbers, before a resumed training puts their generator back.
            total = self.trainer.estimated_stepping_batches if step else math.inf
            return rate_factor(step, total)

        scheduler = torch.optim.lr_scheduler.LambdaLR(configured, factor)
        return [configured], [{"scheduler": scheduler, "interval": "step"}]

    def configure_callbacks(self) -> list[Callback]:
        """Stop early, unless the user stops by a rule of their own."""
        is_fit = self.trainer.state.fn == TrainerFn.FITTING
        is_given = any(isinstance(each, EarlyStopping) for each in self.trainer.callbacks)
        if not is_fit or is_given or self._patience is None:
            return []
        return [KeepBestWeights(self._patience)]

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of the gradient, unless the trainer was told how to clip."""
        if gradient_clip_val is None:
            gradient_clip_val = GRADIENT_NORM
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def validate_start(self) -> None:
        """Let the weights that training begins at compete for the lowest validation loss."""
        trainer = self.trainer
        keeps_best = any(isinstance(each, KeepBestWeights) for each in trainer.callbacks)
        if not keeps_best or not trainer.val_dataloaders:
            return
        with torch.random.fork_rng(devices=[]):
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True

    def training_batches(self) -> Iterator[TorchTrainingBatch]:
        """Go through the batches of one epoch, on the device of the weights."""
        # Drawing their order must not change what training draws.
        with torch.random.fork_rng(devices=[]):
            for batch in islice(self.trainer.train_dataloader, self.trainer.num_training_batches):
                yield self.trainer.strategy.batch_to_device(batch)


def rate_factor(step: int, num_steps: float) -> float:
    """Share of the learning rate at a step: a linear warm-up, then half a cosine down to zero.

    Examples
    --------
    >>> from informer_forecaster.adapters._darts_training import rate_factor
    >>> [round(rate_factor(step, 1000), 2) for step in (0, 50, 100, 550, 1000)]
    [0.01, 0.5, 0.98, 0.42, 0.0]
    """
    warm_up = min(WARM_UP_STEPS, num_steps / 10)
    rise = min(1.0, (step + 1) / (warm_up + 1))
    # Without an end there is nothing to decay towards.
    progress = 0.0 if math.isinf(num_steps) else min(1.0, step / num_steps)
    return rise * (1 + math.cos(math.pi * progress)) / 2
