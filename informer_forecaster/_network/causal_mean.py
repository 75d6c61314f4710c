"""Running means over a sequence, and their gradient."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from .products import runs_step_by_step, widen_for_sums

# Measured: from so many numbers on, adding up whole rows is faster than torch's cumulative sum,
# which walks down one column after another.
ROWS_FROM = 2**18
BLOCK_LENGTH = 16


def mean_of_earlier(v: Tensor) -> Tensor:
    """Mean of ``v[..., :i + 1, :]`` for each row ``i``, ``(B, H, S, D)``; at least in float32.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.causal_mean import mean_of_earlier
    >>> mean_of_earlier(torch.tensor([1.0, 3.0, 5.0]).view(1, 1, 3, 1)).flatten()
    tensor([1., 2., 3.])
    """
    sums = _running_sums(widen_for_sums(v), reverse=False)
    return sums.div_(num_seen(sums)).to(v.dtype)


def spread_to_earlier(gradient: Tensor) -> Tensor:
    """Gradient of :func:`mean_of_earlier`: each row shares its own among the values it saw.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.causal_mean import spread_to_earlier
    >>> spread_to_earlier(torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1)).flatten()
    tensor([3., 2., 1.])
    """
    shares = widen_for_sums(gradient)
    return _running_sums(shares / num_seen(shares), reverse=True).to(gradient.dtype)


def _running_sums(x: Tensor, *, reverse: bool) -> Tensor:
    """Sum of the rows up to each row, or from it to the end; ``(B, H, S, D)``.

    No product with a triangle of ones: its zeros times NaN would carry NaN to earlier rows.
    """
    rows = x.transpose(1, 2).flatten(2)  # (B, S, H*D), heads side by side
    if runs_step_by_step(rows) and rows.numel() >= ROWS_FROM:
        sums = _sum_rows(rows, reverse)
    else:
        sums = rows.flip(1).cumsum(1).flip(1) if reverse else rows.cumsum(1)
    return sums.unflatten(2, (x.shape[1], x.shape[3])).transpose(1, 2)


def _sum_rows(x: Tensor, reverse: bool) -> Tensor:
    """Running sums of ``(B, S, W)`` in blocks, all of which take one row at a time."""
    length = x.shape[1]
    sums = F.pad(x, (0, 0, 0, -length % BLOCK_LENGTH)).unflatten(1, (-1, BLOCK_LENGTH))
    rows = list(sums.unbind(2))  # of (B, blocks, W)
    if reverse:
        rows.reverse()
    for before, row in pairwise(rows):
        row += before
    sums += _sum_of_other_blocks(rows[-1], reverse).unsqueeze(2)
    return sums.flatten(1, 2)[:, :length]


def _sum_of_other_blocks(totals: Tensor, reverse: bool) -> Tensor:
    """What the blocks before each, or after it, hold, ``(B, blocks, W)``.

    Not the sum up to a block less its own: a large value would cancel what came before it.
    """
    if reverse:
        return _sum_of_other_blocks(totals.flip(1), reverse=False).flip(1)
    return F.pad(totals[:, :-1].cumsum(1), (0, 0, 1, 0))


def num_seen(x: Tensor) -> Tensor:
    """Rows up to each row of ``(B, H, S, D)``, ``(S, 1)``."""
    return torch.arange(1, x.shape[2] + 1, device=x.device, dtype=x.dtype).unsqueeze(1)
