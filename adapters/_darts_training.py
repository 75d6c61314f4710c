"""Private: how the network is trained unless the user says otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

import torch
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.utils.data.torch_datasets.utils import TorchTrainingBatch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Subset

WARM_UP_STEPS = 100  # at most; never more than a tenth of all steps
GRADIENT_NORM = 1.0
STRETCHES = 5
STANDARD_ERRORS = 2.0  # of five stretches of noise, one in 17 gains as much; one in 5 at 1


class Validated(NamedTuple):
    """Weights, and their loss on each batch of the validation part."""

    weights: dict[str, Tensor]
    losses: Tensor


class KeepBestWeights(EarlyStopping):
    """Stop when the validation loss has not fallen for some epochs, and keep the best weights.

    Weights trained from a start that was validated have to be better than it by more than two
    standard errors over stretches of the validation part; otherwise the start is kept.

    Parameters
    ----------
    patience : int
        Epochs.
    """

    def __init__(self, patience: int) -> None:
        # At the end of an epoch there is no loss where no series validates.
        super().__init__("val_loss", patience=patience, check_on_train_epoch_end=False)
        self.best: Validated | None = None
        self.start: Validated | None = None
        self.has_ended = False
        self.measure: Tensor | None = None
        self._is_resumed = False
        self._losses: list[Tensor] = []
        self._measures: list[Tensor] = []

    def on_validation_batch_end(self, *arguments: Any) -> None:
        """Note loss, size and values of a batch; the first two arguments are trainer and module."""
        loss, batch = arguments[2:4]
        target = batch.future_target
        self._losses.append(loss.detach())
        self._measures.append(torch.stack([target.new_tensor(len(target)), target.abs().sum()]))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the validation loss, and copy the weights if none was lower."""
        losses, self._losses = self._losses, []
        measures, self._measures = self._measures, []
        if trainer.sanity_checking or not losses:
            return
        self._measure(trainer.strategy.reduce(torch.stack(measures).sum(0), reduce_op="sum").cpu())
        before = float(self.best_score)
        super().on_validation_end(trainer, pl_module)
        if float(self.best_score) < before:
            weights = pl_module.state_dict()
            copies = {k: v.detach().cpu().clone() for k, v in weights.items()}
            self.best = Validated(copies, torch.stack(losses))

    def _measure(self, measure: Tensor) -> None:
        """Forget the losses of a checkpoint that were measured on another validation part."""
        known = self.measure
        if self._is_resumed and (known is None or not torch.allclose(known, measure, rtol=1e-4)):
            self.best = self.start = None
            self.best_score, self.wait_count = torch.tensor(math.inf), 0
        self.measure, self._is_resumed = measure, False

    def keep_start(self) -> None:
        """Let what was validated last be the weights to improve on."""
        self.start = self.best

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the best weights back, if this training validated: it may go on from one that did."""
        self.has_ended = True
        if self.best is None or not trainer.val_dataloaders:
            return
        kept = self.best
        if self.start is not None:
            gains = average_stretches(self.start.losses - self.best.losses)
            if not is_beyond_chance(trainer.strategy.reduce(gains, reduce_op="mean")):
                kept = self.start
        pl_module.load_state_dict(kept.weights)

    def state_dict(self) -> dict[str, Any]:
        """Collect what a training that resumes needs."""
        validated = {"best": self.best, "start": self.start}
        tuples = {name: one and tuple(one) for name, one in validated.items()}
        return {**super().state_dict(), **tuples, "measure": self.measure}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the state of a checkpoint."""
        self.best, self.start = (
            Validated(*state_dict[name]) if state_dict[name] else None for name in ("best", "start")
        )
        self.measure, self._is_resumed = state_dict["measure"], True
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


def average_stretches(gains: Tensor) -> Tensor:
    """Average what neighbouring batches gained; a few batches stand for themselves."""
    return torch.stack(
        [stretch.mean() for stretch in gains.tensor_split(min(STRETCHES, len(gains)))]
    )


def is_beyond_chance(gains: Tensor) -> bool:
    """Whether gains are larger on average than two standard errors; too few cannot tell.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster.adapters._darts_training import is_beyond_chance
    >>> is_beyond_chance(torch.tensor([1.0, 1.2, 0.9, 1.1, 1.0]))
    True
    >>> is_beyond_chance(torch.tensor([3.0, -2.0, 1.0, -3.0, 2.0]))
    False
    """
    if len(gains) < STRETCHES:
        return True
    return bool(gains.mean() > STANDARD_ERRORS * gains.std() / math.sqrt(len(gains)))
