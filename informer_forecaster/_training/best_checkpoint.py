"""The checkpoint of the best epoch, brought to the weights that a training kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer


def update_best_checkpoints(trainer: Trainer, module: LightningModule) -> None:
    """Put the weights of ``module`` into the checkpoint of the lowest validation loss.

    Lightning wrote an epoch there. A training keeps a share of it, or the start that no epoch
    surpassed, and calibrates its quantiles: who loads the best checkpoint gets the same.

    Parameters
    ----------
    trainer : Trainer
        At the end of a training.
    module : LightningModule
        With the weights that were kept.
    """
    if not trainer.is_global_zero:
        return
    callbacks: list[Any] = trainer.checkpoint_callbacks
    for callback in callbacks:
        path = Path(getattr(callback, "best_model_path", ""))
        if getattr(callback, "monitor", None) != "val_loss" or not path.is_file():
            continue
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
        checkpoint["state_dict"] = module.state_dict()
        # In one piece: a file that is half written takes no other's place.
        trainer.strategy.checkpoint_io.save_checkpoint(checkpoint, path)
