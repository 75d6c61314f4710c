"""Parameters of a likelihood that begin at the linear forecast and its error."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import torch
from torch import Tensor, nn

from informer_forecaster._network import Informer
from informer_forecaster._network.lookback_skip import LookbackSkip

from .linear_forecast import LinearForecast


def begin_at(network: Informer, weight: Tensor, bias: Tensor) -> None:
    """Set the linear map of a network, which forecasts the level of a window until it has learnt.

    Parameters
    ----------
    network : Informer
        With a linear map from the look-back.
    weight, bias : Tensor
        Of :func:`start_parameters`.
    """
    assert network.lookback_skip is not None
    network.lookback_skip.set_map(weight, bias)
    nn.init.zeros_(network.projection.weight)
    nn.init.zeros_(network.projection.bias)


def move_start(skip: LookbackSkip, found: LinearForecast, num_moved: int) -> None:
    """Let a map forecast the location that was found; what it says of the spread stays.

    Parameters
    ----------
    skip : LookbackSkip
        Set to :func:`start_parameters` of another forecast, and maybe calibrated since.
    found : LinearForecast
        Weight ``(C, H, N)`` and intercept ``(C, H)``.
    num_moved : int
        The first of its parameters, as many as move: all quantiles, or a location. The one in the
        middle of them is what was found.
    """
    middle = num_moved // 2
    new = found.weight, found.intercept.unsqueeze(2)
    old = [parameter.detach().clone() for parameter in (skip.weight, skip.bias)]
    skip.match_components(max(len(found.weight), len(skip.weight)))
    with torch.no_grad():
        for parameter, before, after in zip((skip.weight, skip.bias), old, new, strict=True):
            parameter.copy_(before)
            parameter[:, :num_moved] += after.unsqueeze(1) - before[:, middle : middle + 1]


def start_parameters(
    found: LinearForecast, quantiles: Sequence[float] | None = None, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Make the parameters of a likelihood from a linear forecast and its error.

    Parameters
    ----------
    found : LinearForecast
        Weight ``(C, H, L)``, intercept and error ``(C, H)``.
    quantiles : sequence of float, optional
        Those that are forecast.
    scale : float, optional
        Of a likelihood of location and scale, where the error is 1. Without either the mean is
        forecast.

    Returns
    -------
    weight, bias : Tensor
        ``(C, P, H, L)`` and ``(C, P, H)``, as wide as the error.
    """
    weight, intercept, error = (one.unsqueeze(1) for one in found[:3])
    if quantiles is not None:
        probits = torch.tensor([NormalDist().inv_cdf(q) for q in quantiles])
        spread = probits.to(error)[:, None] * error
        return weight.expand(-1, len(probits), -1, -1), intercept + spread
    if scale is not None:
        raw = invert_softplus((scale * error).clamp(min=1e-3))
        return torch.cat([weight, torch.zeros_like(weight)], 1), torch.cat([intercept, raw], 1)
    return weight, intercept


def invert_softplus(scale: Tensor) -> Tensor:
    """Give what a softplus turns into ``scale``: how likelihoods read theirs.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._training.parameters import invert_softplus
    >>> torch.nn.functional.softplus(invert_softplus(torch.tensor([0.5, 2.0])))
    tensor([0.5000, 2.0000])
    """
    return scale + torch.log(-torch.expm1(-scale.clamp(min=torch.finfo(scale.dtype).tiny)))
