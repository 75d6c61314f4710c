"""Train on so many processes and write what each saw: ``distributed_training.py FOLDER DEVICES``.

Lightning starts this script once more for every further process. The batch of all processes is the
whole training set, so that shuffling changes nothing.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from darts import TimeSeries

from informer_forecaster import InformerModel

WINDOWS = 16


class Recorder(pl.Callback):
    """Keep the windows and the gradients of each step."""

    def __init__(self) -> None:
        self.windows: list[torch.Tensor] = []
        self.gradients: list[dict[str, torch.Tensor]] = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:  # noqa: ARG002
        """Keep the first value of each window."""
        self.windows.append(batch.past_target[:, 0, 0].clone())

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:  # noqa: ARG002
        """Keep the gradients, of which processes have taken the mean."""
        self.gradients.append(
            {name: w.grad.clone() for name, w in module.named_parameters() if w.grad is not None}
        )


def main(folder: Path, devices: int) -> None:
    """Train, forecast, and write both."""
    logging.disable(logging.INFO)
    recorder = Recorder()
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
    model = InformerModel(
        8,
        4,
        d_model=8,
        nhead=2,
        dim_feedforward=8,
        # What is drawn at random is drawn in each process.
        dropout=0.0,
        attention="full",
        # Distilling normalises by the batch, of which each process has its own.
        distil=False,
        n_epochs=3,
        batch_size=WINDOWS // devices,
        random_state=0,
        save_checkpoints=True,
        work_dir=str(folder),
        model_name="model",
        pl_trainer_kwargs={
            "accelerator": "cpu",
            "devices": devices,
            "strategy": "ddp" if devices > 1 else "auto",
            **quiet,
        },
    )
    # Not an argument of the model, which would be stored with it.
    model.trainer_params["callbacks"].append(recorder)
    steps = np.arange(WINDOWS // 2 + 11)[:, None]
    series = [TimeSeries.from_values(np.sin(steps / each) + each) for each in (2, 3)]
    model.fit(series)
    rank, processes = model.trainer.global_rank, model.trainer.world_size
    found = {
        "processes": processes,
        "windows": recorder.windows,
        "gradients": recorder.gradients,
        "forecasts": [torch.from_numpy(one.values()) for one in model.predict(6, series)],
    }
    torch.save(found, folder / f"rank_{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
