"""How a training runs here: on which device, with how much said."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from informer_forecaster._checks import Arguments

_LOGGERS = ("darts", "pytorch_lightning", "lightning.pytorch", "lightning.fabric")
_CHATTY = r"pytorch_lightning|lightning_fabric|torch\.utils\.data"
# Arguments of a trainer that writes nothing to the disk.
DEFAULTS: Arguments = {
    # Lightning would take all GPUs: too many for such a network, and not for notebooks.
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    # One bar for the whole training instead of one an epoch.
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
_PATIENCE = 3.0  # seconds after which a training shows how far it is


def lacks_device(trainer: Mapping[str, Any]) -> bool:
    """Whether the trainer's arguments name a GPU, and this machine has none of its kind."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    present["gpu"] = any(present.values())
    accelerator = trainer.get("accelerator")
    return isinstance(accelerator, str) and not present.get(accelerator, True)


def available(trainer: Mapping[str, Any], *unwanted: str) -> dict[str, Any]:
    """The trainer's arguments, on another device where this machine lacks the one they name."""
    lacks = lacks_device(trainer)
    dropped = {*unwanted, "strategy", "num_nodes"} if lacks else unwanted
    kept = {name: value for name, value in trainer.items() if name not in dropped}
    return {**kept, "accelerator": "auto", "devices": 1} if lacks else kept


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            # On workers, pinned memory and their own deprecations: nothing that a user can act on.
            warnings.filterwarnings("ignore", module=_CHATTY)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


_runs = threading.Lock()
_num_runs = 0
_holding_back = contextlib.ExitStack()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what Darts and Lightning report of every run.

    Levels and filters are those of the process. Of runs that overlap, as in threads, the first one
    sets them and the last one puts them back: a run that ends would take the quiet of another, and
    one that began in it would put back the quiet itself.
    """
    global _num_runs
    with _runs:
        if not _num_runs:
            _holding_back.enter_context(_held_back())
        _num_runs += 1
    try:
        yield
    finally:
        with _runs:
            _num_runs -= 1
            if not _num_runs:
                _holding_back.close()


class Progress(pl.Callback):
    """One bar for a whole training, shown once it takes more than a few seconds."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Count the steps of the optimizer, those before this training included."""
        steps = trainer.estimated_stepping_batches
        self.bar = tqdm(
            total=int(steps) if math.isfinite(steps) else None,
            initial=trainer.global_step,
            desc="fit",
            unit="step",
            delay=_PATIENCE,
            leave=False,
            # One of several processes speaks.
            disable=not trainer.is_global_zero,
        )

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Go on to the step: batches may be put together before the optimizer takes one."""
        self.bar.update(trainer.global_step - self.bar.n)

    def on_train_end(self, *_: object) -> None:
        """Clear the line."""
        if hasattr(self, "bar"):
            self.bar.close()

    def on_exception(self, *_: object) -> None:
        """Clear the line."""
        self.on_train_end()
