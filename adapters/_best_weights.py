"""Private: early stopping that keeps the best weights, those of the start among them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

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
        self.num_validations = 0
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
        self.num_validations += 1
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
        self.start, self.num_validations = self.best, 0

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the best weights back, if this training validated: it may go on from one that did."""
        self.has_ended = True
        if self.best is None or not trainer.val_dataloaders:
            return
        if not self.num_validations:
            rank_zero_warn(
                "no epoch of this training was validated, so that its last weights are kept. "
                "Validate more often to keep the best ones."
            )
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
        own = {"measure": self.measure, "num_validations": self.num_validations}
        return {**super().state_dict(), **tuples, **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the state of a checkpoint."""
        self.best, self.start = (
            Validated(*state_dict[name]) if state_dict[name] else None for name in ("best", "start")
        )
        self.measure, self._is_resumed = state_dict["measure"], True
        self.num_validations = state_dict["num_validations"]
        super().load_state_dict(state_dict)


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
    >>> from informer_forecaster.adapters._best_weights import is_beyond_chance
    >>> is_beyond_chance(torch.tensor([1.0, 1.2, 0.9, 1.1, 1.0]))
    True
    >>> is_beyond_chance(torch.tensor([3.0, -2.0, 1.0, -3.0, 2.0]))
    False
    """
    if len(gains) < STRETCHES:
        return True
    return bool(gains.mean() > STANDARD_ERRORS * gains.std() / math.sqrt(len(gains)))
