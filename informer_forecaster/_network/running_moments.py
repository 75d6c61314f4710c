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

from .causal_mean import mean_of_earlier, num_seen, spread_to_earlier
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
    first, size = _lengths(k.shape[2])
    starts = first + (rows - first) // size * size
    is_before = at < torch.where(rows < first, 0, starts).unsqueeze(3)
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
    wide_q, wide_k = widen_for_sums(q), widen_for_sums(k)
    moments = _Moments(wide_k - wide_k[:, :, :1], k.shape[3])
    queries = moments.later_blocks(wide_q)
    return F.pad(_variance(queries @ moments.products, queries, moments), (moments.first, 0)) / 2


class _RunningMoments(torch.autograd.Function):
    """By hand: a gradient is made of sums over the blocks that follow."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, active: Tensor | int, key_mask: Tensor | None
    ) -> Tensor:
        width, scale = k.shape[3], k.shape[3] ** -0.5
        wide_q, wide_k, wide_v = map(widen_for_sums, (q, k, v))
        # Scores that all move alike weigh as before; what is small is summed up more exactly.
        both = torch.cat([wide_k - wide_k[:, :, :1], wide_v], dim=3)
        moments = _Moments(both, width)
        queries = moments.later_blocks(wide_q)
        terms = queries @ moments.products  # (B, H, N, T, 2*D)
        variance = _variance(terms[..., :width], queries, moments)
        gain = moments.later_blocks(num_seen(wide_k)).reciprocal() * scale
        log_keys = moments.num_before.clamp(min=2).log()
        gain = gain * bounded_gain(variance.unflatten(2, queries.shape[2:4]).unsqueeze(4), log_keys)
        rows = mean_of_earlier(wide_v)
        rows[:, :, moments.first :] += (terms[..., width:] * gain).flatten(2, 3)
        rows = rows.to(v.dtype)
        if not isinstance(active, Tensor):
            active = variance.topk(active, 2).indices + moments.first
        saved = fill_in(rows, q, k, v, active, key_mask, causal=True)
        ours = queries, both, moments.products[..., width:], moments.means, gain
        ctx.save_for_backward(k, v, active, key_mask, *ours, *saved)
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        k, v, active, key_mask, queries, both, covariance, means, gain, *saved = ctx.saved_tensors
        of_active = active_gradients(gradient[places(active)], k, v, key_mask, *saved)
        lazy = widen_for_sums(gradient).clone()
        lazy[places(active)] = 0
        # Not of the gain: it is 1 in all but extreme rows.
        first = _lengths(k.shape[2])[0]
        moved = lazy[:, :, first:].unflatten(2, queries.shape[2:4]) * gain
        gradient_q = F.pad((moved @ covariance.mT).flatten(2, 3), (0, 0, first, 0)).to(k.dtype)
        gradient_q[places(active)] = of_active.q
        of_covariance = queries.mT @ moved  # (B, H, N, D, D)
        mean_k, mean_v = means.split(k.shape[3], 4)
        of_sum_k = (of_covariance @ mean_v.mT).mT
        of_sum_v = mean_k @ of_covariance
        keys, values = both.split(k.shape[3], 3)
        gradient_k = _spread(values, of_covariance.mT, of_sum_k)
        gradient_v = _spread(keys, of_covariance, of_sum_v).add_(spread_to_earlier(lazy))
        return (
            gradient_q,
            gradient_k.add_(of_active.k).to(k.dtype),
            gradient_v.add_(of_active.v).to(v.dtype),
            None,
            None,
        )


class _Moments:
    """Of the keys, and keys and values, before each block but the first, which has none before it.

    Parameters
    ----------
    both : torch.Tensor
        Keys and values side by side, ``(B, H, L, 2*D)``, or keys alone.
    width : int
        ``D``.
    """

    def __init__(self, both: Tensor, width: int) -> None:
        self.first, self.size = _lengths(both.shape[2])
        head, blocks = both[:, :, None, : self.first], self.later_blocks(both)[:, :, :-1]
        order = torch.arange(blocks.shape[2] + 1, device=both.device, dtype=both.dtype)
        self.num_before = (self.first + order * self.size).view(-1, 1, 1)
        parts = (head, blocks)
        sums = torch.cat([one.sum(3, keepdim=True) for one in parts], dim=2).cumsum(2)
        products = torch.cat([one[..., :width].mT @ one for one in parts], dim=2).cumsum(2)
        self.means = sums / self.num_before
        """``(B, H, N, 1, 2*D)``."""
        self.products = products.sub_(self.means[..., :width].mT @ sums)
        """Sums of products of deviations from the means, ``(B, H, N, D, 2*D)``."""

    def later_blocks(self, x: Tensor) -> Tensor:
        """Cut ``(..., L, D)`` to all blocks but the first, ``(..., N, T, D)``."""
        return x[..., self.first :, :].unflatten(-2, (-1, self.size))


def _lengths(length: int) -> tuple[int, int]:
    """Rows of the first block, and of each other one: equal but for what a division leaves."""
    blocks = min(NUM_BLOCKS, length)
    size = length // blocks
    return length - (blocks - 1) * size, size


def _variance(terms: Tensor, queries: Tensor, moments: _Moments) -> Tensor:
    """Variance of the scores with the keys before the block, of all later rows ``(B, H, R)``."""
    sums = torch.linalg.vecdot(terms, queries)
    return (sums / (queries.shape[4] * moments.num_before[:, 0])).clamp_(min=0).flatten(2)


def _spread(rows: Tensor, of_products: Tensor, of_sums: Tensor) -> Tensor:
    """Give each of ``rows`` ``(B, H, L, D)`` its part in the moments of all later blocks."""
    first, size = _lengths(rows.shape[2])
    factor, offset = (x.flip(2).cumsum(2).flip(2) for x in (of_products, of_sums))
    head = rows[:, :, :first] @ factor[:, :, 0] - offset[:, :, 0]
    blocks = rows[:, :, first:-size].unflatten(2, (-1, size))
    later = (blocks @ factor[:, :, 1:] - offset[:, :, 1:]).flatten(2, 3)
    return torch.cat([head, later, torch.zeros_like(rows[:, :, -size:])], dim=2)
