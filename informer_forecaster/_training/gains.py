"""What a gain on windows that validate is worth: the less, the fewer of them are apart."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .windows import series_in, stride_of, whole_of

STRETCHES = 5


def average_stretches(losses: Tensor) -> Tensor:
    """Average what neighbouring windows lost or gained; a few stand for themselves."""
    return torch.stack(
        [stretch.mean(0) for stretch in losses.tensor_split(min(STRETCHES, len(losses)))]
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
