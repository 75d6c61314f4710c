"""A process that is killed while it trains or saves loses no more than it was just doing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from informer_forecaster import InformerModel

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


@pytest.mark.parametrize("task", ["saving", pytest.param("pretrained", marks=pytest.mark.slow)])
def test_a_killed_save_leaves_a_whole_model(tmp_path, task):
    assert count_survivors(task, tmp_path, range(4)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("task", ["training", "saving"])
def test_processes_killed_at_many_moments_lose_nothing(task, tmp_path, record_cases):
    survived = count_survivors(task, tmp_path, range(100, 120))
    record_cases(f"killed while {task}", 20, survived, "pytest tests/test_interruptions.py")


class Cut(BaseException):
    """Stands for the end of the process: nothing catches it."""


STEPS = ["seal the weights", "name them", "seal the model", "rename weights", "rename model"]


@pytest.mark.parametrize("done", range(len(STEPS) + 1))
def test_a_save_that_stops_before_any_step_leaves_a_whole_model(
    tiny_model, waves, tmp_path, monkeypatch, done
):
    """Once the weights have their name, loading gives the model that belongs to them its own."""
    path = str(tmp_path / "model.pt")
    old, new = (tiny_model(random_state=state).fit(waves()) for state in range(2))
    old.save(path)
    steps = iter(STEPS[:done])

    def stop_before(function):
        def step(*arguments):
            if next(steps, None) is None:
                raise Cut
            return function(*arguments)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop_before(Path.replace))
        patch.setattr(os, "fsync", stop_before(os.fsync))
        if done < len(STEPS):
            with pytest.raises(Cut):
                new.save(path)
        else:
            new.save(path)
    assert list(steps) == []
    expected = old if done <= STEPS.index("rename weights") else new
    assert InformerModel.load(path).predict(4) == expected.predict(4)
    assert not list(tmp_path.glob(".*")) or done < len(STEPS)
    new.save(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.pt", "model.pt.ckpt"]
