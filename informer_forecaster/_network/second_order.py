"""ProbSparse attention to second order: one expansion ranks the queries and fills the lazy rows.

For the scaled scores ``s_j`` of a query ``q``, ``ln(mean_j exp(s_j))`` is ``q mu + q C q / 2`` to
second order, with mean and covariance of the keys: the second term is the sparsity measurement of
the paper. Attention is its gradient with values in the place of keys, to first order
``mean(v) + q Cov(k, v)``. docs/attention.md derives both.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .products import multiply_heads, runs_step_by_step, widen_for_sums
from .sparse_rows import active_gradients, fill_in, heads_side_by_side, places


def attend_to_second_order(
    q: Tensor, k: Tensor, v: Tensor, active: Tensor | int, key_mask: Tensor | None
) -> Tensor:
    """Attend with the active queries, and fill all other rows with a first-order attention.

    Parameters
    ----------
    q, k, v, key_mask : torch.Tensor
        As for :func:`~informer_forecaster._network.sparse_rows.attend_sparsely`; the mask is of the
        active queries only.
    active : torch.Tensor or int
        How many queries of each head are active, or their positions ``(B, H, A)``.

    Returns
    -------
    torch.Tensor
        ``(B, H, L, D)``, in memory with the heads side by side.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.second_order import attend_to_second_order
    >>> q, k, v = torch.randn(3, 2, 8, 96, 64)
    >>> attend_to_second_order(q, k, v, 25, None).shape
    torch.Size([2, 8, 96, 64])
    """
    rows: Tensor = _SecondOrder.apply(q, k, v, active, key_mask)  # type: ignore[no-untyped-call]
    return rows


def lazy_weights(q: Tensor, k: Tensor, rows: Tensor) -> Tensor:
    """Weights on the keys that fill the rows ``rows`` ``(B, H, R)``, ``(B, H, R, S)``.

    Each row sums to 1. A weight is negative where the score is far below the mean.
    """
    chosen = q.gather(2, rows.unsqueeze(3).expand(-1, -1, -1, q.shape[3]))
    scores = chosen @ (k - k.mean(2, keepdim=True)).transpose(2, 3) * k.shape[3] ** -0.5
    variance = scores.var(3, correction=0, keepdim=True)
    return (1 + scores * bounded_gain(variance, math.log(k.shape[2]))) / k.shape[2]


class _SecondOrder(torch.autograd.Function):
    """By hand, as the derivative shares its products, and autograd would save their operands."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, active: Tensor | int, key_mask: Tensor | None
    ) -> Tensor:
        width, num_keys, scale = k.shape[3], k.shape[2], k.shape[3] ** -0.5
        wide_q, wide_k, wide_v = widen_for_sums(q), widen_for_sums(k), widen_for_sums(v)
        mean_k, mean_v = wide_k.mean(2, keepdim=True), wide_v.mean(2, keepdim=True)
        centred = _centre_side_by_side(wide_k, mean_k, wide_v, mean_v)  # (B, H, S, 2*D)
        moments = multiply_heads(centred[..., :width].transpose(2, 3), centred)
        moments *= scale / num_keys  # (B, H, D, 2*D)
        terms = multiply_heads(wide_q, moments)  # (B, H, L, 2*D)
        variance = torch.linalg.vecdot(terms[..., :width], wide_q) * scale  # (B, H, L)
        gain = bounded_gain(variance.unsqueeze(3), math.log(num_keys))
        rows = heads_side_by_side(v, q.shape[2])
        if runs_step_by_step(rows):
            torch.addcmul(mean_v, terms[..., width:], gain, out=rows)
        else:
            rows.copy_(torch.addcmul(mean_v, terms[..., width:], gain))
        picks = active if isinstance(active, Tensor) else variance.topk(active, 2).indices
        saved = fill_in(rows, q, k, v, picks, key_mask, causal=False)
        covariance = moments[..., width:]
        ctx.save_for_backward(q, k, v, picks, key_mask, mean_k, mean_v, covariance, gain, *saved)
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, active, key_mask, mean_k, mean_v, covariance, gain, *saved = ctx.saved_tensors
        rows = gradient[places(active)]  # (B, H, A, D)
        of_active = active_gradients(rows, k, v, key_mask, *saved)
        # Not of the gain: it is 1 in all but extreme rows.
        lazy = widen_for_sums(gradient) * gain
        lazy[places(active)] = 0
        gradient_q = multiply_heads(lazy, covariance.transpose(2, 3)).to(q.dtype)
        gradient_q[places(active)] = of_active.q
        of_covariance = multiply_heads(widen_for_sums(q).transpose(2, 3), lazy)  # (B, H, D, D)
        of_covariance *= k.shape[3] ** -0.5 / k.shape[2]
        # Of centred values and keys, of which the product with the other is.
        transposed = of_covariance.transpose(2, 3)
        gradient_k = multiply_heads(widen_for_sums(v), transposed).sub_(mean_v @ transposed)
        gradient_v = multiply_heads(widen_for_sums(k), of_covariance)
        of_mean = (
            widen_for_sums(gradient.sum(2, keepdim=True) - rows.sum(2, keepdim=True)) / k.shape[2]
        )
        gradient_v += of_mean - mean_k @ of_covariance
        return (
            gradient_q,
            gradient_k.add_(of_active.k).to(k.dtype),
            gradient_v.add_(of_active.v).to(v.dtype),
            None,
            None,
        )


def _centre_side_by_side(k: Tensor, mean_k: Tensor, v: Tensor, mean_v: Tensor) -> Tensor:
    """Keys and values less their means, ``(B, H, S, 2*D)``."""
    if not runs_step_by_step(k):  # A compiler joins the passes over memory, and writes to no view.
        return torch.cat([k - mean_k, v - mean_v], dim=3)
    centred = k.new_empty(*k.shape[:3], 2 * k.shape[3])
    torch.sub(k, mean_k, out=centred[..., : k.shape[3]])
    torch.sub(v, mean_v, out=centred[..., k.shape[3] :])
    return centred


def bounded_gain(variance: Tensor, log_keys: float | Tensor) -> Tensor:
    """Factor of the first-order term: below 1 where it would leave the values.

    The largest of S Gaussian numbers is about ``sqrt(2 ln S)`` deviations from their mean, and no
    attention is farther. A linear term has no such bound, and would overflow in half precision.
    """
    return (variance / (2 * log_keys)).clamp_(min=1).rsqrt_()
