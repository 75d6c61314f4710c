"""How far quantiles lie from the median, by what windows that validate show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from informer_forecaster._network import Informer

from .gains import average_stretches, earned_share, windows_apart
from .linear_forecast import Reduce

# Forecasts, values and weights of a batch of windows.
ValidatedBatch = tuple[Tensor, Tensor, Tensor | None]
# From half to three times as far.
FACTORS = tuple(2 ** (step / 16) for step in range(-16, 26))


@torch.no_grad()
def calibrate(
    network: Informer,
    quantiles: Sequence[float],
    windows: Iterable[ValidatedBatch],
    reduce: Reduce,
    loader: object,
) -> None:
    """Scale all distances to the median by the factor that forecasts the windows best.

    A forecast is a mean of last layer and linear map, so the factor goes into both.
    """
    factor = best_factor(quantiles, windows, reduce, loader)
    skip, middle = network.lookback_skip, len(quantiles) // 2
    last = [p.unflatten(0, (-1, len(quantiles))) for p in network.projection.parameters()]
    for parameter in [*last, *(() if skip is None else skip.parameters())]:
        median = parameter[:, middle : middle + 1].clone()
        parameter.copy_(median + factor * (parameter - median))


def best_factor(
    quantiles: Sequence[float],
    windows: Iterable[ValidatedBatch],
    reduce: Reduce,
    loader: object = None,
) -> float:
    """Factor of the distances to the median, of those that forecast the windows best.

    A factor other than 1 is taken as far as its gain has earned, as
    :func:`~informer_forecaster._training.gains.earned_share` says.

    Parameters
    ----------
    quantiles : sequence of float
        The median is the one in the middle.
    windows : iterable of triples
        Forecasts ``(B, H, C, Q)``, values ``(B, H, C)`` and their weights, or None.
    reduce : callable
        Adds up what several processes saw.
    loader : torch.utils.data.DataLoader, optional
        Of the windows, whose data set tells how many series they are cut from.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._training.intervals import best_factor
    >>> values = torch.randn(500, 1, 1, generator=torch.Generator().manual_seed(0))
    >>> narrow = torch.tensor([-0.64, 0.0, 0.64]).expand(500, 1, 1, 3)
    >>> 1.9 < best_factor([0.1, 0.5, 0.9], [(narrow, values, None)], lambda sums: sums) < 2.2
    True
    """
    batches, horizon = [], 1
    for forecasts, values, weights in windows:
        batches.append(_losses(quantiles, forecasts, values, weights))
        horizon = values.shape[1]
    if not batches:
        return 1.0
    losses = torch.cat(batches)
    count = int(reduce(losses.new_tensor(len(losses))))
    best = int(reduce(losses.sum(0)).argmin())
    gains = average_stretches(losses[:, FACTORS.index(1.0)] - losses[:, best])
    gains = reduce(gains) / reduce(torch.ones_like(gains))
    earned = earned_share(gains, windows_apart(loader, count, horizon))
    return 1.0 + earned * (FACTORS[best] - 1.0)


def _losses(
    quantiles: Sequence[float], forecasts: Tensor, values: Tensor, weights: Tensor | None
) -> Tensor:
    """Pinball loss of each window by each factor ``(B, F)``."""
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
