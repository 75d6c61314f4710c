"""Copies, files and clones: they forecast the same numbers, and are their own."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sktime_tables import FH, make, noise, same_weights, weights

from informer_forecaster import InformerForecaster

COPIES = {
    "pickle": lambda f: pickle.loads(pickle.dumps(f)),
    "deepcopy": copy.deepcopy,
    "memory": lambda f: type(f).load_from_serial(f.save()[1]),
    "copy of a copy": lambda f: copy.deepcopy(pickle.loads(pickle.dumps(f))),
}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("parameters", InformerForecaster.get_test_params(), ids=["0", "1", "2"])
def test_copies_forecast_the_same_numbers(duplicate, parameters):
    y, X = noise(columns=("a", "b")), noise(columns=("p",), seed=1)
    original = InformerForecaster(**parameters).fit(y[:30], X[:30], fh=FH)
    twin = duplicate(original)
    expected = original.predict(X=X[30:33])
    pd.testing.assert_frame_equal(twin.predict(X=X[30:33]), expected, check_exact=True)
    # The copy is one of its own: training it leaves the original alone, and goes the same way.
    twin.update(y[30:36], X[30:36])
    pd.testing.assert_frame_equal(original.predict(X=X[30:33]), expected, check_exact=True)
    original.update(y[30:36], X[30:36])
    assert same_weights(weights(original), weights(twin))


def test_clone_and_refit_gives_the_same_numbers():
    forecaster = make().fit(noise(), fh=FH)
    expected = forecaster.predict()
    for other in (forecaster.clone(), forecaster):
        pd.testing.assert_frame_equal(
            other.fit(noise(), fh=FH).predict(), expected, check_exact=True
        )


def test_a_file_is_read_that_names_the_columns_where_they_were(monkeypatch):
    """They moved to a module of their own; a pickle names the module of its day."""
    forecaster = make().fit(noise(), fh=FH)
    columns = type(forecaster.model_.columns)
    before = columns.__module__.replace("_sktime_columns", "_sktime_frames")
    with monkeypatch.context() as patch:
        patch.setattr(columns, "__module__", before)
        file = pickle.dumps(forecaster)
    assert before.encode() in file
    pd.testing.assert_frame_equal(
        pickle.loads(file).predict(), forecaster.predict(), check_exact=True
    )


def test_a_file_is_read_by_a_process_that_knows_only_sktime(tmp_path):
    forecaster = make().fit(noise(), fh=FH)
    forecaster.save(tmp_path / "model")
    script = (
        "from sktime.base import load\n"
        f"print(load({str(tmp_path / 'model')!r}).predict()['a'].map(float.hex).tolist())"
    )
    root = Path(__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
    )
    assert result.stdout.strip() == str(forecaster.predict()["a"].map(float.hex).tolist())


def test_files_hold_no_data_but_the_context():
    small, large = (make().fit(noise(rows), fh=FH) for rows in (50, 2500))
    assert len(pickle.dumps(large)) - len(pickle.dumps(small)) < 100


def test_the_callers_random_numbers_do_not_move():
    state = torch.random.get_rng_state()
    legacy = np.random.get_state()[1].copy()  # noqa: NPY002 - what Darts could move
    forecaster = make().fit(noise(), fh=FH)
    forecaster.predict()
    pickle.loads(pickle.dumps(forecaster))
    assert torch.equal(state, torch.random.get_rng_state())
    assert (np.random.get_state()[1] == legacy).all()  # noqa: NPY002
