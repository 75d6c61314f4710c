"""What a training shows: one bar if it is long, and nothing else."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pandas as pd
import pytest
import pytorch_lightning as pl
import tqdm.std

from informer_forecaster import InformerForecaster

TINY = InformerForecaster.get_test_params()[0]
Y = pd.Series([float(step % 7) for step in range(60)])


@pytest.fixture
def slow_clock(monkeypatch):
    """Let a second pass whenever the bar looks at the clock."""
    seconds = itertools.count()
    monkeypatch.setattr(tqdm.std, "time", lambda: next(seconds))


@pytest.mark.usefixtures("slow_clock")
def test_a_long_training_shows_one_bar(capfd):
    forecaster = InformerForecaster(**TINY, early_stopping_patience=1).set_params(n_epochs=9)
    forecaster.fit(Y, fh=[1])
    out, err = capfd.readouterr()
    assert out == ""
    assert "fit:  50%" in err
    # Each state of the bar overwrites the one before, and the last clears the line.
    assert "\n" not in err.rstrip("\n")
    assert err.split("\r")[-1].strip() == ""
    forecaster.predict()
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("slow_clock")
@pytest.mark.parametrize("batches_a_step", [1, 2, 5])
def test_the_bar_counts_to_its_end(capfd, batches_a_step):
    """Steps of the optimizer, for each of which several batches may be put together."""
    trainer = {"accelerator": "cpu", "accumulate_grad_batches": batches_a_step}
    changes = {"batch_size": 8, "n_epochs": 5, "early_stopping_patience": None}
    InformerForecaster(**{**TINY, **changes, "pl_trainer_kwargs": trainer}).fit(Y, fh=[1])
    _, err = capfd.readouterr()
    shown = [state for state in err.split("\r") if state.strip()]
    assert "100%" in shown[-1]


@pytest.mark.usefixtures("slow_clock")
def test_one_of_several_processes_shows_the_bar(capfd, monkeypatch):
    monkeypatch.setattr(pl.Trainer, "is_global_zero", property(lambda _: False))
    InformerForecaster(**{**TINY, "n_epochs": 9}).fit(Y, fh=[1])
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("slow_clock")
@pytest.mark.parametrize(
    "quiet",
    [
        {"verbose": False},
        {"pl_trainer_kwargs": {"accelerator": "cpu", "enable_progress_bar": False}},
    ],
    ids=str,
)
def test_the_bar_can_be_switched_off(capfd, quiet):
    InformerForecaster(**{**TINY, "n_epochs": 9, **quiet}).fit(Y, fh=[1])
    assert capfd.readouterr() == ("", "")


def test_a_script_prints_nothing_but_its_own():
    """With the warnings and loggers of a user, not those of a test run."""
    script = (
        "import pandas as pd\n"
        "from informer_forecaster import InformerForecaster\n"
        f"forecaster = InformerForecaster(**{TINY!r}, verbose=False)\n"
        "forecaster.fit(pd.Series(range(40), dtype=float), fh=[1]).predict_interval()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.stdout, done.stderr) == ("", "")
