"""Full and ProbSparse attention, and the heads around them: section 3.1 of the paper."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


class FullAttention(nn.Module):
    """Softmax attention of every query to every key it may see, fused by torch.

    Parameters
    ----------
    causal : bool
        Whether query ``i`` sees keys ``0..i`` only.
    dropout : float or torch.nn.Module
        Dropout on the attention weights: a probability, or a dropout module whose probability is
        used while it is active.

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
        self.dropout = dropout if isinstance(dropout, nn.Module) else nn.Dropout(dropout)

    @property
    def dropout_probability(self) -> float:
        """The probability in force now: 0 unless training, or while dropout is kept on purpose."""
        # Monte Carlo dropout modules stay active outside training and say so by this attribute.
        active = getattr(self.dropout, "mc_dropout_enabled", self.dropout.training)
        return float(self.dropout.p) if active else 0.0  # type: ignore[arg-type]

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q ``(B, H, L, D)``, k and v ``(B, H, S, D)`` to ``(B, H, L, D)``."""
        return F.scaled_dot_product_attention(
            q, k, v, dropout_p=self.dropout_probability, is_causal=self.causal
        )


class ProbSparseAttention(FullAttention):
    """Attention of only those queries that are far from uniform: section 3.1 of the paper.

    The sparsity measurement of every query is estimated from one set of sampled keys, shared by
    all queries. The ``c * ceil(ln L)`` queries of the largest measurement attend to all keys; the
    others get what uniform attention would give them, the mean of the values they may see.

    Parameters
    ----------
    sampling_factor : int
        The paper's ``c``.
    causal : bool
        Whether query ``i`` sees keys ``0..i`` only; then there must be as many keys as queries.
    dropout : float or torch.nn.Module
        Dropout on the attention weights of the active queries.

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
    ) -> None:
        super().__init__(causal=causal, dropout=dropout)
        self.sampling_factor = sampling_factor

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q ``(B, H, L, D)``, k and v ``(B, H, S, D)`` to ``(B, H, L, D)``."""
        num_queries, num_keys = q.shape[2], k.shape[2]
        if self.causal and num_queries != num_keys:
            raise ValueError(
                "causal attention needs as many keys as queries; got "
                f"{num_queries} queries and {num_keys} keys."
            )
        num_active = num_selected(num_queries, self.sampling_factor)
        if num_active == num_queries:
            return super().forward(q, k, v)
        with torch.no_grad():
            measurement = self.sparsity_measurement(q, k)
            active = measurement.topk(num_active, dim=2, sorted=False).indices  # (B, H, A)
        rows = active.unsqueeze(-1).expand(-1, -1, -1, q.shape[3])  # (B, H, A, D)
        visible = None
        if self.causal:
            visible = active.unsqueeze(-1) >= torch.arange(num_keys, device=q.device)  # (B,H,A,S)
        attended = F.scaled_dot_product_attention(
            q.gather(2, rows), k, v, attn_mask=visible, dropout_p=self.dropout_probability
        )
        lazy = self._uniform_attention(v, num_queries)
        return lazy.scatter(2, rows, attended.to(lazy.dtype))

    def sparsity_measurement(self, q: Tensor, k: Tensor) -> Tensor:
        """Max minus mean of the scaled scores over the sampled keys, ``(B, H, L)``; equation 4."""
        # NOTE[DIFF] one key sample is shared by all queries; the paper draws one for each query.
        # It ranks as well, and turns a gather of B*H*L*U*D numbers into one matrix product.
        sampled = k.index_select(2, self.sample_keys(k.shape[2], k.device))  # (B, H, U, D)
        scores = (q * q.shape[3] ** -0.5) @ sampled.transpose(2, 3)  # (B, H, L, U)
        # NOTE[DIFF] the mean runs over the sampled keys, where the original code divides their sum
        # by the number of all keys, which shrinks the term to a fraction.
        return scores.amax(3) - scores.mean(3)

    def sample_keys(self, num_keys: int, device: torch.device | str = "cpu") -> Tensor:
        """Positions of the keys that rank the queries, ``(U,)``, one from each of U equal parts."""
        num_sampled = num_selected(num_keys, self.sampling_factor)
        steps = torch.arange(num_sampled + 1, device=device)
        bounds = steps * num_keys // num_sampled
        # NOTE[DIFF] outside training the sample is fixed for each length. Steps by the golden ratio
        # spread the positions over every phase of a season, which even spacing would not.
        if self.training:
            fraction = torch.rand(num_sampled, device=device)
        else:
            fraction = (steps[1:] * GOLDEN_RATIO).frac()
        widths = bounds.diff()
        # The product may round up to the width, one past the part.
        return bounds[:-1] + torch.minimum((fraction * widths).long(), widths - 1)

    def _uniform_attention(self, v: Tensor, num_queries: int) -> Tensor:
        """Mean of the values a query may see, ``(B, H, L, D)``."""
        if not self.causal:
            return v.mean(2, keepdim=True).expand(-1, -1, num_queries, -1)
        # NOTE[DIFF] the cumulative mean, which is uniform attention over what a row may see; the
        # original code takes the cumulative sum, which grows with the position.
        count = torch.arange(1, num_queries + 1, device=v.device, dtype=torch.float32)
        return (v.cumsum(2, dtype=torch.promote_types(v.dtype, torch.float32)) / count[:, None]).to(
            v.dtype
        )


def num_selected(length: int, sampling_factor: int) -> int:
    """Queries or keys kept out of ``length``: ``c * ceil(ln(length))``, within 1..length."""
    return max(1, min(length, sampling_factor * math.ceil(math.log(length))))


class MultiHeadAttention(nn.Module):
    """Projections to heads, an attention, and the projection back.

    Parameters
    ----------
    attention : FullAttention
        The attention that runs on the heads.
    d_model : int
        Width of the tokens, ``M``.
    nhead : int
        Number of heads.
    """

    def __init__(self, attention: FullAttention, d_model: int, nhead: int) -> None:
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
