"""Private: a model's arguments as JSON values, and back, without ever running what a file names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from numbers import Integral, Real
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import sklearn.preprocessing
import torch
from darts.dataprocessing.transformers import Scaler
from darts.utils import losses as darts_losses
from darts.utils.likelihood_models import torch as likelihoods

from .time_features import TimeFeatures

JSON = Any  # what `json` reads and writes: None, bool, int, float, str, list, dict


class _Family(NamedTuple):
    """Classes that a file may name: those of one base that one module offers."""

    module: ModuleType
    base: type

    def find(self, name: str) -> type:
        """Look up a class by its name; raise if it is none of the family."""
        found = getattr(self.module, name, None)
        if not isinstance(found, type) or not issubclass(found, self.base):
            raise ValueError(
                f"the file names {name!r}, which is no {self.base.__name__} of "
                f"{self.module.__name__}. Install the versions that the file was written with."
            )
        return found

    def holds(self, given: object) -> bool:
        """Whether ``given`` is a class of the family, found again by its name."""
        return isinstance(given, type) and (
            issubclass(given, self.base) and getattr(self.module, given.__name__, None) is given
        )


# tag in the file -> the classes of the objects, or the classes themselves, that it stands for
_OBJECTS = {
    "$likelihood": _Family(likelihoods, likelihoods.TorchLikelihood),
    "$loss": _Family(torch.nn.modules.loss, torch.nn.Module),
    "$darts_loss": _Family(darts_losses, torch.nn.Module),
}
_CLASSES = {
    "$optimizer": _Family(torch.optim, torch.optim.Optimizer),
    "$lr_scheduler": _Family(torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler),
}
# These only shift and scale: what they have learnt is a few arrays.
_ESTIMATORS = ("MinMaxScaler", "StandardScaler", "MaxAbsScaler", "RobustScaler")
# Arguments of torch's losses that are deprecated in favour of `reduction` and leave no attribute.
_WITHOUT_ATTRIBUTE = ("size_average", "reduce")
_SCALER_ARGUMENTS = {
    "name": "_name",
    "n_jobs": "_n_jobs",
    "verbose": "_verbose",
    "columns": "_columns",
    "global_fit": "_global_fit",
}


def to_json(value: Any, where: str) -> JSON:
    """Turn ``value`` into what JSON can hold; :func:`from_json` is the way back.

    Parameters
    ----------
    value
        Numbers, strings, lists, tuples and dictionaries of them, Darts' likelihoods and losses,
        torch's losses, optimisers and schedulers, :class:`TimeFeatures`, and Darts' Scaler.
    where : str
        What the value is, for messages: ``add_encoders['custom']``.

    Raises
    ------
    ValueError
        If the value, or one in it, is something else.

    Examples
    --------
    >>> from informer_forecaster.adapters._plain_values import from_json, to_json
    >>> to_json({"betas": (0.9, 0.99)}, "optimizer_kwargs")
    {'betas': {'$tuple': [0.9, 0.99]}}
    >>> from_json(_)
    {'betas': (0.9, 0.99)}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and math.isfinite(value):
        return float(value)
    if isinstance(value, list):
        return [to_json(one, f"{where}[{i}]") for i, one in enumerate(value)]
    if isinstance(value, tuple):
        return {"$tuple": to_json(list(value), where)}
    if isinstance(value, dict) and all(_is_plain_key(key) for key in value):
        return {key: to_json(one, f"{where}[{key!r}]") for key, one in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "bif":
        return {"$array": to_json(value.tolist(), where), "dtype": str(value.dtype)}
    tagged = _object_to_json(value, where)
    if tagged is None:
        raise ValueError(
            f"`{where}` cannot be saved as data; got {value!r}. A pretrained model holds numbers, "
            "strings, and the likelihoods, losses, optimizers and scalers of Darts, torch and "
            "scikit-learn. Leave it out, or keep the whole model with `save`."
        )
    return tagged


def from_json(value: JSON) -> Any:
    """Turn what :func:`to_json` made into the value it was.

    Raises
    ------
    ValueError
        If the value names what no version of this package writes.
    """
    if isinstance(value, list):
        return [from_json(one) for one in value]
    if not isinstance(value, dict):
        return value
    tag = next((key for key in value if key.startswith("$")), None)
    if tag is None:
        return {key: from_json(one) for key, one in value.items()}
    if tag in _OBJECTS:
        return _OBJECTS[tag].find(value[tag])(**from_json(value["arguments"]))
    if tag in _CLASSES:
        return _CLASSES[tag].find(value[tag])
    if tag not in _READERS:
        raise ValueError(
            f"the file holds a value of the kind {tag!r}, which this version does not know. "
            "Install the version of informer-forecaster that the file was written with."
        )
    return _READERS[tag](value)


def _is_plain_key(key: object) -> bool:
    return isinstance(key, str) and not key.startswith("$")


def _object_to_json(value: Any, where: str) -> JSON:
    """The tagged form of an object or class, or None where there is none."""
    for tag, family in _OBJECTS.items():
        if family.holds(type(value)):
            arguments = _arguments_of(value, where)
            return {tag: type(value).__name__, "arguments": to_json(arguments, where)}
    for tag, family in _CLASSES.items():
        if family.holds(value):
            return {tag: value.__name__}
    if isinstance(value, TimeFeatures):
        return {"$time_features": list(value.names)}
    if type(value) is Scaler:
        return _scaler_to_json(value, where)
    if _is_estimator(value):
        learnt = {name: one for name, one in vars(value).items() if name.endswith("_")}
        return {
            "$estimator": type(value).__name__,
            "arguments": to_json(value.get_params(deep=False), where),
            "learnt": to_json(learnt, where),
        }
    return None


def _arguments_of(value: Any, where: str) -> dict[str, Any]:
    """The constructor's arguments of an object that keeps them as attributes."""
    names = list(inspect.signature(type(value)).parameters)
    missing = [
        name for name in names if not hasattr(value, name) and name not in _WITHOUT_ATTRIBUTE
    ]
    if missing:
        raise ValueError(
            f"`{where}` cannot be saved as data, as {type(value).__name__} does not tell its "
            f"argument {missing[0]!r}. Choose another, or keep the whole model with `save`."
        )
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _is_estimator(value: object) -> bool:
    return any(type(value) is getattr(sklearn.preprocessing, name) for name in _ESTIMATORS)


def _scaler_to_json(scaler: Scaler, where: str) -> JSON:
    if not _is_estimator(scaler.transformer):
        raise ValueError(
            f"`{where}` cannot be saved as data, as its Scaler holds {scaler.transformer!r}. "
            f"Choose one of {', '.join(_ESTIMATORS)}, or keep the whole model with `save`."
        )
    fitted = list(scaler._fitted_params) if scaler._fit_called else None
    arguments = {name: getattr(scaler, held) for name, held in _SCALER_ARGUMENTS.items()}
    return {
        "$scaler": to_json(scaler.transformer, where),
        "arguments": to_json(arguments, where),
        "fitted": to_json(fitted, where),
    }


def _scaler_from_json(value: JSON) -> Scaler:
    scaler = Scaler(from_json(value["$scaler"]), **from_json(value["arguments"]))
    if value["fitted"] is not None:
        scaler._fitted_params = from_json(value["fitted"])
        scaler._fit_called = True
    return scaler


def _estimator_from_json(value: JSON) -> Any:
    name = value["$estimator"]
    if name not in _ESTIMATORS:
        raise ValueError(f"the file names the scaler {name!r}; known are {_ESTIMATORS}.")
    estimator = getattr(sklearn.preprocessing, name)(**from_json(value["arguments"]))
    vars(estimator).update(from_json(value["learnt"]))
    return estimator


_READERS: dict[str, Callable[[JSON], Any]] = {
    "$tuple": lambda value: tuple(from_json(value["$tuple"])),
    "$array": lambda value: np.array(value["$array"], dtype=np.dtype(value["dtype"])),
    "$time_features": lambda value: TimeFeatures(tuple(value["$time_features"])),
    "$estimator": _estimator_from_json,
    "$scaler": _scaler_from_json,
}
