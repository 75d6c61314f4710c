"""Processes that are killed while they train or save, for tests/test_interruptions.py.

    python tests/interruptions.py {training,saving,pretrained} FOLDER SEED...

Importing Darts takes seconds and training an epoch milliseconds, so one process imports and every
training runs in a fork of it. It prints one line of JSON for each seed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from darts import TimeSeries

from informer_forecaster import InformerModel

EPOCHS = 8
VALUES = np.random.default_rng(0).normal(size=(90, 1)).cumsum(0)
SERIES, VALIDATION = TimeSeries.from_values(VALUES[:60]), TimeSeries.from_values(VALUES[60:])
KNOWN = TimeSeries.from_values(np.random.default_rng(1).normal(size=(60, 1)))
QUIET = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)


def make(folder: Path, seed: int, **changes: object) -> InformerModel:
    """Make a tiny model that uses every source of random numbers; odd seeds use a scheduler."""
    scheduler = {"lr_scheduler_cls": torch.optim.lr_scheduler.ExponentialLR}
    arguments = dict(
        **dict.fromkeys(("d_model", "dim_feedforward", "batch_size"), 8),
        **(scheduler | {"lr_scheduler_kwargs": {"gamma": 0.9}} if seed % 2 else {}),
        nhead=2,
        dropout=0.2,
        sampling_factor=1,
        sparsity="sampled",
        random_state=seed,
        early_stopping_patience=EPOCHS,  # there has to be an epoch to be killed in
        save_checkpoints=True,
        work_dir=str(folder),
        model_name="model",
        pl_trainer_kwargs={"accelerator": "cpu", **QUIET},
    )
    return InformerModel(8, 4, **{**arguments, **changes})


def train(model: InformerModel, seed: int) -> InformerModel:
    """Train to the last epoch; every other pair of seeds validates, or an even one has covariates.

    Its windows that are held back teach the start after the training.
    """
    known = {} if seed % 2 else {"future_covariates": KNOWN}
    given = {"val_series": VALIDATION} if seed // 2 % 2 else known
    return model.fit(SERIES, epochs=EPOCHS, **given)


def write_weights(model: InformerModel, path: Path) -> None:
    """Write the bytes of all parameters and buffers."""
    path.write_bytes(b"".join(t.numpy().tobytes() for t in model.model.state_dict().values()))


def fork(work: Callable[[], object]) -> int:
    """Run ``work`` in a child, and return its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def wait(child: int) -> int:
    """Return the exit code of a child: negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_after(child: int, started: Callable[[], bool], seconds: float) -> int:
    """Kill a child some time after it has ``started``, and return its exit code."""
    deadline = time.monotonic() + 600
    while not started():
        if time.monotonic() > deadline:
            raise TimeoutError("the child did not start its work")
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return wait(child)


def interrupt_training(folder: Path, seed: int) -> dict[str, object]:
    """Kill a training at a random time, resume it, and compare with one that was not killed."""
    checkpoints = folder / "killed" / "model" / "checkpoints"

    def train_whole() -> None:
        write_weights(train(make(folder / "whole", seed), seed), folder / "expected")

    began = time.monotonic()
    assert wait(fork(train_whole)) == 0
    duration = time.monotonic() - began

    def resume() -> None:
        model = InformerModel.load_from_checkpoint("model", str(folder / "killed"), best=False)
        write_weights(train(model, seed), folder / "resumed")

    def last_saved() -> int:
        return max((int(p.stem.rpartition("=")[2]) for p in checkpoints.glob("last-*")), default=-1)

    def train_and_wait() -> None:
        train(make(folder / "killed", seed), seed)
        time.sleep(600)  # a busy machine may come to kill it late: it has to be there still

    moment = random.Random(seed)
    epoch, seconds = moment.randrange(EPOCHS - 3), moment.random() * duration / EPOCHS
    child = fork(train_and_wait)
    code = kill_after(child, lambda: last_saved() >= epoch, seconds)
    saved = last_saved()
    assert wait(fork(resume)) == 0
    return {
        "killed": code == -signal.SIGKILL,
        "last epoch saved": saved,
        "equal": (folder / "expected").read_bytes() == (folder / "resumed").read_bytes(),
    }


def interrupt_saving(
    folder: Path,
    seed: int,
    save: Callable[[InformerModel, str], None] = InformerModel.save,
    load: Callable[[str], InformerModel] = InformerModel.load,
    watched: str = "model.pt",
) -> dict[str, object]:
    """Kill a process that saves two models in turn to one path, and load what is there."""
    path, models = str(folder / "model.pt"), []
    for state in range(2):
        model = make(folder, seed, random_state=state, n_epochs=1, save_checkpoints=False)
        models.append(model.fit(SERIES))
    save(models[0], path)
    before = (folder / watched).read_bytes()

    def save_in_turn() -> None:
        while True:
            for model in reversed(models):
                save(model, path)

    def started() -> bool:
        try:
            return before != (folder / watched).read_bytes()
        except FileNotFoundError:
            return True  # between two names

    code = kill_after(fork(save_in_turn), started, random.Random(seed).uniform(0, 0.2))
    forecasts = [model.predict(4, SERIES) for model in models]
    return {
        "killed": code == -signal.SIGKILL,
        "leftovers": len(list(folder.glob(".*.new*"))),
        "equal": load(path).predict(4, SERIES) in forecasts,
    }


def interrupt_saving_as_data(folder: Path, seed: int) -> dict[str, object]:
    """Do so with the directory of a pretrained model."""

    def load(path: str) -> InformerModel:
        return InformerModel.from_pretrained(
            path, pl_trainer_kwargs={"accelerator": "cpu", **QUIET}
        )

    watched = "model.pt/model.safetensors"
    return interrupt_saving(folder, seed, InformerModel.save_pretrained, load, watched)


def main(task: str, folder: str, *seeds: str) -> None:
    """Run the task for each of the seeds, each in a folder of its own."""
    interrupt: Callable[[Path, int], dict[str, object]] = {
        "training": interrupt_training,
        "saving": interrupt_saving,
        "pretrained": interrupt_saving_as_data,
    }[task]
    for seed in seeds:
        place = Path(folder, seed)
        place.mkdir()
        print(json.dumps({"seed": int(seed), **interrupt(place, int(seed))}), flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    main(*sys.argv[1:])
