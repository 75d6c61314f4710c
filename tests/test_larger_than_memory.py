"""Training on more data than the process may hold, under a limit that the kernel enforces."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from informer_forecaster.adapters.arrow import write_arrow

MEGABYTE = 2**20
ROOM = 64 * MEGABYTE  # for batches, gradients and what Lightning builds
SERIES, SERIES_SIZE = 150, 16 * MEGABYTE
STRIDE = 65_536

TRAINING = """
import json, resource, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from informer_forecaster import InformerModel
from informer_forecaster.adapters.arrow import ArrowTrainingDataset

path, room, stride, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
quiet = dict.fromkeys(
    ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger"), False
)
model = InformerModel(
    8, 4, d_model=8, nhead=2, dim_feedforward=8, n_epochs=1, batch_size=64, random_state=0,
    pl_trainer_kwargs={"accelerator": "cpu", **quiet},
)
dataset = ArrowTrainingDataset(path, 8, 4, target=["a"], stride=stride)
# Once before the limit, so that what libraries load at the first fit is not counted.
model.fit_from_dataset(dataset)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
limit = int(status["VmData"].split()[0]) * 1024 + room
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
if how == "in memory":
    with pa.OSFile(path) as file:
        pa.ipc.open_file(file).read_all()
model.fit_from_dataset(dataset)
weights = [bool(w.isfinite().all()) for w in model.model.state_dict().values()]
print(json.dumps({"limit": limit, "windows": len(dataset), "finite": all(weights)}))
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Write a file of 2.5 GB, a series at a time."""
    path = tmp_path_factory.mktemp("large") / "large.arrow"
    values = np.random.default_rng(0).normal(size=SERIES_SIZE // 4).astype(np.float32)
    write_arrow(path, (pd.DataFrame({"a": values + np.float32(i)}) for i in range(SERIES)))
    yield path
    path.unlink()


def train(path, how):
    command = [sys.executable, "-c", TRAINING, str(path), str(ROOM), str(STRIDE), how]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA and /proc are Linux's")
def test_training_goes_on_where_the_data_do_not_fit(path):
    run = train(path, "from the file")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["finite"]
    # More than the whole process may hold, and windows from all over the file.
    assert path.stat().st_size > 4 * found["limit"]
    assert found["windows"] == SERIES * (SERIES_SIZE // 4 // STRIDE)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA and /proc are Linux's")
def test_the_limit_holds(path):
    """Under the same limit the data cannot be read into memory."""
    run = train(path, "in memory")
    assert run.returncode != 0
    assert "ArrowMemoryError" in run.stderr or "MemoryError" in run.stderr
