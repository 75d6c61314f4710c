"""Callbacks of every fit: the best weights are kept, and none that are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from .best_checkpoint import best_scores, update_best_checkpoints
from .gains import average_stretches, earned_share, windows_apart
from .windows import are_held_back

# The last layer and the linear map, whose sum is the forecast.
LAST = ("network.projection.weight", "network.projection.bias")
LINEAR = ("network.lookback_skip.weight", "network.lookback_skip.bias")

Weights = dict[str, Tensor]


class Validated(NamedTuple):
    """Weights, their losses on parts of the validation windows, and the epochs they took.

    All on the CPU, where a checkpoint is read: a training that goes on compares both.
    """

    weights: Weights
    losses: Tensor
    epoch: int


class KeepBestWeights(EarlyStopping):
    """Stop when the validation loss has not fallen for some epochs, and keep the best weights.

    Lightning's check before the training validates the weights that it begins with: they compete,
    but for a start that forecasts alone and is weighed against the network after the training.
    Better ones are kept to the share that their gain has earned, see :func:`earned_share`.

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
        self.scores: dict[str, float] = {}  # of checkpoints that an earlier training wrote
        self._is_resumed = False
        self._batches: list[tuple[Tensor, Tensor]] = []
        self._horizon = 1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask Lightning to check all of the validation part, not two batches; note the scores."""
        del pl_module
        trainer.num_sanity_val_steps = math.inf
        if trainer.ckpt_path is None:
            self.scores = best_scores(trainer)

    def on_validation_batch_end(self, *arguments: Any) -> None:
        """Note losses, size and values of a batch; the first two arguments: trainer and module."""
        module, loss, batch = arguments[1:4]
        target = batch.future_target
        size, self._horizon = target.new_tensor(len(target)), target.shape[1]
        measure = torch.stack([size, target.abs().sum(), size * loss.detach()])
        self._batches.append((measure, module.losses_of_parts))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the validation loss, and copy the weights if none was lower."""
        batches, self._batches = self._batches, []
        if not batches:
            return
        measures, parts = zip(*batches, strict=True)
        losses, total = torch.cat(parts).cpu(), torch.stack(measures).sum(0)
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
            self.start = self.best = Validated(_copy(pl_module), losses, 0)
            if _is_weighed_later(pl_module):
                # By a share of its own it may gain where by the usual one it loses: epochs of the
                # network compare with each other, and patience waits for these.
                self.best_score = torch.full_like(self.best_score, math.inf)
            return
        self.num_validations += 1
        measure = trainer.strategy.reduce(total[:2], reduce_op="sum").cpu()
        self._measure(trainer, measure, losses.shape)
        before = float(self.best_score)
        super().on_validation_end(trainer, pl_module)
        if float(self.best_score) < before:
            self.best = Validated(_copy(pl_module), losses, trainer.current_epoch + 1)

    def _measure(self, trainer: Trainer, measure: Tensor, parts: torch.Size) -> None:
        """Forget the losses of a checkpoint that were measured on other validation parts."""
        known, best = self.measure, self.best
        is_known = known is not None and torch.allclose(known, measure, rtol=1e-4)
        is_known = is_known and (best is None or best.losses.shape == parts)
        if self._is_resumed and not is_known:
            self.best = self.start = None
            self.best_score, self.wait_count = torch.tensor(math.inf), 0
            self.scores = best_scores(trainer)
        self.measure, self._is_resumed = measure, False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the best weights back, if this training validated: it may go on from one that did."""
        self.has_ended = True
        is_best = self._put_best_back(trainer, pl_module)
        if are_held_back(trainer.val_dataloaders):
            learn_the_rest = getattr(pl_module, "learn_the_rest", None)
            if learn_the_rest is not None:
                learn_the_rest()
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
        if self.start is not None and self.best.epoch > self.start.epoch:
            self._give_share(trainer, pl_module, self.start, self.best)
        if (calibrate := getattr(pl_module, "calibrate", None)) is not None:
            calibrate()
        return True

    def _give_share(
        self, trainer: Trainer, pl_module: LightningModule, start: Validated, best: Validated
    ) -> None:
        """Give the network the share that its gains on the parts of all processes have earned."""
        assert self.measure is not None
        apart = windows_apart(trainer.val_dataloaders, int(self.measure[0]), self._horizon)
        choose = getattr(pl_module, "choose_share", None)
        if choose is not None and choose(apart):
            return
        stretches = average_stretches(start.losses - best.losses).to(pl_module.device)
        stretches = trainer.strategy.reduce(stretches, reduce_op="mean")
        share = earned_share(stretches, apart)
        pl_module.load_state_dict(blend(start.weights, best.weights, share))

    def state_dict(self) -> dict[str, Any]:
        """Collect what a training that resumes needs."""
        validated = {"best": self.best, "start": self.start}
        tuples = {name: one and tuple(one) for name, one in validated.items()}
        own = {name: getattr(self, name) for name in ("measure", "num_validations", "scores")}
        return {**super().state_dict(), **tuples, **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the state of a checkpoint."""
        self.best, self.start = (
            Validated(*state_dict[name]) if state_dict[name] else None for name in ("best", "start")
        )
        self.measure, self._is_resumed = state_dict["measure"], True
        self.num_validations = state_dict["num_validations"]
        self.scores = state_dict.get("scores", {})
        super().load_state_dict(state_dict)


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


def _is_weighed_later(module: LightningModule) -> bool:
    """Whether a share is chosen after the training, and the start has forecast alone so far."""
    share = getattr(module, "share", None)
    return share is not None and not bool(share)


def are_finite(weights: Mapping[str, Tensor]) -> bool:
    """Whether each number of the weights is finite."""
    return all(bool(value.isfinite().all()) for value in weights.values())


def blend(start: Weights, best: Weights, share: float) -> Weights:
    """Weights whose forecast goes ``share`` of the way from the start to the best ones.

    The last layer and the linear map add up to the forecast. Where a network took part in the
    start, be it by chance, no weights lie between the two, and no start has merits of its own.
    """
    if not set(LAST) <= start.keys() or any(bool(start[name].any()) for name in LAST):
        return best
    names = [name for name in (*LAST, *LINEAR) if name in best]
    return {**best, **{name: torch.lerp(start[name], best[name], share) for name in names}}
