"""Private: what the parameters of :class:`InformerForecaster` may be, checked when they are set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from numbers import Real
from statistics import NormalDist
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from informer_forecaster._checks import check_choice, check_recipe, check_switch
from informer_forecaster._network import InformerConfig
from informer_forecaster._network.config import ARCHITECTURE, SizesError
from informer_forecaster.time_features import TIME_FEATURES

SCALERS: tuple[Any, ...] = ("standard", None)
# Parameters that a network that was trained does not depend on.
AFTER_TRAINING = {"fit_after_pretrain", "update_epochs", "verbose", "pl_trainer_kwargs"}
# Parameters that no file of a network holds, nor decides.
OF_THE_MACHINE = {"verbose", "pl_trainer_kwargs", "random_state"}
AFTER_PRETRAIN = ("zero-shot", "finetune")


def architecture(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the parameters of the network, without its lengths."""
    return {k: v for k, v in parameters.items() if k in ARCHITECTURE}


def given_rate(rate: float | None) -> dict[str, float]:
    """Arguments of the optimizer: its learning rate, where one is given."""
    return {} if rate is None else {"lr": float(rate)}


def complete_quantiles(quantiles: Iterable[float] | None) -> tuple[float, ...] | None:
    """Add 0.5 and the mirror image of each quantile, as training needs them.

    Examples
    --------
    >>> from informer_forecaster.adapters._sktime_parameters import complete_quantiles
    >>> complete_quantiles((0.1, 0.8))
    (0.1, 0.2, 0.5, 0.8, 0.9)
    """
    if quantiles is None:
        return None
    both = {_rounded(q) for given in quantiles for q in (given, 1 - given)}
    return tuple(sorted(both | {0.5}))


def _rounded(quantile: SupportsFloat) -> float:
    """Six digits: a quantile and its mirror image are equally far from 0.5, also in float32."""
    return round(float(quantile), 6)


def interpolate_quantiles(
    values: npt.NDArray[np.float64], quantiles: Sequence[float], alpha: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Quantiles ``alpha`` of the last axis of ``values``, from ascending ones at ``quantiles``.

    Linear in the quantiles of a normal distribution, also beyond the outer ones: exact for a normal
    distribution, and never crossing.

    Examples
    --------
    >>> import numpy as np
    >>> from informer_forecaster.adapters._sktime_parameters import interpolate_quantiles
    >>> interpolate_quantiles(np.array([[-1.0, 0.0, 1.0]]), (0.1, 0.5, 0.9), (0.1, 0.5)).tolist()
    [[-1.0, 0.0]]
    """
    probit = NormalDist().inv_cdf
    at = np.array([probit(q) for q in quantiles])
    wanted = np.array([probit(a) for a in alpha])
    left = np.clip(np.searchsorted(at, wanted) - 1, 0, len(at) - 2)
    weight = (wanted - at[left]) / (at[left + 1] - at[left])
    found: npt.NDArray[np.float64] = values[..., left] * (1 - weight)
    found += values[..., left + 1] * weight
    return found


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise unless each of the parameters is in its range.

    Whether the network's sizes go together is left to `fit`: a search gives a combination that
    raises there its `error_score`, and would end where it is set.

    Raises
    ------
    ValueError
        Naming the parameter, the rule and the value.
    """
    output = parameters["output_chunk_length"]
    with suppress(SizesError):
        InformerConfig(
            input_chunk_length=parameters["input_chunk_length"],
            output_chunk_length=1 if output is None else output,
            num_targets=1,
            **architecture(parameters),
        )
    check_recipe(dict(parameters))
    _check_rate(parameters["lr"])
    check_switch("verbose", parameters["verbose"])
    check_switch("use_reversible_instance_norm", parameters["use_reversible_instance_norm"])
    check_choice("scaler", parameters["scaler"], SCALERS)
    check_choice("time_features", parameters["time_features"], TIME_FEATURES)
    check_choice("fit_after_pretrain", parameters["fit_after_pretrain"], AFTER_PRETRAIN)
    _check_quantiles(parameters["quantiles"])
    _check_past_covariates(parameters["past_covariates"])
    trainer = parameters["pl_trainer_kwargs"] or {}
    if "max_epochs" in trainer:
        raise ValueError(
            "`pl_trainer_kwargs` must not hold 'max_epochs'; got "
            f"{trainer['max_epochs']!r}. Use `n_epochs` and `update_epochs`."
        )


def _check_rate(rate: object) -> None:
    if rate is None:
        return
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 < float(rate) < math.inf:
        raise ValueError(f"`lr` must be a positive number, or None; got {rate!r}.")


def _check_quantiles(quantiles: object) -> None:
    if quantiles is None:
        return
    given = list(quantiles) if isinstance(quantiles, Iterable) else []
    if not all(isinstance(q, Real) and 0 < _rounded(q) < 1 for q in given) or set(given) <= {0.5}:
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
