"""Full and ProbSparse attention: section 3.1 of the paper."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dropout import Dropout
from .products import without_autocast
from .running_moments import (
    attend_to_running_moments,
    causal_lazy_weights,
    running_measurement,
)
from .second_order import attend_to_second_order, lazy_weights
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

    def active(self, q: Tensor, k: Tensor) -> Tensor | None:  # noqa: ARG002
        """Positions of the queries that attend, ``(B, H, A)``; none if all of them do."""
        return None

    def weights(self, q: Tensor, k: Tensor, rows: Tensor) -> Tensor:
        """Weights of the queries ``rows`` ``(B, H, R)`` on the keys, ``(B, H, R, S)``."""
        chosen = q.gather(2, rows.unsqueeze(3).expand(-1, -1, -1, q.shape[3]))
        scores = chosen @ k.transpose(2, 3) * k.shape[3] ** -0.5
        if self.causal:
            later = torch.arange(k.shape[2], device=k.device) > rows.unsqueeze(3)
            scores = scores.masked_fill(later, -torch.inf)
        return scores.softmax(3)

    def sparsity_measurement(self, q: Tensor, k: Tensor) -> Tensor:
        """Distance of each query's attention from uniform, ``(B, H, L)``; larger is farther."""
        return moment_measurement(q, k)

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
    others get what uniform attention would give them, the mean of the values they may see, or, by
    the second moment, attention to first order.

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
        or in closed form by the second moment of all keys, which fills the other rows too. By the
        moment, sequences so short that nothing is saved get exact attention.

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

    held: Tensor | None = None
    """Positions ``(E, H, A)`` of queries to keep active, as a choice among them has no gradient."""

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
        # NOTE[DIFF] the paper gives lazy rows the mean of the values; to second order they follow
        # their queries, under a mask by the moments of the keys before their block of rows.
        self._is_second_order = sparsity == "moment"

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q ``(B, H, L, D)``, k and v ``(B, H, S, D)`` to ``(B, H, L, D)``."""
        self._check_lengths(q.shape[2], k.shape[2])
        if self._is_exact(q, k):
            return super().forward(q, k, v)
        with without_autocast(q):
            mask = self._draw_key_mask(v)
            if self._is_second_order:
                active = self._num_active(q) if self.held is None else self._rank(q, k)
                attend = attend_to_running_moments if self.causal else attend_to_second_order
                return attend(q, k, v, active, mask)
            return attend_sparsely(q, k, v, self._rank(q, k), mask, self.causal)

    def active(self, q: Tensor, k: Tensor) -> Tensor | None:
        """Positions of the queries of the largest measurement, ``(B, H, A)``; none if all do."""
        return None if self._is_exact(q, k) else self._rank(q, k)

    def weights(self, q: Tensor, k: Tensor, rows: Tensor) -> Tensor:
        """Weights of the queries ``rows`` ``(B, H, R)`` on the keys, lazy ones too."""
        weights = super().weights(q, k, rows)
        active = self.active(q, k)
        if active is None:
            return weights
        if self._is_second_order:
            lazy = (causal_lazy_weights if self.causal else lazy_weights)(q, k, rows)
        else:
            lazy = super().weights(torch.zeros_like(q), k, rows)
        is_active = (rows.unsqueeze(3) == active.unsqueeze(2)).any(3, keepdim=True)
        return torch.where(is_active, weights, lazy)

    def sparsity_measurement(self, q: Tensor, k: Tensor) -> Tensor:
        """Distance of each query's attention from uniform, ``(B, H, L)``; larger is farther."""
        if self._is_second_order:
            return running_measurement(q, k) if self.causal else moment_measurement(q, k)
        return sampled_measurement(q, k, self.sample_keys(k.shape[2], k.device))

    def sample_keys(self, num_keys: int, device: torch.device | str = "cpu") -> Tensor:
        """Positions of the keys that rank the queries, ``(U,)``."""
        num_sampled = num_selected(num_keys, self.sampling_factor)
        return sample_positions(num_keys, num_sampled, random=self.training, device=device)

    def _num_active(self, q: Tensor) -> int:
        return num_selected(q.shape[2], self.sampling_factor)

    def _rank(self, q: Tensor, k: Tensor) -> Tensor:
        if self.held is not None:
            return self.held.repeat(q.shape[0] // len(self.held), 1, 1)
        with torch.no_grad():
            measurement = self.sparsity_measurement(q, k)
            return measurement.topk(self._num_active(q), dim=2, sorted=False).indices

    def _is_exact(self, q: Tensor, k: Tensor) -> bool:
        """Whether every query attends: few of them, or too few keys for anything else to pay."""
        num_active = self._num_active(q)
        if self.sparsity == "sampled":
            return num_active == q.shape[2]
        # NOTE[DIFF] the paper sparsifies short sequences too. Measured on one core: up to so many
        # keys, all queries take less time than a few and the rows that fill the others.
        rows, widths = (4, 4) if self.causal else (3, 2)
        return k.shape[2] <= rows * num_active + widths * k.shape[3]
