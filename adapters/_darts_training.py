"""Private: how the network is trained unless the user says otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, groupby, islice
from typing import Any

import torch
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.utils.data.torch_datasets.utils import TorchTrainingBatch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.trainer.states import TrainerFn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Subset

from ._best_weights import KeepBestWeights

WARM_UP_STEPS = 100  # at most; never more than a tenth of all steps
GRADIENT_NORM = 1.0


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

        scheduler = LambdaLR(configured, factor)
        return [configured], [{"scheduler": scheduler, "interval": "step"}]

    def on_train_start(self) -> None:
        """Give the first step its rate, now that the steps of the training can be counted."""
        super().on_train_start()
        schedule = self.lr_schedulers()
        is_ours = self.lr_scheduler_cls is None and isinstance(schedule, LambdaLR)
        if not is_ours or self.trainer.global_step:
            return
        first = rate_factor(0, self.trainer.estimated_stepping_batches)
        for group, rate in zip(schedule.optimizer.param_groups, schedule.base_lrs, strict=True):
            group["lr"] = rate * first

    def configure_callbacks(self) -> list[Callback]:
        """Stop early, unless the user stops by a rule of their own."""
        is_fit = self.trainer.state.fn == TrainerFn.FITTING
        if not is_fit or self._patience is None or not self.keeps_best_weights(self.trainer):
            return []
        return [KeepBestWeights(self._patience)]

    def keeps_best_weights(self, trainer: Any) -> bool:
        """Whether a training with this trainer stops early by itself, if a series validates."""
        # One of an earlier training holds that one's weights, and will be replaced.
        stoppers = [each for each in trainer.callbacks if isinstance(each, EarlyStopping)]
        is_given = any(not getattr(each, "has_ended", False) for each in stoppers)
        return self._patience is not None and not is_given

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
        keepers = [each for each in trainer.callbacks if isinstance(each, KeepBestWeights)]
        if not keepers or not trainer.val_dataloaders:
            return
        # No epoch has ended: callbacks and loggers of the user must not see one.
        callbacks, loggers = trainer.callbacks, trainer.loggers
        trainer.callbacks, trainer.loggers = keepers, []
        try:
            with torch.random.fork_rng(devices=[]):
                trainer.validating = True
                trainer.fit_loop.epoch_loop.val_loop.run()
                trainer.training = True
        finally:
            trainer.callbacks, trainer.loggers = callbacks, loggers
        for keeper in keepers:
            keeper.keep_start()

    def count_training_series(self) -> int:
        """Count the series that windows are cut from; one where the data set does not tell."""
        windows = self.trainer.train_dataloader.dataset
        per_series = getattr(windows, "max_samples_per_ts", None)
        return len(windows) // per_series if per_series else 1

    def training_folds(self, num_folds: int) -> Iterator[tuple[int, TorchTrainingBatch]]:
        """Go through the windows of one epoch in the order of the data set, each with its fold.

        Batches are on the device of the weights. A fold is a stretch of the data set, and holds
        whole series where there are enough of them.
        """
        count = self.count_training_series()
        loader = self.trainer.train_dataloader
        # Drawing the windows of the epoch must not change what training draws.
        with torch.random.fork_rng(devices=[]):
            batches = list(islice(loader.batch_sampler, int(self.trainer.num_training_batches)))
        indices = sorted(chain.from_iterable(batches))
        batch_size = max(map(len, batches), default=1)
        arguments = {"collate_fn": loader.collate_fn, "num_workers": loader.num_workers}
        size = len(loader.dataset) // count if count >= num_folds else 1
        parts = len(loader.dataset) // size
        for fold, items in groupby(indices, lambda index: index // size * num_folds // parts):
            subset = Subset(loader.dataset, list(items))
            for batch in DataLoader(subset, batch_size, **arguments):
                yield fold, self.trainer.strategy.batch_to_device(batch)


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
