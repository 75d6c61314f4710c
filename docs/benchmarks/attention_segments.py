"""Self-attentions through a summary of the sequence: inducing points, sorted blocks, segments."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from attention_shared import Variant, dot_products, most_tokens, refuse_mask, weigh
from torch import Tensor, nn

from informer_forecaster import InformerConfig


class InducingPoints(Variant):
    """Attention through ``points`` learnt queries: Set Transformer (Lee et al., 2019).

    The points attend to all tokens and gather their keys and values; the queries attend to what was
    gathered.
    """

    def __init__(
        self, config: InformerConfig, causal: bool, dropout: nn.Module, points: int = 16
    ) -> None:
        super().__init__(config, causal, dropout)
        refuse_mask("inducing-points", causal)
        self.points = nn.Parameter(torch.randn(config.nhead, points, self.width))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q, k and v ``(B, H, L, D)`` to ``(B, H, L, D)``."""
        gathering = dot_products(self.points[None], k).softmax(dim=3)  # (B, H, points, L)
        scores = dot_products(q, gathering @ k)
        return self.dropout(scores.softmax(dim=3)) @ (gathering @ v)


class Sinkhorn(Variant):
    """Own block, and another that sorting puts beside it: Sinkhorn attention (Tay et al., 2020).

    A layer on the sum of each block's keys says where the block goes; Sinkhorn's normalisation of
    rows and columns in turns makes of it a soft permutation, which sorts blocks of keys and values.
    """

    block, rounds = 12, 8

    def __init__(self, config: InformerConfig, causal: bool, dropout: nn.Module) -> None:
        super().__init__(config, causal, dropout)
        refuse_mask("sinkhorn", causal)
        self.places = nn.Linear(self.width, most_tokens(config))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q, k and v ``(B, H, L, D)`` to ``(B, H, L, D)``."""
        tokens = k.shape[2]
        q, k, v = (self._cut(x) for x in (q, k, v))  # (B, H, N, block, D)
        order = self.sort(k)
        sorted_k, sorted_v = (torch.einsum("bhnm,bhmsd->bhnsd", order, x) for x in (k, v))
        keys, values = torch.cat([k, sorted_k], dim=3), torch.cat([v, sorted_v], dim=3)
        # What fills up the last block is no key of its own block.
        is_token = torch.ones(k.shape[2] * self.block, dtype=torch.bool, device=q.device)
        is_token[tokens:] = False
        seen = is_token.unflatten(0, (-1, 1, self.block))
        scores = q @ keys.mT / q.shape[4] ** 0.5
        rows = weigh(scores, values, torch.cat([seen, torch.ones_like(seen)], dim=2), self.dropout)
        return rows.flatten(2, 3)[:, :, :tokens]

    def sort(self, k: Tensor) -> Tensor:
        """Find the soft permutation ``(B, H, N, N)`` of blocks of keys ``(B, H, N, block, D)``."""
        order = self.places(k.sum(dim=3))[..., : k.shape[2]]
        for _ in range(self.rounds):
            order = order.log_softmax(dim=3).log_softmax(dim=2)
        return order.exp()

    def _cut(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, -x.shape[2] % self.block)).unflatten(2, (-1, self.block))


class SegmentRecurrence(Variant):
    """Own segment and the one before: Transformer-XL (Dai et al., 2019), equation of section 3.3.

    Scores are of contents and of distances, each with a bias in the place of the query's position.
    No gradient goes to the segment before, which the original keeps from the step before.
    """

    segment = 24

    def __init__(self, config: InformerConfig, causal: bool, dropout: nn.Module) -> None:
        super().__init__(config, causal, dropout)
        self.distances = nn.Linear(self.width, config.nhead * self.width, bias=False)
        self.content_bias = nn.Parameter(0.1 * torch.randn(config.nhead, 1, self.width))
        self.distance_bias = nn.Parameter(0.1 * torch.randn(config.nhead, 1, self.width))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q, k and v ``(B, H, L, D)`` to ``(B, H, L, D)``."""
        tokens = q.shape[2]
        i = torch.arange(tokens, device=q.device)[:, None]
        short_k, short_v, ends = self.compress(k, v)
        at = torch.cat([i[:, 0], ends])
        behind = i // self.segment - at // self.segment
        is_short = torch.arange(len(at), device=q.device) >= tokens
        own = (behind == 0) & ((at <= i) if self.causal else (at >= 0)) & ~is_short
        before = (behind == 1) & ~is_short
        seen = own | before | ((behind >= 2) & is_short)
        keys, values = torch.cat([k, short_k], dim=2), torch.cat([v, short_v], dim=2)
        content = torch.where(before, self._content(q, keys.detach()), self._content(q, keys))
        scores = (content + self._distance(q, i - at)) / q.shape[3] ** 0.5
        weights = self.dropout(scores.masked_fill(~seen, -torch.inf).softmax(dim=3))
        return (weights * before) @ values.detach() + (weights * ~before) @ values

    def compress(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values of older segments, and their positions: none are kept."""
        return k[:, :, :0], v[:, :, :0], torch.arange(0, device=k.device)

    def _content(self, q: Tensor, k: Tensor) -> Tensor:
        return (q + self.content_bias) @ k.mT

    def _distance(self, q: Tensor, distance: Tensor) -> Tensor:
        """Scores ``(B, H, L, S)`` of the distances ``(L, S)``."""
        least, most = int(distance.min()), int(distance.max())
        column = torch.arange(0, q.shape[3], 2, device=q.device) / q.shape[3]
        angle = torch.arange(least, most + 1, device=q.device)[:, None] / 10_000**column
        code = torch.cat([angle.sin(), angle.cos()], dim=1)[:, : q.shape[3]].to(q)
        keys = self.distances(code).unflatten(1, (q.shape[1], -1)).transpose(0, 1)
        every = (q + self.distance_bias) @ keys.mT  # (B, H, L, distances)
        return every.gather(3, (distance - least).expand(*q.shape[:2], -1, -1))


class CompressedMemory(SegmentRecurrence):
    """And all segments before, ``rate`` tokens in one: Compressive Transformer (Rae et al., 2020).

    A strided convolution compresses; it learns from the forecast, not from a loss of its own.
    """

    rate = 3

    def __init__(self, config: InformerConfig, causal: bool, dropout: nn.Module) -> None:
        super().__init__(config, causal, dropout)
        self.keys = nn.Conv1d(self.width, self.width, self.rate, self.rate)
        self.values = nn.Conv1d(self.width, self.width, self.rate, self.rate)

    def compress(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shorten keys and values; each stands where the last of its tokens does."""
        short_k, short_v = self._shorten(self.keys, k), self._shorten(self.values, v)
        starts = torch.arange(short_k.shape[2], device=k.device) * self.rate
        return short_k, short_v, starts + self.rate - 1

    def _shorten(self, convolution: nn.Conv1d, x: Tensor) -> Tensor:
        channels = F.pad(x, (0, 0, 0, -x.shape[2] % self.rate)).flatten(0, 1).mT  # (B*H, D, L)
        return convolution(channels).mT.unflatten(0, x.shape[:2])
