"""Private: what arguments may be, and how a call names them. Every layer may use it."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from numbers import Integral
from typing import Any, ParamSpec

Arguments = dict[str, Any]
P = ParamSpec("P")

# Largest magnitude of a value that weights of so many bits can train on: the fourth root of their
# largest number, as Adam squares the gradient of a squared error. Bfloat16 ends where 32 bits do.
LARGEST_VALUE = {16: 2.0**4, 32: 2.0**32, 64: 2.0**256}

_RATE = "Give `optimizer_kwargs={'lr': ...}`."
# Arguments of `InformerForecaster`, or of other libraries, which a Darts model takes elsewhere.
_ELSEWHERE = {
    "quantiles": "Give `likelihood=QuantileRegression(quantiles)`.",
    "verbose": "Give it to `fit` and `predict`.",
    "lr": _RATE,
    "learning_rate": _RATE,
}


# Values


def check_integer(name: str, value: object, minimum: int) -> int:
    """Return ``value`` as Python's integer; raise unless it is one of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < minimum:
        raise ValueError(f"`{name}` must be an integer of at least {minimum}; got {value!r}.")
    return int(value)


def check_switch(name: str, value: object) -> bool:
    """Return ``value`` as Python's boolean; raise unless it is one, or one of numpy's."""
    # By its name: the network needs no numpy. Numpy 2 calls its own `bool`, numpy 1 `bool_`.
    if type(value).__name__ not in ("bool", "bool_"):
        raise ValueError(f"`{name}` must be True or False; got {value!r}.")
    return bool(value)


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Raise unless ``value`` is one of ``choices``."""
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}; got {value!r}.")


# What stands for a number in place of it.
_CHOSEN_BY_ITSELF: dict[str, tuple[object, ...]] = {
    "early_stopping_patience": ("auto", None),
    "n_epochs": (None,),
}


def check_recipe(arguments: Arguments) -> None:
    """Raise unless what is given of a training is in its range; numpy's integers become Python's.

    Raises
    ------
    ValueError
        Naming the argument, the rule and the value.
    """
    least = {"batch_size": 1, "n_epochs": 0, "epochs": 0, "update_epochs": 0}
    least["early_stopping_patience"] = 1
    for name in least.keys() & arguments.keys():
        given = arguments[name]
        if not isinstance(given, str | None) or given not in _CHOSEN_BY_ITSELF.get(name, ()):
            arguments[name] = check_integer(name, arguments[name], least[name])
    for name in ("optimizer_kwargs", "pl_trainer_kwargs"):
        if not isinstance(arguments.get(name), Mapping | None):
            raise ValueError(f"`{name}` must be a dictionary or None; got {arguments[name]!r}.")
    check_seed(arguments.get("random_state"))


def check_seed(seed: object) -> None:
    """Raise unless random numbers can begin at ``seed``: an integer, numpy's generator, or None."""
    if seed is None or type(seed).__name__ == "RandomState":  # by its name, as above
        return
    if check_integer("random_state", seed, 0) >= 2**32:
        raise ValueError(f"`random_state` must be below 2 ** 32; got {seed!r}.")


# Names


def arguments_of(method: Callable[..., object], *args: object, **kwargs: object) -> Arguments:
    """The arguments of a call by name; a TypeError, as from the call, if they do not fit."""
    signature = inspect.signature(method)
    try:
        arguments = signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        unknown = [name for name in kwargs if name not in signature.parameters]
        remedy = f". {find_remedy(unknown[0], signature.parameters)}" if unknown else ""
        raise TypeError(f"`{method.__name__}` {error}{remedy}") from None
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(name, {}))
    return arguments


def received_by_name(init: Callable[P, None]) -> Callable[P, None]:
    """Let a constructor find its arguments by name, defaults included, in ``_received``.

    Darts' `model_params` are those of the outermost class, which may be a subclass with others.
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def receive(*args: P.args, **kwargs: P.kwargs) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = bound.arguments
        model, more = arguments.pop("self"), arguments.pop("kwargs")
        model._received = {**arguments, **more}
        init(*args, **kwargs)

    return receive


def check_unknown(cls: type, given: Iterable[str], *others: type) -> None:
    """Raise if no class that ``cls`` is made of, nor one of ``others``, has such an argument."""
    known: set[str] = set()
    for base in (*inspect.getmro(cls)[:-1], *others):
        known.update(inspect.signature(vars(base).get("__init__", object)).parameters)
    known -= {"self", "args", "kwargs"}
    for name in given:
        if name not in known:
            remedy = find_remedy(name, known)
            raise ValueError(f"`{name}` is no argument of `{cls.__name__}`. {remedy}")


def find_remedy(name: str, known: Iterable[str]) -> str:
    """Say what to give in place of an argument that is not among the ``known`` ones."""
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean `{near[0]}`?" if near else "Leave it out."
