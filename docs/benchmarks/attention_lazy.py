"""ProbSparse attention whose other rows get more than a mean: the first-order term of attention.

And to second order with means under a mask, as it was until its moments ran along with the rows.

With scores ``s`` and their mean over the keys, ``softmax(s)`` is ``(1 + s - mean(s)) / S`` to first
order. Summed with the values that is their mean, and the query times the covariance of keys and
values: O(L D**2) without a mask. Under a mask the running covariances cost as much for each row;
here, where only errors count, all scores are computed. Importing this file registers it by `NAME`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from informer_forecaster import InformerConfig, register_attention
from informer_forecaster._network.attention import ProbSparseAttention
from informer_forecaster._network.sparse_rows import attend_sparsely
from informer_forecaster._network.sparsity import moment_measurement, num_selected

NAME = "prob-linear"
MEANS = "prob-means"


class LinearLazyRows(ProbSparseAttention):
    """ProbSparse attention; rows that do not attend get the first-order term beside the mean."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q ``(B, H, L, D)``, k and v ``(B, H, S, D)`` to ``(B, H, L, D)``."""
        num_active = num_selected(q.shape[2], self.sampling_factor)
        if num_active == q.shape[2]:
            return super().forward(q, k, v)
        with torch.no_grad():
            # Over all keys under a mask too, as these networks were measured.
            rank = moment_measurement if self.sparsity == "moment" else self.sparsity_measurement
            active = rank(q, k).topk(num_active, dim=2).indices
        rows = attend_sparsely(q, k, v, active, self._draw_key_mask(v), self.causal)
        return add_first_order(rows, active, q, k, v, self.causal)


def add_first_order(
    rows: Tensor, active: Tensor, q: Tensor, k: Tensor, v: Tensor, causal: bool
) -> Tensor:
    """Add the first-order term to those rows ``(B, H, L, D)`` that are not active ``(B, H, A)``."""
    is_lazy = torch.ones_like(rows[..., :1]).scatter(2, active.unsqueeze(3), 0.0)
    return rows + is_lazy * first_order_term(q, k, v, causal)


def first_order_term(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Sum values ``(B, H, S, D)`` by how far the scores of ``(B, H, L, D)`` are from their mean."""
    if not causal:
        centred = k - k.mean(2, keepdim=True)
        return q @ (centred.transpose(2, 3) @ v) / (k.shape[2] * k.shape[3] ** 0.5)
    scores = (q @ k.transpose(2, 3) / k.shape[3] ** 0.5).tril()
    seen = torch.arange(1, k.shape[2] + 1, device=k.device)[:, None]
    means = v.cumsum(2) / seen
    return (scores @ v - scores.sum(3, keepdim=True) * means) / seen


def make(config: InformerConfig, causal: bool, dropout: nn.Module) -> nn.Module:
    """Make the attention of a layer."""
    return LinearLazyRows(config.sampling_factor, causal, dropout, config.sparsity)


class MeansUnderMask(ProbSparseAttention):
    """ProbSparse attention to second order; under a mask with means of the earlier values."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q ``(B, H, L, D)``, k and v ``(B, H, S, D)`` to ``(B, H, L, D)``."""
        if not self.causal:
            return super().forward(q, k, v)
        num_active = num_selected(q.shape[2], self.sampling_factor)
        active = moment_measurement(q, k).topk(num_active, dim=2).indices
        return attend_sparsely(q, k, v, active, self._draw_key_mask(v), causal=True)


def make_means(config: InformerConfig, causal: bool, dropout: nn.Module) -> nn.Module:
    """Make the attention of a layer."""
    return MeansUnderMask(config.sampling_factor, causal, dropout, sparsity="moment")


register_attention(NAME, make)
register_attention(MEANS, make_means)
