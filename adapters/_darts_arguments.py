"""Private: what is checked of the arguments that a model is made of, but for the network's."""

from __future__ import annotations

import math
from numbers import Real

from darts.utils.likelihood_models.base import Likelihood

from informer_forecaster._checks import (
    Arguments,
    check_choice,
    check_recipe,
    check_switch,
)
from informer_forecaster.time_features import TIME_FEATURES


def check_arguments(arguments: Arguments) -> None:
    """Raise if an argument of the model, but not of the network, is outside its range.

    Numpy's integers and booleans become Python's, in place.
    """
    check_choice("time_features", arguments["time_features"], TIME_FEATURES)
    _check_encoders(arguments.get("add_encoders"))
    for name in ("use_static_covariates", "compile_network"):
        arguments[name] = check_switch(name, arguments[name])
    _check_norm(arguments["use_reversible_instance_norm"])
    check_recipe(arguments)
    loss = arguments.get("loss_fn", callable)
    if isinstance(loss, type) or not callable(loss):
        raise ValueError(
            f"`loss_fn` must be a torch loss module; got {loss!r}. Give for example "
            "`torch.nn.L1Loss()`."
        )
    likelihood = arguments.get("likelihood")
    if likelihood is not None and not isinstance(likelihood, Likelihood):
        raise ValueError(
            "`likelihood` must be an object of `darts.utils.likelihood_models.torch` or None; got "
            f"{likelihood!r}. Give for example `QuantileRegression()`."
        )


def _check_norm(norm: object) -> None:
    """Raise unless the instance norm is switched, or has arguments that Darts' own norm takes."""
    if norm is None or isinstance(norm, bool):
        return
    given = norm if isinstance(norm, dict) else {"no dictionary": norm}
    eps = given.get("eps", 0.0)
    if (
        not given.keys() <= {"affine", "eps"}
        or not isinstance(given.get("affine", True), bool)
        or isinstance(eps, bool)
        or not isinstance(eps, Real)
        or not 0 <= float(eps) < math.inf
    ):
        raise ValueError(
            "`use_reversible_instance_norm` must be True, False, None, or a dictionary with "
            f"'affine', True or False, and 'eps', a number of at least 0; got {norm!r}."
        )


def _check_encoders(encoders: object) -> None:
    """Raise unless the user's own encoders are in lists, which calendar features can join."""
    own = encoders.get("custom") if isinstance(encoders, dict) else encoders
    are_lists = isinstance(own, dict) and isinstance(own.get("future", []), list | tuple)
    if own is not None and not (are_lists and isinstance(encoders, dict)):
        raise ValueError(
            "`add_encoders` must be None or a dictionary, with encoders of one's own in lists, as "
            f"{{'custom': {{'future': [function]}}}}; got {encoders!r}."
        )
