"""How far quantiles lie from the median, by what windows that validate show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from .best_weights import average_stretches, earned_share
from .linear_start import Reduce

# From half to three times as far.
FACTORS = tuple(2 ** (step / 16) for step in range(-16, 26))


def best_factor(
    quantiles: Sequence[float],
    windows: Iterable[tuple[Tensor, Tensor, Tensor | None]],
    reduce: Reduce,
) -> float:
    """Factor of the distances to the median, of those that forecast the windows best.

    A factor other than 1 is taken to the share that its gain has earned, as
    :func:`~informer_forecaster._training.best_weights.earned_share` says.

    Parameters
    ----------
    quantiles : sequence of float
        The median is the one in the middle.
    windows : iterable of triples
        Forecasts ``(B, H, C, Q)``, values ``(B, H, C)`` and their weights, or None.
    reduce : callable
        Adds up what several processes saw.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._training.intervals import best_factor
    >>> values = torch.randn(500, 1, 1, generator=torch.Generator().manual_seed(0))
    >>> narrow = torch.tensor([-0.64, 0.0, 0.64]).expand(500, 1, 1, 3)
    >>> 1.9 < best_factor([0.1, 0.5, 0.9], [(narrow, values, None)], lambda sums: sums) < 2.2
    True
    """
    batches = [_losses(quantiles, *each) for each in windows]
    if not batches:
        return 1.0
    losses = torch.cat(batches)
    best = int(reduce(losses.sum(0)).argmin())
    gains = average_stretches(losses[:, FACTORS.index(1.0)] - losses[:, best])
    processes = reduce(torch.ones_like(gains))
    return 1 + earned_share(reduce(gains) / processes) * (FACTORS[best] - 1)


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
