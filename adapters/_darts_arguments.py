"""Private: checks of the arguments of :class:`InformerModel` that are not the network's."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import Any

from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.utils.likelihood_models.base import Likelihood

from informer_forecaster._network.config import check_integer, check_switch


def check_arguments(arguments: dict[str, Any]) -> None:
    """Raise if an argument of the model, but not of the network, is outside its range.

    Numpy's integers and booleans become Python's, in place.
    """
    time_features = arguments["time_features"]
    if not isinstance(time_features, bool) and time_features != "all":
        raise ValueError(f"`time_features` must be True, False or 'all'; got {time_features!r}.")
    _check_encoders(arguments.get("add_encoders"))
    for name in ("use_static_covariates", "compile_network"):
        arguments[name] = check_switch(name, arguments[name])
    norm = arguments["use_reversible_instance_norm"]
    if norm is not None and not (
        isinstance(norm, bool) or (isinstance(norm, dict) and norm.keys() <= {"affine", "eps"})
    ):
        raise ValueError(
            "`use_reversible_instance_norm` must be True, False, None, or a dictionary with the "
            f"keys 'affine' and 'eps'; got {norm!r}."
        )
    for name, minimum in (("output_chunk_shift", 0), ("batch_size", 1), ("n_epochs", 0)):
        if name in arguments:
            arguments[name] = check_integer(name, arguments[name], minimum)
    patience = arguments["early_stopping_patience"]
    if patience is not None:
        arguments["early_stopping_patience"] = check_integer("early_stopping_patience", patience, 1)
    _check_training(arguments)
    likelihood = arguments.get("likelihood")
    if likelihood is not None and not isinstance(likelihood, Likelihood):
        raise ValueError(
            "`likelihood` must be an object of `darts.utils.likelihood_models.torch` or None; got "
            f"{likelihood!r}. Give for example `QuantileRegression()`."
        )


def _check_training(arguments: dict[str, Any]) -> None:
    """Raise unless loss, optimizer and trainer are given as Darts takes them."""
    loss = arguments.get("loss_fn", callable)
    if isinstance(loss, type) or not callable(loss):
        raise ValueError(
            f"`loss_fn` must be a torch loss module; got {loss!r}. Give for example "
            "`torch.nn.L1Loss()`."
        )
    for name in ("optimizer_kwargs", "pl_trainer_kwargs"):
        if not isinstance(arguments.get(name) or {}, dict):
            raise ValueError(f"`{name}` must be a dictionary or None; got {arguments[name]!r}.")


def _check_encoders(encoders: Any) -> None:
    """Raise unless the user's own encoders are in lists, which calendar features can join."""
    own = encoders.get("custom") if isinstance(encoders, dict) else encoders
    are_lists = isinstance(own, dict) and isinstance(own.get("future", []), list | tuple)
    if own is not None and not (are_lists and isinstance(encoders, dict)):
        raise ValueError(
            "`add_encoders` must be None or a dictionary, with encoders of one's own in lists, as "
            f"{{'custom': {{'future': [function]}}}}; got {encoders!r}."
        )


def check_unknown(cls: type, given: Iterable[str]) -> None:
    """Raise if no class that ``cls`` is made of has an argument of that name."""
    known = set(inspect.signature(PLForecastingModule.__init__).parameters)
    for base in inspect.getmro(cls)[:-1]:
        known.update(inspect.signature(vars(base).get("__init__", object)).parameters)
    known -= {"self", "args", "kwargs"}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"Did you mean `{near[0]}`?" if near else "Leave it out."
            raise ValueError(f"`{name}` is no argument of `{cls.__name__}`. {remedy}")
