"""What every test needs: one thread, no window, no litter, no chatter."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import importlib.metadata
import logging
import os
import random
import signal
import sys
import traceback
from pathlib import Path

import pytest

# Read when torch and matplotlib are imported, so set before any test module is. With two threads a
# network as small as the tests' takes several times longer than with one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# Lightning reads the files of every installed package at every fit and forecast: a third of a short
# one. No package is installed while the tests run.
importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)  # type: ignore[assignment]

# The sources beside these tests are what is tested, here and in processes that a test starts, even
# where the interpreter has another checkout installed.
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def pytest_configure() -> None:
    """Drop what Darts and Lightning report about every fit; warnings and errors stay."""
    logging.disable(logging.INFO)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        # Not at the top: a run without such a test need not wait for torch to be collected.
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def pytest_collection_finish() -> None:
    """Let no collection of garbage go through what the imports made: half a million objects stay.

    They took a twelfth of the time of the tests.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin every test, and the fixtures made for it, at the same random numbers in any order."""
    random.seed(0)
    # Only what the tests have imported: most of them need neither.
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def default_dtype_is_left_alone():
    """Fail the test that leaves the process in another precision, not those that come later."""
    yield
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        left = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        assert left is torch.float32


@pytest.fixture(scope="module", autouse=True)
def attentions_of_this_file():
    """Forget after a file which attentions it registered: a name is taken for the whole process."""
    registry = sys.modules.get("informer_forecaster._network.registry")
    with pytest.MonkeyPatch.context() as patch:
        if registry is not None:
            patch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
        yield


@pytest.fixture(scope="session", autouse=True)
def scratch_directory(tmp_path_factory: pytest.TempPathFactory):
    """Run in an empty directory, where logs and checkpoints of a fit do no harm.

    Of the whole session, so that fixtures that fit a model once for a module run there too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("cwd"))
        yield


@pytest.fixture(scope="module")
def script():
    """Import a script of docs/benchmarks by its name; a later file imports it anew."""
    folder, before = ROOT / "docs" / "benchmarks", set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == folder:
            del sys.modules[name]


@pytest.fixture(scope="session")
def record_cases():
    """Write how many cases of a fault were survived to the file that RELIABILITY_RESULTS names."""

    def record(fault, cases, survived, command):
        target = os.environ.get("RELIABILITY_RESULTS")
        if target is None:
            return
        path = ROOT / target
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        rows = dict(line.split(",", 1) for line in lines)
        rows[fault] = f"{cases},{survived},{command}"
        text = "\n".join([header, *(f"{name},{rest}" for name, rest in rows.items())])
        path.write_text(text + "\n", encoding="utf-8")

    return record


@pytest.fixture(scope="module")
def tiny_model():
    """Make a model that fits in a twentieth of a second; ``trainer`` adds trainer arguments.

    Its two steps would give the network a share of a five-hundredth, in which no fault of it shows:
    here they are enough for half of the forecast, where nothing validates.
    """
    from informer_forecaster import InformerModel
    from informer_forecaster._training import share

    def make(
        input_chunk_length=8, output_chunk_length=4, cls=InformerModel, trainer=None, **kwargs
    ):
        quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
        small = {"d_model": 8, "nhead": 2, "dim_feedforward": 8, "batch_size": 8, "n_epochs": 1}
        if issubclass(cls, InformerModel):
            # The series of the tests are shorter than a calendar's cycles.
            small["time_features"] = "all"
        trainer = {"accelerator": "cpu", "limit_train_batches": 2, **quiet, **(trainer or {})}
        if not kwargs.get("save_checkpoints"):
            trainer.setdefault("enable_checkpointing", False)
        arguments = {**small, "random_state": 0, "pl_trainer_kwargs": trainer, **kwargs}
        return cls(input_chunk_length, output_chunk_length, **arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(share, "STEPS_TO_LEARN", 2)
        yield make


@pytest.fixture
def reloaded(tmp_path):
    """Write a model to every kind of file, and give what each is read as."""

    def reload(model):
        path = str(tmp_path / "model.pt")
        model.save(path)
        model.save_pretrained(tmp_path / "directory")
        other = model.untrained_model()
        other.load_weights(path)
        cls = type(model)
        return [cls.load(path), cls.from_pretrained(tmp_path / "directory"), other]

    return reload


@pytest.fixture(scope="session")
def waves():
    """Make a series of noisy waves around 10, hourly or, with ``index="range"``, by steps."""
    import numpy as np
    import pandas as pd
    from darts import TimeSeries

    def make(length=40, components=1, index="datetime", seed=0, dtype=np.float64, static=None):
        steps = np.arange(length)[:, None]
        phase = np.arange(components)
        noise = np.random.default_rng(seed).normal(scale=0.1, size=(length, components))
        values = 10 + np.sin(steps * (2 * np.pi / 12) + phase + seed) + noise
        times = (
            pd.RangeIndex(5, 5 + length)
            if index == "range"
            else pd.date_range("2024-02-27", periods=length, freq="h")
        )
        names = [f"wave_{component}" for component in range(components)]
        series = TimeSeries.from_times_and_values(times, values, columns=names)
        series = series if static is None else series.with_static_covariates(static)
        return series.astype(dtype)

    return make


@pytest.fixture(scope="session")
def with_value():
    """Copy a series with ``value`` at some of its steps, in every component unless one is given."""

    def replace(series, steps, value, component=slice(None)):
        values = series.all_values()
        values[steps, component] = value
        return series.with_values(values)

    return replace


@pytest.fixture(scope="session")
def time_limit():
    """Make a context that ends a hang with a TimeoutError.

    ``seconds`` are more than the work takes; a machine that is busy gets ten times as many.
    """

    def stop(signum, frame):  # noqa: ARG001 - what a signal handler is given
        raise TimeoutError("the test took longer than its limit")

    @contextlib.contextmanager
    def limit(seconds):
        before = signal.signal(signal.SIGALRM, stop)
        signal.alarm(10 * seconds)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    return limit


@pytest.fixture(scope="session")
def refused_by_us():
    """Assert that an error is of this package, before the work, and that it names ``name``.

    ``others`` are folders whose errors are as good.
    """

    def check(error, name="", others=()):
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        # Whole paths: the folder of a clone, with its virtual environment, may be called as we are.
        ours = tuple(f"{ROOT / folder}{os.sep}" for folder in ("adapters", "informer_forecaster"))
        if not files[-1].startswith(ours) and not any(one in files[-1] for one in others):
            raise AssertionError(f"an error that is not ours, of {files[-1]}") from error
        if any("/pytorch_lightning/" in name for name in files):
            raise AssertionError("refused after the work had begun") from error
        if name not in str(error):
            raise AssertionError(f"an error that does not name {name}") from error

    return check
