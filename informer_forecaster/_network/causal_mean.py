"""Running means over a sequence, and their gradient, as products with triangular blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .products import without_autocast

# Long enough that the products are not many, short enough that they add few zeros.
BLOCK_LENGTH = 32


def mean_of_earlier(v: Tensor) -> Tensor:
    """Mean of ``v[..., :i + 1, :]`` for each row ``i``, ``(B, H, S, D)``; at least in float32.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.causal_mean import mean_of_earlier
    >>> mean_of_earlier(torch.tensor([1.0, 3.0, 5.0]).view(1, 1, 3, 1)).flatten()
    tensor([1., 2., 3.])
    """
    sums = _running_sums(v, reverse=False)
    return sums.div_(_counts(sums)).to(v.dtype)


def spread_to_earlier(gradient: Tensor) -> Tensor:
    """Gradient of :func:`mean_of_earlier`: each row shares its own among the values it saw.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.causal_mean import spread_to_earlier
    >>> spread_to_earlier(torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1)).flatten()
    tensor([3., 2., 1.])
    """
    shares = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    return _running_sums(shares / _counts(shares), reverse=True).to(gradient.dtype)


def _running_sums(x: Tensor, *, reverse: bool) -> Tensor:
    """Sum of the rows up to each row, or from it to the end; ``(B, H, S, D)``.

    A cumulative sum walks down one column after another; products with triangles of ones do not.
    """
    batch, heads, length, _ = x.shape
    # A sum in half precision would stop growing.
    rows = x.transpose(1, 2).flatten(2).to(torch.promote_types(x.dtype, torch.float32))
    rows = F.pad(rows, (0, 0, 0, -length % BLOCK_LENGTH))  # (B, S, H*D)
    blocks = rows.unflatten(1, (-1, BLOCK_LENGTH))
    carried = _sum_of_other_blocks(blocks.sum(2), reverse)  # (B, blocks, H*D)
    triangle = rows.new_ones(BLOCK_LENGTH, BLOCK_LENGTH).tril()
    flat = blocks.flatten(0, 1)
    triangle = (triangle.T if reverse else triangle).expand(flat.shape[0], -1, -1)
    with without_autocast(x):
        sums = torch.baddbmm(carried.flatten(0, 1).unsqueeze(1), triangle, flat)
    sums = sums.view(batch, rows.shape[1], rows.shape[2])[:, :length]
    return sums.unflatten(2, (heads, -1)).transpose(1, 2)


def _sum_of_other_blocks(totals: Tensor, reverse: bool) -> Tensor:
    """What the blocks before each, or after it, hold, ``(B, blocks, W)``.

    Not the sum up to a block less its own: a large value would cancel what came before it.
    """
    if reverse:
        return _sum_of_other_blocks(totals.flip(1), reverse=False).flip(1)
    return F.pad(totals[:, :-1].cumsum(1), (0, 0, 1, 0))


def _counts(sums: Tensor) -> Tensor:
    """Values that each row sees, ``(S, 1)``."""
    return torch.arange(1, sums.shape[2] + 1, device=sums.device, dtype=sums.dtype).unsqueeze(1)
