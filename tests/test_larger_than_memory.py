"""Training on more data than the process may hold, under a limit that the kernel enforces."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from darts import TimeSeries

MEGABYTE = 2**20
ROOM = 64 * MEGABYTE  # for batches, gradients and what Lightning builds
SERIES, STEPS = 150, 4 * MEGABYTE
STRIDE = 65_536

TRAINING = """
import json, resource, sys
from pathlib import Path
import numpy as np
from darts import TimeSeries
from informer_forecaster import InformerModel

path, room, number, stride, how = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
quiet = dict.fromkeys(
    ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger"), False
)
model = InformerModel(
    8, 4, d_model=8, nhead=2, dim_feedforward=8, n_epochs=1, batch_size=64, random_state=0,
    pl_trainer_kwargs={"accelerator": "cpu", **quiet},
)
rows = np.load(path, mmap_mode="r")
series = [TimeSeries.from_values(one, copy=False) for one in np.split(rows, number)]
# Once before the limit, so that what libraries load at the first fit is not counted.
model.fit(series[:1], stride=stride)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
limit = int(status["VmData"].split()[0]) * 1024 + room
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
if how == "in memory":
    np.load(path)
model.fit(series, stride=stride)
weights = [bool(w.isfinite().all()) for w in model.model.state_dict().values()]
print(json.dumps({"limit": limit, "finite": all(weights)}))
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Write a file of 2.5 GB, a series at a time."""
    path = tmp_path_factory.mktemp("large") / "large.npy"
    shape = (SERIES * STEPS, 1)
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    values = np.random.default_rng(0).normal(size=(STEPS, 1)).astype(np.float32)
    for i in range(SERIES):
        rows[i * STEPS : (i + 1) * STEPS] = values + np.float32(i)
    rows.flush()
    yield path
    path.unlink()


def train(path, how):
    arguments = [str(path), *map(str, (ROOM, SERIES, STRIDE)), how]
    command = [sys.executable, "-c", TRAINING, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA and /proc are Linux's")
def test_training_goes_on_where_the_data_do_not_fit(path):
    run = train(path, "from the file")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["finite"]
    assert path.stat().st_size > 1.5 * found["limit"]  # more than the whole process may hold


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA and /proc are Linux's")
def test_the_limit_holds(path):
    """Under the same limit the data cannot be read into memory."""
    run = train(path, "in memory")
    assert run.returncode != 0
    assert "MemoryError" in run.stderr


def test_values_in_a_file_train_as_those_in_memory(tiny_model, waves, tmp_path):
    """To the last bit, and without a copy."""
    values = np.stack([waves(40, 2, seed=i).values() for i in range(3)])
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    series = [TimeSeries.from_values(one, copy=False) for one in mapped]
    assert np.shares_memory(series[1].all_values(copy=False), mapped)
    model = tiny_model().fit(series)
    inside = tiny_model().fit([TimeSeries.from_values(one) for one in values])
    assert model.predict(4, series[1]) == inside.predict(4, series[1])
