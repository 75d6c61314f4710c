"""A process that is killed while it trains or saves loses no more than it was just doing."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from informer_forecaster import InformerForecaster, InformerModel

if sys.platform == "win32":
    pytest.skip("needs fork and SIGKILL", allow_module_level=True)

SCRIPT = Path(__file__).with_name("interruptions.py")


def run(task: str, folder: Path, seeds: range) -> list[dict[str, object]]:
    """Kill one process for each of the seeds, and report what became of its files."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), task, str(folder), *map(str, seeds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200 + 30 * len(seeds),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def count_survivors(task: str, folder: Path, seeds: range) -> int:
    """Count the killed processes after which nothing was lost."""
    results = run(task, folder, seeds)
    assert [result["seed"] for result in results] == list(seeds)
    assert [result for result in results if not result["killed"]] == []
    assert [result for result in results if not result["equal"]] == []
    return len(results)


def test_a_killed_training_resumes_to_the_same_weights(tmp_path):
    """Bit by bit; the seeds differ in scheduler and validation, too."""
    assert count_survivors("training", tmp_path, range(2)) == 2


@pytest.mark.slow  # the tests of each step, below, are quick
@pytest.mark.parametrize("task", ["saving", "pretrained"])
def test_a_killed_save_leaves_a_whole_model(tmp_path, task):
    assert count_survivors(task, tmp_path, range(4)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("task", ["training", "saving", "pretrained"])
def test_processes_killed_at_many_moments_lose_nothing(task, tmp_path, record_cases):
    survived = count_survivors(task, tmp_path, range(100, 120))
    what = {"pretrained": "saving as data"}.get(task, task)
    record_cases(f"killed while {what}", 20, survived, "pytest tests/test_interruptions.py")


def forecast_of(path):
    """Forecast by what is there, or say why nothing is."""
    try:
        return InformerModel.load(path).predict(4)
    except ValueError as error:
        return str(error)


STEPS = ["mark the model", "mark the weights", "rename the weights", "rename the model"]


def kill_before(step, patch):
    """End the process before it takes the step of that number."""
    steps = iter(range(step))

    def ending(function):
        def call(*arguments):
            if next(steps, None) is None:
                os._exit(9)
            return function(*arguments)

        return call

    patch.setattr(os, "fsync", ending(os.fsync))
    patch.setattr(Path, "replace", ending(Path.replace))


@pytest.mark.parametrize("step", range(len(STEPS)), ids=STEPS)
def test_a_save_that_is_killed_before_any_step_leaves_a_whole_model(
    tiny_model, waves, tmp_path, monkeypatch, step
):
    """Once the weights have their name, loading gives the model that belongs to them its own."""
    path = str(tmp_path / "model.pt")
    old, new = (tiny_model(random_state=state).fit(waves()) for state in range(2))
    old.save(path)
    child = os.fork()
    if child == 0:
        try:
            kill_before(step, monkeypatch)
            new.save(path)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    expected = old if step <= STEPS.index("rename the weights") else new
    assert forecast_of(path) == expected.predict(4)
    new.save(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.pt", "model.pt.ckpt"]


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


FAILURES = {
    "no space for the model": (torch, "save"),
    "no space for the weights": (pl.Trainer, "save_checkpoint"),
    "no space on the disk": (os, "fsync"),
    "no right to rename": (Path, "replace"),
}


@pytest.mark.parametrize(("owner", "name"), FAILURES.values(), ids=FAILURES)
def test_a_save_that_fails_leaves_what_was_there_and_nothing_else(
    tiny_model, waves, tmp_path, monkeypatch, owner, name
):
    tiny_model().fit(waves()).save(str(tmp_path / "model.pt"))
    before = contents(tmp_path)
    other = tiny_model(random_state=1).fit(waves())
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            other.save(str(tmp_path / "model.pt"))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["model.pt", "model.pt.ckpt"])
def test_a_directory_in_the_place_of_a_file_is_refused(tiny_model, waves, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="`path` must name a file"):
        tiny_model().fit(waves()).save(str(tmp_path / "model.pt"))
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_planted_link_is_not_followed(tiny_model, waves, tmp_path):
    """Whoever may write to the folder must not choose another file to be written over."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "models"
    folder.mkdir()
    for name in (".model.pt.new", ".model.pt.new.ckpt", "model.pt", "model.pt.ckpt"):
        (folder / name).symlink_to(victim)
    tiny_model().fit(waves()).save(str(folder / "model.pt"))
    assert victim.read_text() == "mine"
    assert sorted(file.name for file in folder.iterdir()) == ["model.pt", "model.pt.ckpt"]


@pytest.mark.parametrize(
    ("owner", "name"), [(pickle, "dump"), (shutil, "make_archive"), (os, "fsync")]
)
def test_an_archive_of_sktime_that_fails_leaves_the_one_before_it(
    tmp_path, monkeypatch, owner, name
):
    y = pd.Series(np.sin(np.arange(24.0)))
    forecaster = InformerForecaster(**InformerForecaster.get_test_params()[0]).fit(y, fh=[1, 2])
    forecaster.save(tmp_path / "model")
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            forecaster.save(tmp_path / "model")
    assert contents(tmp_path) == before == {"model.zip": before["model.zip"]}
