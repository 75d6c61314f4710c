"""Training in two processes: the gradients of one process with the joined batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from darts import TimeSeries

from informer_forecaster import InformerModel

SCRIPT = Path(__file__).with_name("distributed_training.py")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train once in two processes and once in one, and give the folders by that number."""
    folders = {}
    for devices in (2, 1):
        folders[devices] = tmp_path_factory.mktemp(f"processes_{devices}")
        command = [sys.executable, str(SCRIPT), str(folders[devices]), str(devices)]
        # Lightning tells a process its place by these; those of a test run around it are not ours.
        inherited = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "NODE_RANK")}
        environment = {**inherited, "PYTHONPATH": str(SCRIPT.parents[1])}
        run = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert run.returncode == 0, run.stderr
    return folders


def records(folder):
    return [torch.load(each) for each in sorted(folder.glob("rank_*.pt"))]


@pytest.mark.slow
def test_each_process_takes_its_share_of_the_windows(trained):
    (alone,), shares = records(trained[1]), records(trained[2])
    assert [one["processes"] for one in shares] == [2, 2]
    for joined, *halves in zip(alone["windows"], *(one["windows"] for one in shares), strict=True):
        # Eight of the sixteen windows: the others validate, or overlap with those that do.
        assert [len(half) for half in halves] == [4, 4]
        assert torch.equal(torch.cat(halves).sort().values, joined.sort().values)


@pytest.mark.slow
def test_gradients_are_those_of_the_joined_batch(trained):
    (alone,), shares = records(trained[1]), records(trained[2])
    assert len(alone["gradients"]) == 3
    for process in shares:
        for joined, ours in zip(alone["gradients"], process["gradients"], strict=True):
            assert joined.keys() == ours.keys()
            assert any(value.abs().max() > 1e-3 for value in joined.values())
            for name, value in joined.items():
                torch.testing.assert_close(ours[name], value, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_weights_are_saved_once_and_can_be_loaded(trained):
    best, last = sorted(each.name for each in (trained[2] / "model" / "checkpoints").iterdir())
    assert best.startswith("best-epoch=0-val_loss=")
    assert last == "last-epoch=2.ckpt"
    steps = np.arange(19)[:, None]
    series = TimeSeries.from_values(np.sin(steps / 2) + 2)
    # In a process of its own, though one of the models asks for two.
    joined, ours = (
        InformerModel.load_from_checkpoint("model", str(trained[n]), best=False).predict(6, series)
        for n in (1, 2)
    )
    np.testing.assert_allclose(ours.values(), joined.values(), rtol=1e-6)


@pytest.mark.slow
def test_every_process_forecasts_all_series(trained):
    """Lightning alone would give each process the forecasts of every other series."""
    (alone,), shares = records(trained[1]), records(trained[2])
    for process in shares:
        assert len(process["forecasts"]) == len(alone["forecasts"]) == 2
        for ours, theirs in zip(process["forecasts"], alone["forecasts"], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_forecasts_take_one_device(tiny_model, waves):
    model = tiny_model().fit(waves())
    asked = {"devices": 2, "num_nodes": 2, "strategy": "ddp"}
    model.trainer_params.update(asked)
    assert len(model.predict(4, [waves(), waves(seed=1)])) == 2
    assert model.trainer.world_size == 1
    # The next training takes all of them again.
    assert asked.items() <= model.trainer_params.items()
