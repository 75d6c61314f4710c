"""Attention of some rows; all others get the mean of the values they see. Figure 1 of the paper."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .causal_mean import mean_of_earlier, spread_to_earlier
from .products import multiply_heads, widen_for_products


def attend_sparsely(
    q: Tensor, k: Tensor, v: Tensor, active: Tensor, key_mask: Tensor | None, causal: bool
) -> Tensor:
    """Attend with the active queries, and fill all other rows with the mean of the values.

    Parameters
    ----------
    q : torch.Tensor
        Queries, ``(B, H, L, D)``.
    k, v : torch.Tensor
        Keys and values, ``(B, H, S, D)``.
    active : torch.Tensor
        Positions of the active queries of each head, ``(B, H, A)``, none of them twice.
    key_mask : torch.Tensor or None
        Factor of every attention weight on a key, ``(B, H, 1, S)``: 0 where it is dropped.
    causal : bool
        Whether row ``i`` sees keys ``0..i`` only; then ``L`` is ``S``.

    Returns
    -------
    torch.Tensor
        ``(B, H, L, D)``, in memory with the heads side by side.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.sparse_rows import attend_sparsely
    >>> v = torch.tensor([1.0, 3.0, 5.0]).view(1, 1, 3, 1)
    >>> q = torch.zeros(1, 1, 3, 1)
    >>> attend_sparsely(q, q, v, torch.tensor([[[1]]]), None, causal=True).flatten()
    tensor([1., 2., 3.])
    """
    rows: Tensor = _SparseRows.apply(q, k, v, active, key_mask, causal)  # type: ignore[no-untyped-call]
    return rows


class _SparseRows(torch.autograd.Function):
    """Autograd would keep and add up several tensors of the size of ``v`` for the lazy rows."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        active: Tensor,
        key_mask: Tensor | None,
        causal: bool,
    ) -> Tensor:
        rows = _lazy_rows(v, q.shape[2], causal)
        saved = fill_in(rows, q, k, v, active, key_mask, causal)
        ctx.save_for_backward(k, v, active, key_mask, *saved)
        ctx.causal, ctx.num_queries = causal, q.shape[2]
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        k, v, active, key_mask, picked, weights = ctx.saved_tensors
        rows = gradient[places(active)]  # (B, H, A, D)
        gradients = active_gradients(rows, k, v, key_mask, picked, weights)
        gradient_v = gradients.v.add_(
            _lazy_gradient(gradient, rows, active, v.shape[2], ctx.causal)
        )
        gradient_q = heads_side_by_side(picked, ctx.num_queries).zero_()
        gradient_q[places(active)] = gradients.q
        return gradient_q, gradients.k, gradient_v, None, None, None


def fill_in(
    rows: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    active: Tensor,
    key_mask: Tensor | None,
    causal: bool,
) -> tuple[Tensor, Tensor]:
    """Put attention into the active ones of ``rows``; return what its gradient needs.

    Fused attention saves nothing here: a few rows attend, so their weights are small, and it reads
    keys and values that lie apart, as those of one head do, more slowly than a plain product.
    """
    picked = q[places(active)] * q.shape[3] ** -0.5  # (B, H, A, D)
    scores = multiply_heads(
        widen_for_products(picked), widen_for_products(k).transpose(2, 3)
    )  # (B, H, A, S)
    if causal:
        later = torch.arange(k.shape[2], device=k.device) > active.unsqueeze(3)
        scores = scores.masked_fill_(later, -torch.inf)
    dtype = torch.promote_types(scores.dtype, torch.float32)
    weights = scores.softmax(3, dtype=dtype).to(v.dtype)
    kept = weights if key_mask is None else weights * key_mask
    rows[places(active)] = multiply_heads(kept, v)
    return picked, weights


class Gradients(NamedTuple):
    """Of the picked queries ``(B, H, A, D)``, of keys and of values."""

    q: Tensor
    k: Tensor
    v: Tensor


def active_gradients(
    rows: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, picked: Tensor, weights: Tensor
) -> Gradients:
    """Gradients of :func:`fill_in`, from that of its rows ``(B, H, A, D)``."""
    kept = weights if key_mask is None else weights * key_mask
    gradient_kept = multiply_heads(rows, v.transpose(2, 3))  # (B, H, A, S)
    if key_mask is not None:
        gradient_kept = gradient_kept.mul_(key_mask)
    # The row sums of weights times gradient, as softmax subtracts them.
    gradient_scores = torch._softmax_backward_data(gradient_kept, weights, 3, weights.dtype)
    return Gradients(
        multiply_heads(gradient_scores, k) * k.shape[3] ** -0.5,
        gradient_scores.transpose(2, 3) @ picked,
        kept.transpose(2, 3) @ rows,
    )


def places(active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices that pick the rows ``active`` ``(B, H, A)`` out of ``(B, H, L, D)``."""
    batch, heads = (torch.arange(size, device=active.device) for size in active.shape[:2])
    return batch.view(-1, 1, 1), heads.view(-1, 1), active


def heads_side_by_side(x: Tensor, length: int) -> Tensor:
    """Empty ``(B, H, length, D)`` in the layout that the projections around an attention use."""
    return x.new_empty(x.shape[0], length, x.shape[1], x.shape[3]).transpose(1, 2)


def _lazy_rows(v: Tensor, num_rows: int, causal: bool) -> Tensor:
    """Mean of the values that each row sees, ``(B, H, L, D)``."""
    if causal:
        # NOTE[DIFF] uniform attention over what a row may see; the original code takes the
        # cumulative sum, which grows with the position.
        return mean_of_earlier(v)
    rows = heads_side_by_side(v, num_rows)
    # Expanded, as torch's exporter to ONNX copies without broadcasting.
    return rows.copy_(v.mean(2, keepdim=True).expand_as(rows))


def _lazy_gradient(
    gradient: Tensor, gradient_rows: Tensor, active: Tensor, num_values: int, causal: bool
) -> Tensor:
    """Gradient that reaches the values through the lazy rows, ``(B, H, S or 1, D)``."""
    if causal:
        lazy = gradient.clone()
        lazy[places(active)] = 0
        return spread_to_earlier(lazy)
    return (gradient.sum(2, keepdim=True) - gradient_rows.sum(2, keepdim=True)) / num_values
