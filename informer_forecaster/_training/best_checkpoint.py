"""The checkpoint of the best epoch, brought to the weights that a training kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer


def best_scores(trainer: Trainer) -> dict[str, float]:
    """Give the lowest loss that each callback of checkpoints has seen, by the callback's key."""
    callbacks: list[Any] = trainer.checkpoint_callbacks
    scores = {each.state_key: getattr(each, "best_model_score", None) for each in callbacks}
    return {key: float(score) for key, score in scores.items() if score is not None}


def update_best_checkpoints(
    trainer: Trainer, module: LightningModule, before: Mapping[str, float]
) -> None:
    """Put the weights of ``module`` into the checkpoint of the lowest validation loss.

    Lightning wrote an epoch there. A training keeps a share of it, or the start that no epoch
    surpassed, and calibrates its quantiles: who loads the best checkpoint gets the same. A
    checkpoint of an earlier training, whose loss no epoch of this one surpassed, stays as it is.

    Parameters
    ----------
    trainer : Trainer
        At the end of a training.
    module : LightningModule
        With the weights that were kept.
    before : mapping of str to float
        What :func:`best_scores` gave at the beginning: callbacks serve one training after another.
    """
    if not trainer.is_global_zero:
        return
    after = best_scores(trainer)
    callbacks: list[Any] = trainer.checkpoint_callbacks
    for callback in callbacks:
        path, key = Path(getattr(callback, "best_model_path", "")), callback.state_key
        if getattr(callback, "monitor", None) != "val_loss" or not path.is_file():
            continue
        if after.get(key) == before.get(key):
            continue
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
        checkpoint["state_dict"] = module.state_dict()
        # In one piece: a file that is half written takes no other's place.
        trainer.strategy.checkpoint_io.save_checkpoint(checkpoint, path)
