"""Full and ProbSparse attention, and the heads around them: section 3.1 of the paper."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dropout import Dropout
from .products import without_autocast
from .sparse_rows import attend_sparsely
from .sparsity import moment_measurement, num_selected, sample_positions, sampled_measurement


class FullAttention(nn.Module):
    """Softmax attention of every query to every key it may see, fused by torch.

    Parameters
    ----------
    causal : bool
        Whether query ``i`` sees keys ``0..i`` only.
    dropout : float or torch.nn.Module
        Dropout on the attention weights: a probability, or the module that drops.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.attention import FullAttention
    >>> q, k = torch.randn(2, 8, 96, 64), torch.randn(2, 8, 48, 64)
    >>> FullAttention()(q, k, k).shape
    torch.Size([2, 8, 96, 64])
    """

    def __init__(self, causal: bool = False, dropout: float | nn.Module = 0.0) -> None:
        super().__init__()
        self.causal = causal
        self.dropout = dropout if isinstance(dropout, nn.Module) else Dropout(dropout)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q ``(B, H, L, D)``, k and v ``(B, H, S, D)`` to ``(B, H, L, D)``."""
        self._check_lengths(q.shape[2], k.shape[2])
        mask = self._draw_key_mask(v)
        values = v if mask is None else v * mask.transpose(2, 3)
        return F.scaled_dot_product_attention(q, k, values, is_causal=self.causal)

    def _check_lengths(self, num_queries: int, num_keys: int) -> None:
        if self.causal and num_queries != num_keys:
            raise ValueError(
                "causal attention needs as many keys as queries; got "
                f"{num_queries} queries and {num_keys} keys."
            )

    def _draw_key_mask(self, v: Tensor) -> Tensor | None:
        """Draw factors of the weights on each key, ``(B, H, 1, S)``; none if all are 1."""
        # NOTE[DIFF] the queries of a head share one mask, where the paper draws one for each. Each
        # weight is dropped as often; fused attention stays usable, and only S numbers are drawn.
        ones = v.new_ones(*v.shape[:2], 1, v.shape[2])
        mask: Tensor = self.dropout(ones)
        return None if mask is ones else mask


class ProbSparseAttention(FullAttention):
    """Attention of only those queries that are far from uniform: section 3.1 of the paper.

    The ``c * ceil(ln L)`` queries of the largest sparsity measurement attend to all keys; the
    others get what uniform attention would give them, the mean of the values they may see.

    Parameters
    ----------
    sampling_factor : int
        The paper's ``c``.
    causal : bool
        Whether query ``i`` sees keys ``0..i`` only; then there must be as many keys as queries.
    dropout : float or torch.nn.Module
        Dropout on the attention weights of the active queries.
    sparsity : {"sampled", "moment"}
        How queries are ranked: by one set of ``c * ceil(ln S)`` sampled keys shared by all of them,
        or in closed form by the second moment of all keys.

    Notes
    -----
    In training the key sample is drawn from torch's generator, otherwise it is fixed for each
    length, so that equal inputs give equal outputs. Cost: O(L ln L) in time and memory.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.attention import ProbSparseAttention
    >>> q = torch.randn(2, 8, 96, 64)
    >>> ProbSparseAttention(sampling_factor=5)(q, q, q).shape
    torch.Size([2, 8, 96, 64])
    """

    def __init__(
        self,
        sampling_factor: int = 5,
        causal: bool = False,
        dropout: float | nn.Module = 0.0,
        sparsity: Literal["sampled", "moment"] = "sampled",
    ) -> None:
        super().__init__(causal=causal, dropout=dropout)
        self.sampling_factor = sampling_factor
        self.sparsity = sparsity

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q ``(B, H, L, D)``, k and v ``(B, H, S, D)`` to ``(B, H, L, D)``."""
        num_queries, num_keys = q.shape[2], k.shape[2]
        self._check_lengths(num_queries, num_keys)
        num_active = num_selected(num_queries, self.sampling_factor)
        if num_active == num_queries:
            return super().forward(q, k, v)
        with without_autocast(q):
            with torch.no_grad():
                measurement = self.sparsity_measurement(q, k)
                active = measurement.topk(num_active, dim=2, sorted=False).indices  # (B, H, A)
            return attend_sparsely(q, k, v, active, self._draw_key_mask(v), self.causal)

    def sparsity_measurement(self, q: Tensor, k: Tensor) -> Tensor:
        """Distance of each query's attention from uniform, ``(B, H, L)``; larger is farther."""
        if self.sparsity == "moment":
            return moment_measurement(q, k)
        return sampled_measurement(q, k, self.sample_keys(k.shape[2], k.device))

    def sample_keys(self, num_keys: int, device: torch.device | str = "cpu") -> Tensor:
        """Positions of the keys that rank the queries, ``(U,)``."""
        num_sampled = num_selected(num_keys, self.sampling_factor)
        return sample_positions(num_keys, num_sampled, random=self.training, device=device)


class MultiHeadAttention(nn.Module):
    """Projections to heads, an attention, and the projection back.

    Parameters
    ----------
    attention : torch.nn.Module
        The attention that runs on the heads.
    d_model : int
        Width of the tokens, ``M``.
    nhead : int
        Number of heads.
    """

    def __init__(self, attention: nn.Module, d_model: int, nhead: int) -> None:
        super().__init__()
        self.attention = attention
        self.nhead = nhead
        # One product for queries, keys and values: rows 0..M are the queries', M..3M the others'.
        self.query_key_value = nn.Linear(d_model, 3 * d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """Let tokens x ``(B, N, M)`` attend to memory ``(B, S, M)``, or to themselves."""
        if memory is None:
            q, k, v = self._to_heads(self.query_key_value(x), parts=3)
        else:
            width = x.shape[2]
            weight, bias = self.query_key_value.weight, self.query_key_value.bias
            (q,) = self._to_heads(F.linear(x, weight[:width], bias[:width]), parts=1)
            k, v = self._to_heads(F.linear(memory, weight[width:], bias[width:]), parts=2)
        heads = self.attention(q, k, v)  # (B, H, N, D)
        output: Tensor = self.output(heads.transpose(1, 2).flatten(2))
        return output

    def _to_heads(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Split ``(B, N, parts*M)`` into ``parts`` of ``(B, H, N, D)`` without a copy."""
        return projected.unflatten(2, (parts, self.nhead, -1)).permute(2, 0, 3, 1, 4).unbind(0)
