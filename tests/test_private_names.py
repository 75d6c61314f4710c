"""Private names of the frameworks stand in one file, and are what that file takes them for."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from darts.models.forecasting import torch_forecasting_model as darts
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule

ROOT = Path(__file__).parents[1]
HOME = "informer_forecaster.adapters._darts_private"
FRAMEWORKS = {"darts", "pytorch_lightning", "lightning_fabric"}
MODEL = darts.TorchForecastingModel

# What `_darts_private` and the contract of a subclass call, or are called with.
METHODS = {
    "_load_encoders": (MODEL, ("self", "tfm_save", "load_encoders")),
    "_init_model": (MODEL, ("self", "trainer")),
    "_update_covariates_use": (MODEL, ("self",)),
    "_default_save_path": (MODEL, ("cls",)),
    "_get_checkpoint_fname": (darts, ("work_dir", "model_name", "best")),
    "_compute_loss": (
        PLForecastingModule,
        ("self", "output", "target", "criterion", "sample_weight"),
    ),
    "_create_model": (MODEL, ("self", "train_sample")),
    "_extract_torch_model_params": (MODEL, ("cls", "kwargs")),
    "_extract_pl_module_params": (MODEL, ("kwargs",)),
}
# What every subclass implements or sets.
CONTRACT = {
    "_create_model",
    "_extract_torch_model_params",
    "_extract_pl_module_params",
    "_ckpt_skipped_params",
    "_considers_static_covariates",
}


def modules():
    """Name every module of the package, with its file; the adapters lie beside it."""
    for folder, parents in (("informer_forecaster", 1), ("adapters", 0)):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[:2] != ("informer_forecaster", "adapters"):
                dotted = ".".join(parts if parents else ("informer_forecaster", *parts))
                yield dotted.removesuffix(".__init__"), path


def private(name):
    return name.startswith("_") and not name.startswith("__")


def names_in(tree):
    """Private names that a source reads, sets or defines, and those that it imports."""
    nodes = list(ast.walk(tree))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    imported = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FRAMEWORKS:
            imported |= {alias.name for alias in node.names}
    return set(filter(private, used)), set(filter(private, imported))


def names_of(cls):
    """Private names of the frameworks' classes that a class is made of, attributes included."""
    found = set()
    for base in cls.__mro__:
        if base.__module__.split(".")[0] in FRAMEWORKS:
            found |= names_in(ast.parse(inspect.getsource(inspect.getmodule(base))))[0]
    return found


@pytest.mark.parametrize("name", METHODS)
def test_a_private_method_of_darts_is_there_as_it_is_used(name):
    home, expected = METHODS[name]
    advice = f"{name} has changed: find what took its place in Darts, and mend {HOME}"
    assert hasattr(home, name), advice
    found = inspect.getattr_static(home, name)
    assert tuple(inspect.signature(getattr(found, "__func__", found)).parameters) == expected, (
        advice
    )


@pytest.mark.parametrize("name", ["_fit_called", "_considers_static_covariates"])
def test_a_private_attribute_of_darts_is_read_by_darts(name):
    source = inspect.getsource(
        importlib.import_module("darts.models.forecasting.forecasting_model")
    )
    assert source.count(f"self.{name}") > 1, f"Darts no longer reads {name}: mend {HOME}"


@pytest.mark.parametrize(("module", "path"), list(modules()))
def test_no_other_private_name_of_a_framework_is_used(module, path):
    """A new release changes such a name without a word: the package must know where to look."""
    if module == HOME:
        return
    used, imported = names_in(ast.parse(path.read_text(encoding="utf-8")))
    classes = [
        cls
        for cls in vars(importlib.import_module(module)).values()
        if inspect.isclass(cls) and cls.__module__ == module
    ]
    found = imported | set().union(*(used & names_of(cls) for cls in classes))
    assert found <= CONTRACT, f"move {sorted(found - CONTRACT)} of {path.name} to {HOME}"


def test_the_names_that_are_called_are_those_that_are_checked():
    path = dict(modules())[HOME]
    used, imported = names_in(ast.parse(path.read_text(encoding="utf-8")))
    assert (used | imported) - {"_fit_called"} <= METHODS.keys()
