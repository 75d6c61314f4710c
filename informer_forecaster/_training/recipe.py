"""The recipe: how the network is trained unless the user says otherwise, in both adapters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.plugins import DoublePrecision
from pytorch_lightning.trainer.states import TrainerFn
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR

from informer_forecaster._checks import Arguments

from .best_weights import Completes, FiniteWeights, KeepBestWeights, ShareOfEachEpoch
from .defaults import Patience, enough_patience

WARM_UP_STEPS = 100  # at most; never more than a tenth of all steps
# Measured: 10,000 steps validate better at half the rate that 800 steps need.
LONG_TRAINING = 3000
GRADIENT_NORM = 1.0
# Of the original experiments.
PAPER: Arguments = {
    "use_reversible_instance_norm": False,
    "optimizer_kwargs": {"lr": 1e-4},
    "lr_scheduler_cls": ExponentialLR,
    "lr_scheduler_kwargs": {"gamma": 0.5},
    "batch_size": 32,
    "n_epochs": 6,
    "early_stopping_patience": 3,
    "time_features": "all",
    "pl_trainer_kwargs": {"gradient_clip_val": 0.0},
}


class TrainingRecipe(Completes):
    """Schedule, clipping, early stopping and random numbers of a training.

    Parameters
    ----------
    early_stopping_patience : int, "auto" or None
        Epochs without a lower validation loss after which training ends, if a series validates.
        Its best weights are kept, also where a rule of the user's ends it; with None its last ones.
    **kwargs
        Parameters of the class that comes next: a module with an optimizer, and the attribute
        ``lr_scheduler_cls`` for a scheduler of the user's.

    Attributes
    ----------
    slows_down : bool
        Whether a training of more than 3000 steps has half the learning rate.
    """

    lr_scheduler_cls: Any
    slows_down = False

    def __init__(self, early_stopping_patience: Patience = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._patience = early_stopping_patience
        self._generators: tuple[torch.Tensor, list[torch.Tensor]] | None = None

    def setup(self, stage: str) -> None:
        """Leave the process's default dtype alone: other threads compute with it."""
        super().setup(stage)
        strategy: Any = self.trainer.strategy
        if type(strategy.precision_plugin) is DoublePrecision:
            strategy.precision_plugin = DoubleWeights()

    def configure_optimizers(self) -> Any:
        """Make the optimizer; the learning rate warms up and decays unless a scheduler is given."""
        configured: Any = super().configure_optimizers()
        if self.lr_scheduler_cls is not None:
            return configured
        # Counting the steps makes the data loaders, and this draws random numbers. A resumed
        # training draws them from the generators of its checkpoint, as the interrupted one did; a
        # new one must draw the same numbers whether the steps were counted or not.
        with nullcontext() if self._put_generators_back() else torch.random.fork_rng(devices=[]):
            self.trainer.fit_loop.setup_data()  # or Lightning reports that it has to
            num_steps = self.trainer.estimated_stepping_batches
        # Not `LinearLR` and `CosineAnnealingLR`: their state holds the number of steps, and a
        # training that goes on for more epochs would rise again where the first one ended.
        share = 0.5 if self.slows_down and num_steps > LONG_TRAINING else 1.0
        scheduler = LambdaLR(configured, lambda step: share * rate_factor(step, num_steps))
        return [configured], [{"scheduler": scheduler, "interval": "step"}]

    def configure_callbacks(self) -> list[Callback]:
        """Keep the best weights, stop unless a rule of the user's does, and look at the weights."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            return []
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        if self._patience is None:
            return [ShareOfEachEpoch(), FiniteWeights()]
        own = stoppers_of_the_user(callbacks)
        patience = None if own else self._patience
        if patience == "auto":
            patience = enough_patience(self.trainer.max_epochs or 0)
        # Named again, or Lightning would put ours, which is of a subclass, in the place of theirs.
        return [*own, KeepBestWeights(patience), FiniteWeights()]

    def count_epochs_of_the_best(self) -> None:
        """Let the count of epochs be that of the weights that were kept."""
        for keeper in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(keeper, KeepBestWeights) and keeper.best is not None:
                progress: Any = self.trainer.fit_loop.epoch_progress.current
                progress.processed = progress.completed = keeper.best.epoch

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Forecast without dropout and gradients, and draw no number of the training's."""
        was_training = self.training
        self.eval()
        # Making an iterator of a loader draws a random number.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
        self.train(was_training)

    def add_up(self, sums: torch.Tensor) -> torch.Tensor:
        """Add up what several processes saw."""
        added: torch.Tensor = self.trainer.strategy.reduce(sums, reduce_op="sum")
        return added

    # A hook and no argument of the trainer: it holds for the user's own trainers, too.

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

    # A training that was interrupted goes on with the random numbers that it would have drawn next.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state of torch's generators, which shuffle, drop and sample keys."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["generators"] = (torch.get_rng_state(), torch.cuda.get_rng_state_all())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the generators for the training that may follow."""
        super().on_load_checkpoint(checkpoint)
        self._generators = checkpoint.get("generators")

    def on_fit_start(self) -> None:
        """Go on with the random numbers of the checkpoint that training resumes from."""
        super().on_fit_start()
        self._put_generators_back()
        for optimizer in self.trainer.optimizers:
            fuse_on_a_cpu(optimizer)

    def _put_generators_back(self) -> bool:
        """Put the generators back where a checkpoint left them, once; say whether it was now."""
        generators, self._generators = self._generators, None
        if generators is None or self.trainer.ckpt_path is None:
            return False
        state, device_states = generators
        torch.set_rng_state(state.cpu())
        if len(device_states) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([each.cpu() for each in device_states])
        return True


