"""First-order attention where a row sees the keys up to its own only.

Each row has moments of its own, of the keys so far. They are taken where its block of rows begins,
so that a block shares one product: what came before it moves the mean of the values that the row
sees. docs/attention.md has the formulas.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .causal_mean import mean_of_earlier, spread_to_earlier
from .products import widen_for_sums
from .second_order import bounded_gain
from .sparse_rows import active_gradients, fill_in, places

# Measured: sixteen come no nearer to full attention that errors would show, and take longer.
NUM_BLOCKS = 8


def attend_to_running_moments(
    q: Tensor, k: Tensor, v: Tensor, active: Tensor | int, key_mask: Tensor | None
) -> Tensor:
    """Attend with the active queries, and fill all other rows with a first-order attention.

    Parameters
    ----------
    q, k, v, active, key_mask : torch.Tensor
        As for :func:`~informer_forecaster._network.second_order.attend_to_second_order`, with as
        many keys as queries.

    Returns
    -------
    torch.Tensor
        ``(B, H, L, D)``, in memory with the heads side by side.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.running_moments import attend_to_running_moments
    >>> q, k, v = torch.randn(3, 2, 8, 96, 64)
    >>> attend_to_running_moments(q, k, v, 25, None).shape
    torch.Size([2, 8, 96, 64])
    """
    rows: Tensor = _RunningMoments.apply(q, k, v, active, key_mask)  # type: ignore[no-untyped-call]
    return rows


def causal_lazy_weights(q: Tensor, k: Tensor, rows: Tensor) -> Tensor:
    """Weights on the keys that fill the rows ``rows`` ``(B, H, R)``, ``(B, H, R, S)``.

    Each row sums to 1, and weighs no key after its own.
    """
    at = torch.arange(k.shape[2], device=k.device)
    size = _block_length(k.shape[2])
    is_before = at < (rows // size * size).unsqueeze(3)
    chosen = q.gather(2, rows.unsqueeze(3).expand(-1, -1, -1, q.shape[3]))
    scores = chosen @ k.transpose(2, 3) * k.shape[3] ** -0.5
    num_before = is_before.sum(3, keepdim=True).clamp(min=1)
    centred = (scores - (scores * is_before).sum(3, keepdim=True) / num_before) * is_before
    variance = centred.square().sum(3, keepdim=True) / num_before
    gain = bounded_gain(variance, num_before.clamp(min=2).log())
    return ((at <= rows.unsqueeze(3)) + gain * centred) / (rows.unsqueeze(3) + 1)


def running_measurement(q: Tensor, k: Tensor) -> Tensor:
    """Half the variance of a query's scores over the keys before its block, ``(B, H, L)``.

    :func:`~informer_forecaster._network.sparsity.moment_measurement` of the keys that the fill of
    the row reads; zero in the first block.
    """
    keys = widen_for_sums(k)
    queries, blocks = _to_blocks(widen_for_sums(q)), _to_blocks(keys - keys[:, :, :1])
    products, _, num_before = _moments_before(blocks, k.shape[3])
    variance = _variance(queries @ products, queries, num_before)
    return _to_rows(variance, k.shape[2]).squeeze(3) / 2


class _RunningMoments(torch.autograd.Function):
    """By hand: a gradient is made of sums over the blocks that follow."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, active: Tensor | int, key_mask: Tensor | None
    ) -> Tensor:
        width, length, scale = k.shape[3], k.shape[2], k.shape[3] ** -0.5
        wide_k, wide_v = widen_for_sums(k), widen_for_sums(v)
        # Scores that all move alike weigh as before; what is small is summed up more exactly.
        centred = wide_k - wide_k[:, :, :1]
        queries, both = _to_blocks(widen_for_sums(q)), _to_blocks(torch.cat([centred, wide_v], 3))
        covariance, means, num_before = _moments_before(both, width)
        terms = queries @ covariance  # (B, H, N, T, 2*D)
        variance = _variance(terms[..., :width], queries, num_before)
        gain = bounded_gain(variance, num_before.clamp(min=2).log()) * scale
        gain = _to_rows(gain, length) / _counts(wide_v)
        moved = _to_rows(terms[..., width:], length) * gain
        rows = mean_of_earlier(wide_v).add_(moved).to(v.dtype)
        if not isinstance(active, Tensor):
            active = _to_rows(variance, length).squeeze(3).topk(active, 2).indices
        saved = fill_in(rows, q, k, v, active, key_mask, causal=True)
        blocks = queries, both, covariance[..., width:], means
        ctx.save_for_backward(k, v, active, key_mask, gain, *blocks, *saved)
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        k, v, active, key_mask, gain, queries, both, covariance, means, *saved = ctx.saved_tensors
        (keys, values), (mean_k, mean_v) = (x.split(k.shape[3], 4) for x in (both, means))
        of_active = active_gradients(gradient[places(active)], k, v, key_mask, *saved)
        lazy = widen_for_sums(gradient).clone()
        lazy[places(active)] = 0
        # Not of the gain: it is 1 in all but extreme rows.
        moved, length = _to_blocks(lazy * gain), k.shape[2]
        gradient_q = _to_rows(moved @ covariance.mT, length).to(k.dtype)
        gradient_q[places(active)] = of_active.q
        of_covariance = queries.mT @ moved  # (B, H, N, D, D)
        later = _sum_of_later(of_covariance)
        of_sum_k = _sum_of_later(of_covariance @ mean_v.mT).mT
        of_sum_v = _sum_of_later(mean_k @ of_covariance)
        gradient_k = _to_rows((values @ later.mT).sub_(of_sum_k), length)
        gradient_v = _to_rows((keys @ later).sub_(of_sum_v), length).add_(spread_to_earlier(lazy))
        return (
            gradient_q,
            gradient_k.add_(of_active.k).to(k.dtype),
            gradient_v.add_(of_active.v).to(v.dtype),
            None,
            None,
        )


