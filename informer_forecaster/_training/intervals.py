"""How far quantiles lie from the median, by what windows that validate show."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from informer_forecaster._network import Informer

from .gains import average_stretches, earned_share
from .linear_forecast import Reduce

# From half to three times as far.
FACTORS = tuple(2 ** (step / 16) for step in range(-16, 26))


@torch.no_grad()
def scale_intervals(network: Informer, num_quantiles: int, factor: float) -> None:
    """Scale all distances to the median, which is the quantile in the middle.

    A forecast is a mean of last layer and linear map, so the factor goes into both.
    """
    skip, middle = network.lookback_skip, num_quantiles // 2
    last = [p.unflatten(0, (-1, num_quantiles)) for p in network.projection.parameters()]
    for parameter in [*last, *(() if skip is None else skip.parameters())]:
        median = parameter[:, middle : middle + 1].clone()
        parameter.copy_(median + factor * (parameter - median))


def best_factor(losses: Tensor, num_apart: float, reduce: Reduce) -> float:
    """Factor of the distances to the median, of those that forecast the windows best.

    A factor other than 1 is taken as far as its gain has earned, as
    :func:`~informer_forecaster._training.gains.earned_share` says.

    Parameters
    ----------
    losses : torch.Tensor
        Of :func:`losses_by_factor` ``(B, F)``.
    num_apart : float
        Windows that have no steps in common.
    reduce : callable
        Adds up what several processes saw.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._training.intervals import best_factor, losses_by_factor
    >>> values = torch.randn(500, 1, 1, generator=torch.Generator().manual_seed(0))
    >>> narrow = torch.tensor([-0.64, 0.0, 0.64]).expand(500, 1, 1, 3)
    >>> losses = losses_by_factor([0.1, 0.5, 0.9], narrow, values)
    >>> 1.9 < best_factor(losses, 500, lambda sums: sums) < 2.2
    True
    """
    best = int(reduce(losses.sum(0)).argmin())
    gains = average_stretches(losses[:, FACTORS.index(1.0)] - losses[:, best])
    gains = reduce(gains) / reduce(torch.ones_like(gains))
    return 1.0 + earned_share(gains, num_apart) * (FACTORS[best] - 1.0)


def losses_by_factor(
    quantiles: Sequence[float], forecasts: Tensor, values: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Pinball loss of each window by each factor ``(B, F)``.

    Parameters
    ----------
    quantiles : sequence of float
        The median is the one in the middle.
    forecasts, values : torch.Tensor
        ``(B, H, C, Q)`` and ``(B, H, C)``.
    weights : torch.Tensor, optional
        Of the values ``(B, H, C)``.
    """
    ones = forecasts.new_ones(()) if weights is None else weights.unsqueeze(3)
    levels = forecasts.new_tensor(list(quantiles))
    middle = len(quantiles) // 2
    median = forecasts[..., middle : middle + 1]
    columns = []
    for factor in FACTORS:
        missing = values.unsqueeze(3) - median - factor * (forecasts - median)
        losses = ones * torch.maximum(levels * missing, (levels - 1) * missing)
        columns.append(losses.mean((1, 2, 3)))
    return torch.stack(columns, dim=1)
