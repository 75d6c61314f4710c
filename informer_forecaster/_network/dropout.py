"""Dropout that draws its masks faster than torch does on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .products import runs_step_by_step

DropoutFactory = Callable[[float], nn.Module]

_LANES = 4  # 16-bit integers in one random 64-bit integer
_STATES = 2**16
# Numbers that are drawn at once for the small masks of a pass.
_SUPPLY = 2**15

_of_thread = threading.local()


def drop(x: Tensor, p: float) -> Tensor:
    """Set each value to zero with probability ``p`` and scale the others by ``1 / (1 - p)``.

    On a CPU ``p`` is rounded to a multiple of 2**-16, and the scale follows.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.dropout import drop
    >>> drop(torch.ones(3), p=0.0)
    tensor([1., 1., 1.])
    """
    if p == 0:
        return x
    if not runs_step_by_step(x):
        return F.dropout(x, p)
    supply: _Supply | None = getattr(_of_thread, "supply", None)
    if supply is None or 2 * x.numel() > _SUPPLY:
        return x * _draw(x.numel(), p, x.dtype).view(x.shape)
    return x * supply.take(x, p)


@contextmanager
def drawing_together() -> Iterator[None]:
    """Draw small masks together until the end, as in one pass through a network.

    What is left over is thrown away, so that a pass depends on torch's generator alone.
    """
    outer = getattr(_of_thread, "supply", None)
    _of_thread.supply = _Supply()
    try:
        yield
    finally:
        _of_thread.supply = outer


class _Supply:
    """Masks of each probability and dtype, drawn many numbers at a time."""

    def __init__(self) -> None:
        self._masks: dict[tuple[float, torch.dtype], tuple[Tensor, int]] = {}

    def take(self, x: Tensor, p: float) -> Tensor:
        """Take a mask of the shape of ``x``."""
        mask, begin = self._masks.get((p, x.dtype), (None, 0))
        end = begin + x.numel()
        if mask is None or end > _SUPPLY:
            mask, begin, end = _draw(_SUPPLY, p, x.dtype), 0, x.numel()
        self._masks[p, x.dtype] = mask, end
        return mask[begin:end].view(x.shape)


def _draw(size: int, p: float, dtype: torch.dtype) -> Tensor:
    """Draw factors ``(size,)``: zero with probability ``p``, else what makes their mean 1."""
    # Drawing a Bernoulli number for each value takes longer than most layers do; a 64-bit integer
    # holds four numbers, and compares as fast.
    lowest = torch.iinfo(torch.int64).min
    words = torch.empty(-(-size // _LANES), dtype=torch.int64).random_(lowest, None)
    draws = words.view(torch.int16)[:size]
    num_dropped = min(round(p * _STATES), _STATES - 1)
    kept = torch.ge(draws, num_dropped - _STATES // 2, out=torch.empty(size, dtype=dtype))
    return kept.mul_(_STATES / (_STATES - num_dropped))


class Dropout(nn.Dropout):
    """:class:`torch.nn.Dropout`, drawn by :func:`drop`."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of ``x`` in training, and return it as it is otherwise."""
        return drop(x, self.p) if self.training else x
