"""What a gain on windows that validate is worth: the less, the fewer of them are apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .windows import series_in, stride_of, whole_of

STRETCHES = 5


def average_stretches(gains: Tensor) -> Tensor:
    """Average what neighbouring windows gained; a few stand for themselves."""
    return torch.stack(
        [stretch.mean() for stretch in gains.tensor_split(min(STRETCHES, len(gains)))]
    )


def windows_apart(loader: object, count: int, horizon: int) -> float:
    """How many windows of ``count`` have no steps ahead in common, one of each series at least.

    Parameters
    ----------
    loader : torch.utils.data.DataLoader
        Of the windows. Where its data set does not tell, they are taken to be of one series, one
        step after the other.
    count : int
        Windows that validated.
    horizon : int
        Steps that each is ahead.
    """
    dataset: Any = getattr(loader, "dataset", None)
    whole = whole_of(dataset) or dataset
    num_series = series_in(whole)
    return max(num_series, count * stride_of(whole) / horizon)


def earned_choice(
    losses: Tensor,
    choices: Sequence[float],
    usual: float,
    num_apart: float,
    reduce: Callable[[Tensor], Tensor],
) -> float:
    """Go from the usual choice towards the one of the lowest loss, as far as its gain has earned.

    Parameters
    ----------
    losses : torch.Tensor
        Of parts of the windows by each choice ``(P, K)``.
    choices : sequence of float
        Those that were tried.
    usual : float
        One of them, taken where no other is better.
    num_apart : float
        As for :func:`earned_share`.
    reduce : callable
        Adds up what several processes saw.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._training.gains import earned_choice
    >>> losses = torch.tensor([[3.0, 1.0, 2.0]]).expand(5, 3)
    >>> earned_choice(losses, [0.0, 0.5, 1.0], 0.0, 5, lambda sums: sums)
    0.5
    """
    best = int(reduce(losses.sum(0)).argmin())
    gains = average_stretches(losses[:, choices.index(usual)] - losses[:, best])
    gains = reduce(gains) / reduce(torch.ones_like(gains))
    return usual + earned_share(gains, num_apart) * (choices[best] - usual)


def earned_share(gains: Tensor, num_apart: float = STRETCHES) -> float:
    """Give the share of a change that its gains on stretches of the validation part have earned.

    A gain ``g`` with the standard error ``s`` earns ``g**2 / (g**2 + s**2)``: half at one standard
    error, four fifths at two, nothing below zero.

    Parameters
    ----------
    gains : torch.Tensor
        Of stretches ``(S,)``. One alone tells no error, and earns half.
    num_apart : float
        Windows that have no steps in common. Fewer than the stretches make the error larger, as
        windows that share their steps err alike.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._training.gains import earned_share
    >>> round(earned_share(torch.tensor([1.0, 1.2, 0.9, 1.1, 1.0])), 3)
    0.998
    >>> round(earned_share(torch.tensor([3.0, -2.0, 1.0, -3.0, 2.0])), 3)
    0.029
    >>> gains = torch.tensor([2.0, 0.0, 1.0, 3.0, -1.0])
    >>> round(earned_share(gains), 3), round(earned_share(gains, num_apart=1.0), 3)
    (0.667, 0.286)
    """
    gain = float(gains.mean())
    if gain <= 0:
        return 0.0
    if len(gains) == 1:
        return 0.5
    error = float(gains.std()) / math.sqrt(min(len(gains), max(1.0, num_apart)))
    return gain**2 / (gain**2 + error**2)