def _moments_before(both: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of products of deviations over the blocks before each, ``(B, H, N, D, 2*D)``.

    Next come the means of keys and values over these blocks, ``(B, H, N, 1, 2*D)``, and how many
    rows they have, ``(N, 1, 1)``, with 1 for none.
    """
    order = torch.arange(both.shape[2], device=both.device, dtype=both.dtype).view(-1, 1, 1)
    num_before = (order * both.shape[3]).clamp(min=1)
    sums = _sum_of_earlier(both.sum(3, keepdim=True))
    means = sums / num_before
    products = _sum_of_earlier(both[..., :width].mT @ both)
    return products.sub_(means[..., :width].mT @ sums), means, num_before


def _variance(terms: Tensor, queries: Tensor, num_before: Tensor) -> Tensor:
    """Variance of the scores over the blocks before each, ``(B, H, N, T, 1)``."""
    scale = queries.shape[4] ** -0.5
    sums = torch.linalg.vecdot(terms, queries).unsqueeze(4)
    return (sums * scale**2 / num_before).clamp_(min=0)


def _counts(x: Tensor) -> Tensor:
    """Keys that each row sees, ``(L, 1)``."""
    return torch.arange(1, x.shape[2] + 1, device=x.device, dtype=x.dtype).unsqueeze(1)


def _block_length(length: int) -> int:
    return -(-length // NUM_BLOCKS)


def _to_blocks(x: Tensor) -> Tensor:
    """Cut ``(B, H, L, D)`` to ``(B, H, N, T, D)``; rows of zeros fill the last block."""
    size = _block_length(x.shape[2])
    return F.pad(x, (0, 0, 0, -x.shape[2] % size)).contiguous().unflatten(2, (-1, size))


def _to_rows(x: Tensor, length: int) -> Tensor:
    """Undo :func:`_to_blocks`."""
    return x.flatten(2, 3)[:, :, :length]


def _sum_of_earlier(x: Tensor) -> Tensor:
    """Sum of the blocks before each, ``(B, H, N, ., .)``."""
    return F.pad(x[:, :, :-1].cumsum(2), (0, 0, 0, 0, 1, 0))


def _sum_of_later(x: Tensor) -> Tensor:
    """Sum of the blocks after each."""
    return _sum_of_earlier(x.flip(2)).flip(2)
