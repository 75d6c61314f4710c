"""Fits leave nothing behind: no memory, no thread, no process, no file."""

from __future__ import annotations

import gc
import multiprocessing
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from informer_forecaster import InformerForecaster

TINY = {**InformerForecaster.get_test_params()[0], "quantiles": None}
MEGABYTE = 2**20


class Held(NamedTuple):
    """What a process holds."""

    tensors: int
    threads: int
    children: int
    files: int
    objects: int
    resident_bytes: int


def held():
    gc.collect()
    statm, objects = Path("/proc/self/statm"), gc.get_objects()
    return Held(
        sum(issubclass(type(one), torch.Tensor) for one in objects),
        threading.active_count(),
        len(multiprocessing.active_children()),
        len(list(Path.cwd().rglob("*"))),
        len(objects),
        int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0,
    )


@pytest.fixture
def fit_once(tiny_model, waves):
    """Fit and forecast with both adapters."""
    series = waves(60, 2)
    table = pd.DataFrame({"a": np.sin(np.arange(60.0))})

    def fit():
        tiny_model().fit(series, future_covariates=waves(70)).predict(6)
        InformerForecaster(**TINY).fit(table, fh=[1, 2]).predict()

    return fit


def test_fits_leave_nothing_behind(fit_once):
    fit_once()
    before = held()
    for _ in range(3):
        fit_once()
    after = held()
    assert not any(later > earlier for later, earlier in zip(after[:4], before[:4], strict=True))
    assert after.objects - before.objects < 1000


@pytest.mark.slow
def test_two_hundred_fits_do_not_grow(fit_once):
    """After the first twenty, in which caches fill, memory stays where it is."""
    for _ in range(10):
        fit_once()
    before = held()
    for _ in range(100):
        fit_once()
    after = held()
    assert not any(later > earlier for later, earlier in zip(after[:4], before[:4], strict=True))
    # sktime caches horizons, and pandas dead references to an index: some ten objects a fit.
    assert after.objects - before.objects < 5000
    assert after.resident_bytes - before.resident_bytes < 20 * MEGABYTE
