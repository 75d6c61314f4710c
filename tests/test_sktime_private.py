"""Private names of sktime: each that is used is there, and stands in one file."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pandas as pd
import pytest
from sktime.forecasting.base import BaseForecaster
from sktime.forecasting.naive import NaiveForecaster

ADAPTERS = Path(__file__).parents[1] / "adapters"
METHODS = {
    "_check_X_y": ["X", "y", "y_inner_mtype", "multivariate"],
    "_check_X": ["X"],
    "_check_fh": ["fh", "pred_int"],
    "_get_varnames": [],
    "_get_columns": ["method", "kwargs"],
}
ATTRIBUTES = {"_y", "_X", "_state", "_converter_store_y"}
# What sktime asks a subclass to write.
CONTRACT = {
    *("_fit", "_predict", "_predict_quantiles", "_update", "_pretrain", "_pretrain_update"),
    *("_tags", "_config"),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_private_method_is_called_as_it_was(name):
    signature = inspect.signature(getattr(BaseForecaster, name))
    assert list(signature.parameters)[1:] == METHODS[name]


def test_private_attributes_are_set_by_a_fit():
    forecaster = NaiveForecaster().set_config(remember_data=True)
    forecaster.fit(pd.Series([1.0, 2.0]), fh=[1])
    assert vars(forecaster).keys() >= ATTRIBUTES


def test_private_names_of_sktime_stand_in_one_file():
    """What the base class has and the adapter uses; the names of a subclass are for all."""
    theirs = {name for name in dir(NaiveForecaster()) if name.startswith("_")} | ATTRIBUTES
    theirs = {name for name in theirs if not name.startswith("__")} - CONTRACT
    for path in [ADAPTERS / "sktime.py", *ADAPTERS.glob("_sktime_*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        written = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        found = (used | written) & theirs
        if path.name == "_sktime_private.py":
            assert found == {*METHODS, *ATTRIBUTES}
        else:
            assert not found, path.name
