"""Private: which parameters of a likelihood move with the series, and where they may go."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from darts.utils.likelihood_models.torch import (
    CauchyLikelihood,
    DirichletLikelihood,
    GaussianLikelihood,
    GumbelLikelihood,
    LaplaceLikelihood,
    LogNormalLikelihood,
    QuantileRegression,
    WeibullLikelihood,
)
from torch import Tensor

# Scale parameter of a distribution whose deviation is 1; a Cauchy's is half its quartile distance.
_LOCATION_SCALE = {
    GaussianLikelihood: 1.0,
    LaplaceLikelihood: math.sqrt(0.5),
    GumbelLikelihood: math.sqrt(6) / math.pi,
    CauchyLikelihood: NormalDist().inv_cdf(0.75),
}


def unit_scale(likelihood: object) -> float | None:
    """Scale parameter of a deviation of 1; None of a likelihood without location and scale."""
    return next((s for cls, s in _LOCATION_SCALE.items() if isinstance(likelihood, cls)), None)


def moves_with_the_series(likelihood: object) -> bool:
    """Whether level and scale of the series can be put back into the parameters."""
    return likelihood is None or isinstance(likelihood, (QuantileRegression, *_LOCATION_SCALE))


def loss_degree(likelihood: object) -> int:
    """Power of an error that the loss grows with; 0 of a log-likelihood."""
    if isinstance(likelihood, QuantileRegression):
        return 1
    return 2 if unit_scale(likelihood) is None else 0


# What a softplus or a sigmoid turns into about 1e-13; far below it, they round to 0 or overflow.
_LOWEST = -30.0
_LOWEST_SHAPE = -3.0  # of a Weibull: its samples grow with the power of one over it
_FREE = dict.fromkeys((*_LOCATION_SCALE, LogNormalLikelihood), 1)
_FREE |= {QuantileRegression: None, DirichletLikelihood: None}


def keep_above_zero(forecast: Tensor, likelihood: object) -> Tensor:
    """Keep positive parameters ``(..., P)`` of a likelihood above 0: none can sample at it."""
    free = next((n for cls, n in _FREE.items() if isinstance(likelihood, cls)), 0)
    if likelihood is None or free is None:
        return forecast
    lowest = forecast.new_full(forecast.shape[-1:], _LOWEST)
    lowest[:free] = -torch.inf
    if isinstance(likelihood, WeibullLikelihood):
        lowest[1] = _LOWEST_SHAPE
    return forecast.clamp(min=lowest)
