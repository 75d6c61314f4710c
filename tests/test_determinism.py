"""One `random_state`, one model: in any process, with any number of threads."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

SCRIPT = """
import hashlib, json, logging, sys, warnings

logging.disable(logging.WARNING)
warnings.filterwarnings("ignore")
import numpy as np
import pandas as pd
import torch
from darts import TimeSeries

from informer_forecaster import InformerForecaster, InformerModel

torch.set_num_threads(int(sys.argv[1]))
values = 10 + np.sin(np.arange(80.0)) + np.random.default_rng(0).normal(size=80)
quiet = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
model = InformerModel(24, 6, d_model=16, n_epochs=2, random_state=7, pl_trainer_kwargs=quiet)
model.fit(TimeSeries.from_values(values))
sizes = {"input_chunk_length": 24, "d_model": 16, "n_epochs": 2, "random_state": 7}
forecaster = InformerForecaster(**sizes, pl_trainer_kwargs=quiet)
forecaster.fit(pd.Series(values), fh=range(1, 7))


def digest(module):
    arrays = [v.detach().numpy().tobytes() for v in module.state_dict().values()]
    return hashlib.sha256(b"".join(arrays)).hexdigest()


print(json.dumps({
    "weights": [digest(model.model), digest(forecaster.model_.model.model)],
    "forecasts": [
        model.predict(6).values().ravel().tolist(),
        forecaster.predict().to_numpy().ravel().tolist(),
    ],
}))
"""


def fresh_process(num_threads):
    command = [sys.executable, "-c", SCRIPT, str(num_threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_fresh_processes_train_equal_weights():
    """Also where Python's hashes differ from process to process."""
    one, other, threads = fresh_process(1), fresh_process(1), fresh_process(2)
    assert one == other
    assert len(set(one["weights"])) == 2
    for exact, rounded in zip(one["forecasts"], threads["forecasts"], strict=True):
        np.testing.assert_allclose(rounded, exact, rtol=1e-4)


def test_forecasts_do_not_depend_on_threads_and_batches(tiny_model, waves):
    every = [waves(60, seed=i) for i in range(9)]
    model = tiny_model(30, 6, sampling_factor=1, sparsity="sampled").fit(every)
    expected = model.predict(6, every)
    before = torch.get_num_threads()
    try:
        for num_threads in (1, 2, 4):
            torch.set_num_threads(num_threads)
            for batch_size in (1, 4, 64):
                found = model.predict(6, every, batch_size=batch_size)
                for one, other in zip(found, expected, strict=True):
                    np.testing.assert_allclose(one.values(), other.values(), rtol=1e-9)
    finally:
        torch.set_num_threads(before)
