"""Private: which parameters of Darts' likelihoods move with the series, and where they begin."""

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
LOCATION_SCALE = {
    GaussianLikelihood: 1.0,
    LaplaceLikelihood: math.sqrt(0.5),
    GumbelLikelihood: math.sqrt(6) / math.pi,
    CauchyLikelihood: NormalDist().inv_cdf(0.75),
}


def moves_with_the_series(likelihood: object) -> bool:
    """Whether level and scale of the series can be put back into the parameters."""
    return likelihood is None or isinstance(likelihood, (QuantileRegression, *LOCATION_SCALE))


def parameters_of(
    weight: Tensor, intercept: Tensor, error: Tensor, likelihood: object
) -> tuple[Tensor, Tensor]:
    """Make the parameters of ``likelihood`` from a linear forecast and its error.

    From weight ``(C, H, L)``, intercept and error ``(C, H)``: weight ``(C, P, H, L)`` and bias
    ``(C, P, H)``, as wide as the error.
    """
    if likelihood is None:
        return weight.unsqueeze(1), intercept.unsqueeze(1)
    if isinstance(likelihood, QuantileRegression):
        probits = torch.tensor([NormalDist().inv_cdf(q) for q in likelihood.quantiles])
        spread = probits.to(error)[:, None] * error.unsqueeze(1)
        repeated = weight.unsqueeze(1).expand(-1, len(probits), -1, -1)
        return repeated, intercept.unsqueeze(1) + spread
    share = next(s for cls, s in LOCATION_SCALE.items() if isinstance(likelihood, cls))
    raw = invert_softplus((share * error).clamp(min=1e-3))
    weights = torch.stack([weight, torch.zeros_like(weight)], dim=1)
    return weights, torch.stack([intercept, raw], dim=1)


def invert_softplus(scale: Tensor) -> Tensor:
    """Give what a softplus turns into ``scale``: how likelihoods read theirs.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster.adapters._darts_likelihoods import invert_softplus
    >>> torch.nn.functional.softplus(invert_softplus(torch.tensor([0.5, 2.0])))
    tensor([0.5000, 2.0000])
    """
    return scale + torch.log(-torch.expm1(-scale.clamp(min=torch.finfo(scale.dtype).tiny)))


# What a softplus or a sigmoid turns into about 1e-13; far below it, they round to 0 or overflow.
_LOWEST = -30.0
_LOWEST_SHAPE = -3.0  # of a Weibull: its samples grow with the power of one over it
_FREE = dict.fromkeys((*LOCATION_SCALE, LogNormalLikelihood), 1)
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
