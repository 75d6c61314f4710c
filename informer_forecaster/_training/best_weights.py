"""Callbacks of every fit: the best weights are kept, and none that are not finite."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from .best_checkpoint import best_scores, update_best_checkpoints
from .windows import are_held_back

Weights = dict[str, Tensor]


class Validated(NamedTuple):
    """Weights on the CPU, where a checkpoint is read, and the epochs that they took."""

    weights: Weights
    epoch: int


class Completes(LightningModule):
    """A module that may have more to do once its best weights are in."""

    def choose_share(self) -> None:
        """Choose how much the network has to say beside the start."""

    def calibrate(self) -> None:
        """Calibrate the spread of a forecast."""

    def learn_the_rest(self) -> None:
        """Learn from the windows that were held back, once they have judged."""


class KeepBestWeights(EarlyStopping):
    """Stop when the validation loss has not fallen for some epochs, and keep the best weights.

    Lightning's check before the training validates the weights that it begins with: they compete.

    Parameters
    ----------
    patience : int, optional
        Epochs. None ends no training: a rule of the user's does.
    """

    def __init__(self, patience: int | None) -> None:
        endless = sys.maxsize if patience is None else patience
        # At the end of an epoch there is no loss where no series validates.
        super().__init__("val_loss", patience=endless, check_on_train_epoch_end=False)
        self.best: Validated | None = None
        self.num_validations = 0
        self.measure: Tensor | None = None
        self.scores: dict[str, float] = {}  # of checkpoints that an earlier training wrote
        self._is_resumed = False
        self._batches: list[Tensor] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask Lightning to check all of the validation part, not two batches; note the scores."""
        del pl_module
        trainer.num_sanity_val_steps = math.inf
        if trainer.ckpt_path is None:
            self.scores = best_scores(trainer)

    def on_validation_batch_end(self, *arguments: Any) -> None:
        """Note size, values and loss of a batch; the first two arguments: trainer and module."""
        loss, batch = arguments[2:4]
        target = batch.future_target
        size = target.new_tensor(len(target))
        self._batches.append(torch.stack([size, target.abs().sum(), size * loss.detach()]))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the validation loss, and copy the weights if none was lower."""
        batches, self._batches = self._batches, []
        if not batches:
            return
        total = torch.stack(batches).sum(0)
        if trainer.sanity_checking and trainer.ckpt_path is not None:
            return  # a training that goes on has its start in its state
        if trainer.sanity_checking:
            self.best_score = trainer.strategy.reduce(total[2] / total[0], reduce_op="mean")
            if not bool(self.best_score.isfinite()):
                # No loss is lower than one that is no number: the start would be kept unseen.
                raise ValueError(
                    "the windows that validate must have a finite loss; that of the weights which "
                    f"training begins with is {float(self.best_score)}. Fill gaps of series, "
                    "covariates and sample weights, and scale what is very large."
                )
            self.best = Validated(_copy(pl_module), 0)
            return
        self.num_validations += 1
        measure = trainer.strategy.reduce(total[:2], reduce_op="sum").cpu()
        self._measure(trainer, measure)
        before = float(self.best_score)
        super().on_validation_end(trainer, pl_module)
        if float(self.best_score) < before:
            self.best = Validated(_copy(pl_module), trainer.current_epoch + 1)

    def _measure(self, trainer: Trainer, measure: Tensor) -> None:
        """Forget the loss of a checkpoint that was measured on another validation part."""
        known = self.measure
        is_known = known is not None and torch.allclose(known, measure, rtol=1e-4)
        if self._is_resumed and not is_known:
            self.best = None
            self.best_score, self.wait_count = torch.tensor(math.inf), 0
            self.scores = best_scores(trainer)
        self.measure, self._is_resumed = measure, False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the best weights back, if this training validated: it may go on from one that did."""
        is_best = self._put_best_back(trainer, pl_module)
        if isinstance(pl_module, Completes) and are_held_back(trainer.val_dataloaders):
            pl_module.learn_the_rest()
        if is_best:
            update_best_checkpoints(trainer, pl_module, self.scores)

    def _put_best_back(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        if self.best is None or not trainer.val_dataloaders:
            return False
        if not self.num_validations:
            # Windows that were held back are no wish of the user's to validate.
            if trainer.current_epoch and not are_held_back(trainer.val_dataloaders):
                rank_zero_warn(
                    "no epoch of this training was validated, so that its last weights are kept. "
                    "Validate more often to keep the best ones."
                )
            return False
        pl_module.load_state_dict(self.best.weights)
        if isinstance(pl_module, Completes):
            if self.best.epoch:
                pl_module.choose_share()
            pl_module.calibrate()
        return True

    def state_dict(self) -> dict[str, Any]:
        """Collect what a training that resumes needs."""
        own = {name: getattr(self, name) for name in ("measure", "num_validations", "scores")}
        return {**super().state_dict(), "best": self.best and tuple(self.best), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the state of a checkpoint."""
        self.best = Validated(*state_dict["best"]) if state_dict["best"] else None
        self.measure, self._is_resumed = state_dict["measure"], True
        self.num_validations = state_dict["num_validations"]
        self.scores = state_dict.get("scores", {})
        super().load_state_dict(state_dict)


class ShareOfEachEpoch(Callback):
    """Choose the share of every epoch that is validated, where no best weights are kept.

    Before a checkpoint is written: who loads it has the forecasts of that epoch.
    """

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the share of what was learnt so far."""
        is_training = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if is_training and isinstance(pl_module, Completes):
            pl_module.choose_share()


class FiniteWeights(Callback):
    """Raise where a training ends with weights that are not finite, and put the first ones back.

    Where better ones of an earlier epoch were put back, warn that the rest of the training is lost.
    """

    def __init__(self) -> None:
        self._before: Weights = {}
        self._broken_in: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the weights that training begins with."""
        del trainer
        self._before, self._broken_in = _copy(pl_module), None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a training that nothing can bring back."""
        if not are_finite(pl_module.state_dict()):
            trainer.should_stop, self._broken_in = True, trainer.current_epoch + 1

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the weights that are left, the best ones where a series validated."""
        del trainer
        before, self._before = self._before, {}
        if self._broken_in is not None and are_finite(pl_module.state_dict()):
            rank_zero_warn(
                f"weights were no longer finite in epoch {self._broken_in}: training ended there, "
                "and the best weights before it are kept. Fill gaps of the series that train, "
                "scale them, or choose a lower learning rate."
            )
        elif before and not are_finite(pl_module.state_dict()):
            pl_module.load_state_dict(before)
            raise ValueError(
                "the training ended with weights that are not finite, and its first weights were "
                "put back. Scale the series and the covariates, for example with "
                "`darts.dataprocessing.transformers.Scaler`, choose a lower learning rate, or give "
                "a `val_series`, with which the best weights are kept."
            )


def _copy(module: LightningModule) -> Weights:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def are_finite(weights: Mapping[str, Tensor]) -> bool:
    """Whether each number of the weights is finite."""
    return all(bool(value.isfinite().all()) for value in weights.values())
