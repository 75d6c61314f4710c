"""How a training runs here: on which device, with how much said."""

from __future__ import annotations

import contextlib
import logging
import math
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
def quiet() -> Iterator[None]:
    """Hold back what Darts and Lightning report of every run."""
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


class Progress(pl.Callback):
    """One bar for a whole training, shown once it takes more than a few seconds."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Count the batches of all epochs."""
        batches = trainer.estimated_stepping_batches
        total = int(batches) if math.isfinite(batches) else None
        self.bar = tqdm(total=total, desc="fit", unit="batch", delay=_PATIENCE, leave=False)

    def on_train_batch_end(self, *_: object) -> None:
        """Count a batch."""
        self.bar.update()

    def on_train_end(self, *_: object) -> None:
        """Clear the line."""
        if hasattr(self, "bar"):
            self.bar.close()

    def on_exception(self, *_: object) -> None:
        """Clear the line."""
        self.on_train_end()
