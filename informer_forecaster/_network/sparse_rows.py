"""Attention of some rows; all others get the mean of the values they see. Figure 1 of the paper."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .causal_mean import mean_of_earlier, spread_to_earlier
from .products import multiply_heads, widen


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
    """Autograd would keep and add up several tensors of the size of ``v`` for the lazy rows.

    Fused attention saves nothing here: a few rows attend, so their weights are small, and it reads
    keys and values that lie apart, as those of one head do, more slowly than a plain product.
    """

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
        picked = q[_places(active)] * q.shape[3] ** -0.5  # (B, H, A, D)
        scores = multiply_heads(widen(picked), widen(k).transpose(2, 3))  # (B, H, A, S)
        if causal:
            later = torch.arange(k.shape[2], device=k.device) > active.unsqueeze(3)
            scores = scores.masked_fill_(later, -torch.inf)
        dtype = torch.promote_types(scores.dtype, torch.float32)
        weights = scores.softmax(3, dtype=dtype).to(v.dtype)
        kept = weights if key_mask is None else weights * key_mask
        ctx.save_for_backward(picked, k, v, active, weights, key_mask)
        ctx.causal, ctx.num_queries = causal, q.shape[2]
        rows = _lazy_rows(v, q.shape[2], causal)
        rows[_places(active)] = multiply_heads(kept, v)
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        picked, k, v, active, weights, key_mask = ctx.saved_tensors
        places = _places(active)
        gradient_rows = gradient[places]  # (B, H, A, D)
        kept = weights if key_mask is None else weights * key_mask
        gradient_v = kept.transpose(2, 3) @ gradient_rows
        gradient_v += _lazy_gradient(gradient, gradient_rows, active, v.shape[2], ctx.causal)
        gradient_kept = multiply_heads(gradient_rows, v.transpose(2, 3))  # (B, H, A, S)
        if key_mask is not None:
            gradient_kept = gradient_kept.mul_(key_mask)
        # The row sums of weights times gradient, as softmax subtracts them.
        gradient_scores = torch._softmax_backward_data(gradient_kept, weights, 3, weights.dtype)
        gradient_k = gradient_scores.transpose(2, 3) @ picked
        gradient_q = _heads_side_by_side(picked, ctx.num_queries).zero_()
        gradient_q[places] = multiply_heads(gradient_scores, k) * k.shape[3] ** -0.5
        return gradient_q, gradient_k, gradient_v, None, None, None


def _places(active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices that pick the rows ``active`` ``(B, H, A)`` out of ``(B, H, L, D)``."""
    batch, heads = (torch.arange(size, device=active.device) for size in active.shape[:2])
    return batch.view(-1, 1, 1), heads.view(-1, 1), active


def _heads_side_by_side(x: Tensor, length: int) -> Tensor:
    """Empty ``(B, H, length, D)`` in the layout that the projections around an attention use."""
    return x.new_empty(x.shape[0], length, x.shape[1], x.shape[3]).transpose(1, 2)


def _lazy_rows(v: Tensor, num_rows: int, causal: bool) -> Tensor:
    """Mean of the values that each row sees, ``(B, H, L, D)``."""
    if causal:
        # NOTE[DIFF] uniform attention over what a row may see; the original code takes the
        # cumulative sum, which grows with the position.
        return mean_of_earlier(v)
    rows = _heads_side_by_side(v, num_rows)
    # Expanded, as torch's exporter to ONNX copies without broadcasting.
    return rows.copy_(v.mean(2, keepdim=True).expand_as(rows))


def _lazy_gradient(
    gradient: Tensor, gradient_rows: Tensor, active: Tensor, num_values: int, causal: bool
) -> Tensor:
    """Gradient that reaches the values through the lazy rows, ``(B, H, S or 1, D)``."""
    if causal:
        lazy = gradient.clone()
        lazy[_places(active)] = 0
        return spread_to_earlier(lazy)
    return (gradient.sum(2, keepdim=True) - gradient_rows.sum(2, keepdim=True)) / num_values
