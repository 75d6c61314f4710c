"""Private: what the parameters of :class:`InformerForecaster` may be, checked when they are set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from informer_forecaster._network import InformerConfig

SCALERS = ("standard", None)
AFTER_PRETRAIN = ("zero-shot", "finetune")
_ARCHITECTURE = {field.name for field in fields(InformerConfig)}


def architecture(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the parameters of the network, without its lengths."""
    lengths = ("input_chunk_length", "output_chunk_length")
    return {k: v for k, v in parameters.items() if k in _ARCHITECTURE and k not in lengths}


def complete_quantiles(quantiles: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """Add 0.5 and the mirror image of each quantile, as training needs them.

    Examples
    --------
    >>> from informer_forecaster.adapters._sktime_parameters import complete_quantiles
    >>> complete_quantiles((0.1, 0.8))
    (0.1, 0.2, 0.5, 0.8, 0.9)
    """
    if quantiles is None:
        return None
    both = {round(q, 9) for given in quantiles for q in (given, 1 - given)}
    return tuple(sorted(both | {0.5}))


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise unless each parameter is in its range.

    Raises
    ------
    ValueError
        Naming the parameter, the rule and the value.
    """
    output = parameters["output_chunk_length"]
    InformerConfig(
        input_chunk_length=parameters["input_chunk_length"],
        output_chunk_length=1 if output is None else output,
        num_targets=1,
        **architecture(parameters),
    )
    for name in ("n_epochs", "batch_size"):
        _check_count(name, parameters[name], 1)
    _check_count("update_epochs", parameters["update_epochs"], 0)
    if parameters["early_stopping_patience"] is not None:
        _check_count("early_stopping_patience", parameters["early_stopping_patience"], 1)
    _check_number("lr", parameters["lr"], math.inf)
    _check_number("validation_fraction", parameters["validation_fraction"], 1)
    _check_choice("scaler", parameters["scaler"], SCALERS)
    _check_choice("fit_after_pretrain", parameters["fit_after_pretrain"], AFTER_PRETRAIN)
    _check_quantiles(parameters["quantiles"])
    _check_past_covariates(parameters["past_covariates"])
    _check_trainer(parameters["pl_trainer_kwargs"])


def _check_count(name: str, value: object, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"`{name}` must be an integer of at least {minimum}; got {value!r}.")


def _check_number(name: str, value: object, below: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < below:
        rule = "positive" if below == math.inf else f"between 0 and {below}"
        raise ValueError(f"`{name}` must be a number, {rule}; got {value!r}.")


def _check_choice(name: str, value: object, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}; got {value!r}.")


def _check_quantiles(quantiles: object) -> None:
    if quantiles is None:
        return
    numbers = isinstance(quantiles, tuple | list) and all(isinstance(q, float) for q in quantiles)
    if not numbers or not all(0 < q < 1 for q in quantiles) or set(quantiles) <= {0.5}:  # type: ignore[attr-defined, call-overload]
        raise ValueError(
            "`quantiles` must be a tuple of numbers between 0 and 1 with at least one other than "
            f"0.5, or None for point forecasts only; got {quantiles!r}."
        )


def _check_past_covariates(columns: object) -> None:
    if columns is not None and not isinstance(columns, tuple | list):
        raise ValueError(
            "`past_covariates` must be a tuple of columns of `X`, or None; got "
            f"{columns!r}. For a single column write ({columns!r},)."
        )


def _check_trainer(arguments: object) -> None:
    if arguments is None:
        return
    if not isinstance(arguments, Mapping):
        raise ValueError(
            f"`pl_trainer_kwargs` must be a dict of Lightning trainer arguments; got {arguments!r}."
        )
    if "max_epochs" in arguments:
        raise ValueError(
            "`pl_trainer_kwargs` must not hold 'max_epochs'; got "
            f"{arguments['max_epochs']!r}. Use `n_epochs` and `update_epochs`."
        )