class DoubleWeights(DoublePrecision):
    """Double precision of weights and inputs alone.

    Lightning's own also changes the default dtype of the process in every step. Two trainings in
    threads put back what the other had set, and every later tensor would be of double precision.
    """

    def tensor_init_context(self) -> AbstractContextManager[None]:
        """Change nothing."""
        return nullcontext()


def fuse_on_a_cpu(optimizer: torch.optim.Optimizer) -> None:
    """Let Adam take a step in one kernel, unless it was told how to.

    On a GPU torch chooses well by itself. On a CPU it goes through the weights one by one, and for
    a network of a few thousand weights that takes a sixth of the training.
    """
    for group in optimizer.param_groups:
        ways = ("foreach", "capturable", "differentiable")
        chosen = group.get("fused") is not None or any(group.get(way) for way in ways)
        on_cpu = all(weight.device.type == "cpu" for weight in group["params"])
        if type(optimizer) is torch.optim.Adam and on_cpu and not chosen:
            group["fused"] = True


def stoppers_of_the_user(callbacks: Sequence[Callback]) -> list[EarlyStopping]:
    """Callbacks that end a training by a rule of the user's."""
    return [
        each
        for each in callbacks
        if isinstance(each, EarlyStopping) and not isinstance(each, KeepBestWeights)
    ]


def rate_factor(step: int, num_steps: float) -> float:
    """Share of the learning rate at a step: a linear warm-up, then half a cosine down to zero.

    Examples
    --------
    >>> from informer_forecaster._training.recipe import rate_factor
    >>> [round(rate_factor(step, 1000), 2) for step in (0, 50, 100, 550, 1000)]
    [0.01, 0.5, 0.98, 0.42, 0.0]
    """
    warm_up = min(WARM_UP_STEPS, num_steps / 10)
    rise = min(1.0, (step + 1) / (warm_up + 1))
    # Without an end there is nothing to decay towards; without a step there is no rate.
    progress = 0.0 if math.isinf(num_steps) else min(1.0, step / max(1, num_steps))
    return rise * (1 + math.cos(math.pi * progress)) / 2
