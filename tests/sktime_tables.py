"""Tiny forecasters and tables of noise, for the tests of the sktime adapter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from informer_forecaster import InformerForecaster

TINY = {**InformerForecaster.get_test_params()[0], "early_stopping_patience": None}
FH = [1, 2, 3]


def make(**parameters):
    """A tiny forecaster that trains on all rows."""
    return InformerForecaster(**{**TINY, **parameters})


def noise(rows=40, columns=("a",), seed=0, index=None):
    """Rows of noise, by month unless an index is given."""
    index = pd.period_range("2001-01", periods=rows, freq="M") if index is None else index
    values = np.random.default_rng(seed).normal(50, 5, size=(len(index), len(columns)))
    return pd.DataFrame(values, index=index, columns=list(columns))


def panel(lengths=(30, 30, 30), names=("north", "south", "east"), seed=0):
    """Series of noise under the names of regions."""
    tables = {
        name: noise(n, seed=seed + i)
        for i, (name, n) in enumerate(zip(names, lengths, strict=False))
    }
    return pd.concat(tables, names=["region", "month"])


def weights(forecaster):
    """The weights of a fitted forecaster's network."""
    return forecaster.model_.model.model.state_dict()


def same_weights(left, right):
    """Whether two state dicts hold equal numbers."""
    return all(torch.equal(value, right[name]) for name, value in left.items())
