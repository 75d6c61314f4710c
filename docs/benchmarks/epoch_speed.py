"""An epoch of ours against one of Darts' TiDE, both at their defaults: writes epoch_speed.csv.

They take turns in one process. On a CPU seconds are of the processor, so that other work on the
machine counts little; with ``--device cuda`` they are of the clock.
``python docs/benchmarks/epoch_speed.py --data path/to/data``; without the directory vic_elec is
left out.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from contenders import QUIET
from darts.models import TiDEModel
from measuring import make_parser, prepare, write_results
from pytorch_lightning import Callback
from task import Task, split, to_series
from tasks import make_airline, make_vic_elec
from tqdm import tqdm

from informer_forecaster import InformerModel

MODELS: dict[str, Any] = {"ours": InformerModel, "TiDE": TiDEModel}
MOST_WINDOWS = 3200
EPOCHS = 3  # the first of which warms up


class Clock(Callback):
    """Takes the time of each epoch of training: the processor's, or on a GPU the clock's."""

    def __init__(self, device: str) -> None:
        """Begin without any."""
        self.seconds: list[float] = []
        self.is_cpu = device == "cpu"

    def now(self) -> float:
        """Read the clock, when a GPU has finished what it was given."""
        if self.is_cpu:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the clock."""
        self.start = self.now()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stop it."""
        self.seconds.append(self.now() - self.start)


def make_hours() -> Task:
    """Make 10,000 hours of a noisy daily wave."""
    rows = 10_000
    index = pd.date_range("2020-01-01", periods=rows, freq="h")
    noise = np.random.default_rng(0).normal(scale=0.3, size=rows)
    wave = np.sin(2 * np.pi * np.arange(rows) / 24) + noise
    return Task((to_series(index, y=wave),), 96, 24, split(rows), season=24, cycle=24)


def measure_epoch(name: str, task: Task, device: str) -> float:
    """Give the least seconds of an epoch, for a thousand windows."""
    clock = Clock(device)
    trainer = {**QUIET, "callbacks": [clock], "enable_checkpointing": False}
    trainer["accelerator"] = "cpu" if device == "cpu" else "gpu"
    model = MODELS[name](
        task.look_back, task.horizon, n_epochs=EPOCHS, random_state=0, pl_trainer_kwargs=trainer
    )
    future = list(task.covariates.future)
    known = {"future_covariates": future} if future else {}
    model.fit(task.rows(0, task.ends[1]), **known, max_samples_per_ts=MOST_WINDOWS)
    windows = min(MOST_WINDOWS, task.ends[1] - task.look_back - task.horizon + 1)
    return 1e3 * min(clock.seconds[1:]) / windows


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Give a row for each task and model: medians over the rounds."""
    tasks: dict[str, Callable[[], Task]] = {"10,000 hours": make_hours, "airline": make_airline}
    if arguments.data is not None:
        tasks["vic_elec"] = lambda: make_vic_elec(arguments.data)
    for name, make in tqdm(tasks.items(), desc="epochs"):
        task = make()
        times: dict[str, list[float]] = {model: [] for model in MODELS}
        for _ in range(arguments.rounds):
            for model, taken in times.items():
                taken.append(measure_epoch(model, task, arguments.device))
        setting = f"{name}, {task.look_back}/{task.horizon}"
        for model, taken in times.items():
            row = {"setting": setting, "method": model, "value": statistics.median(taken)}
            yield {"part": "epoch", **row}


def main() -> None:
    """Measure, and write the CSV."""
    parser = make_parser(__doc__, Path(__file__).with_suffix(".csv"))
    parser.add_argument("--data", type=Path, help="directory of the data")
    parser.set_defaults(rounds=3, threads=1)
    arguments = parser.parse_args()
    prepare(arguments)
    # Darts and Lightning announce each fit.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    write_results(measure(arguments), arguments)


if __name__ == "__main__":
    main()
