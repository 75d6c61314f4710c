"""Output of an attention in which some rows attend and the others get the mean of the values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def fill_lazy_rows(
    v: Tensor, attended: Tensor, rows: Tensor, num_rows: int, causal: bool
) -> Tensor:
    """Put the attended rows in their places and the mean of the values in all others.

    Parameters
    ----------
    v : torch.Tensor
        Values, ``(B, H, S, D)``.
    attended : torch.Tensor
        Output of the active queries, ``(B, H, A, D)``.
    rows : torch.Tensor
        Places of the active queries, ``(B, H, A, D)``, one number along the last dimension.
    num_rows : int
        Queries there are, ``L``.
    causal : bool
        Whether row ``i`` gets the mean of ``v[..., :i + 1, :]`` instead of that of all values.

    Returns
    -------
    torch.Tensor
        ``(B, H, L, D)``.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.lazy_rows import fill_lazy_rows
    >>> v = torch.tensor([1.0, 3.0, 5.0]).view(1, 1, 3, 1)
    >>> attended, rows = torch.full((1, 1, 1, 1), 9.0), torch.ones(1, 1, 1, 1, dtype=torch.int64)
    >>> fill_lazy_rows(v, attended, rows, num_rows=3, causal=True).flatten()
    tensor([1., 9., 3.])
    """
    filled: Tensor = _FillLazyRows.apply(v, attended, rows, num_rows, causal)  # type: ignore[no-untyped-call]
    return filled


class _FillLazyRows(torch.autograd.Function):
    """Autograd would keep three tensors of the size of ``v``, and make four more going back."""

    @staticmethod
    def forward(
        ctx: Any, v: Tensor, attended: Tensor, rows: Tensor, num_rows: int, causal: bool
    ) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.num_values, ctx.causal = v.shape[2], causal
        if causal:
            # NOTE[DIFF] uniform attention over what a row may see; the original code takes the
            # cumulative sum, which grows with the position.
            # A sum in half precision would stop growing.
            lazy = v.cumsum(2, dtype=torch.promote_types(v.dtype, torch.float32))
            lazy = lazy.div_(_counts(v)).to(v.dtype)
        else:
            # The memory of heads side by side, as the projections that follow read it.
            lazy = v.new_empty(v.shape[0], num_rows, v.shape[1], v.shape[3]).transpose(1, 2)
            lazy.copy_(v.mean(2, keepdim=True).expand(-1, -1, num_rows, -1))
        return lazy.scatter_(2, rows, attended.to(lazy.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (rows,) = ctx.saved_tensors
        attended = gradient.gather(2, rows)
        if not ctx.causal:
            lazy_sum = gradient.sum(2, keepdim=True) - attended.sum(2, keepdim=True)
            values = (lazy_sum / ctx.num_values).expand(-1, -1, ctx.num_values, -1)
            return values, attended, None, None, None
        shares = gradient.to(torch.promote_types(gradient.dtype, torch.float32)) / _counts(gradient)
        shares.scatter_(2, rows, 0.0)
        # Value j is in the means of rows j and later: the reversed cumulative sum.
        earlier = shares.cumsum(2)
        values = shares.sub_(earlier).add_(earlier[:, :, -1:])
        return values.to(gradient.dtype), attended, None, None, None


def _counts(v: Tensor) -> Tensor:
    """Values that each row sees, ``(S, 1)``."""
    dtype = torch.promote_types(v.dtype, torch.float32)
    return torch.arange(1, v.shape[2] + 1, device=v.device, dtype=dtype).unsqueeze(1)
