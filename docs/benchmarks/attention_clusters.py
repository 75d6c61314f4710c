"""Self-attentions within groups of like tokens: by k-means, and by hashing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from attention_shared import Variant, dot_products, most_tokens, weigh
from torch import Tensor, nn

from informer_forecaster import InformerConfig


class Routing(Variant):
    """Attention within the clusters of an online k-means (Roy et al., 2021).

    Queries and keys, normalised, belong to their nearest centroid; the centroids move with both in
    training. The original fills clusters of one size for speed; here they are as large as they are.
    """

    def __init__(
        self, config: InformerConfig, causal: bool, dropout: nn.Module, decay: float = 0.999
    ) -> None:
        super().__init__(config, causal, dropout)
        num_clusters = max(2, round(most_tokens(config) ** 0.5))
        start = torch.randn(config.nhead, num_clusters, self.width)
        self.register_buffer("centroids", F.normalize(start, dim=2))
        self.decay = decay

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q, k and v ``(B, H, L, D)`` to ``(B, H, L, D)``."""
        q, k = F.layer_norm(q, q.shape[3:]), F.layer_norm(k, k.shape[3:])
        of_query, of_key = self._nearest(q), self._nearest(k)
        if self.training:
            self._move(torch.cat([q, k], dim=2), torch.cat([of_query, of_key], dim=2))
        # Oneself is always seen: a cluster may hold no key.
        seen = of_query.unsqueeze(3) == of_key.unsqueeze(2)
        seen = seen | torch.eye(q.shape[2], dtype=torch.bool, device=q.device)
        seen = seen & self.visible(q.shape[2], q.device)
        return weigh(dot_products(q, k), v, seen, self.dropout)

    def _nearest(self, x: Tensor) -> Tensor:
        """Find the centroid of each token, ``(B, H, L)``."""
        return (x @ self.centroids.transpose(1, 2)).argmax(dim=3)

    @torch.no_grad()
    def _move(self, x: Tensor, nearest: Tensor) -> None:
        """Move each centroid towards the mean of its tokens."""
        member = F.one_hot(nearest, self.centroids.shape[1]).to(x.dtype)  # (B, H, L, clusters)
        count = member.sum(dim=(0, 2)).unsqueeze(2)
        mean = torch.einsum("bhlc,bhld->hcd", member, x) / count.clamp(min=1)
        moved = self.decay * self.centroids + (1 - self.decay) * F.normalize(mean, dim=2)
        self.centroids.copy_(torch.where(count > 0, F.normalize(moved, dim=2), self.centroids))


class Hashing(Variant):
    """Reformer (Kitaev et al., 2020): queries are their own keys, attention within hash buckets.

    Tokens that share a bucket in one of the rounds see each other; oneself only if nobody else.
    The rotations are drawn anew in training, and fixed otherwise.
    """

    def __init__(self, *shared: object, bucket_size: int = 24, rounds: int = 4) -> None:
        super().__init__(*shared)
        self.bucket_size, self.rounds = bucket_size, rounds

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q and v ``(B, H, L, D)`` to ``(B, H, L, D)``."""
        tokens = k.shape[2]
        keys = F.normalize(q, dim=3)
        buckets = self.hash(keys)
        seen = (buckets.unsqueeze(3) == buckets.unsqueeze(2)).any(dim=-1)
        oneself = torch.eye(tokens, dtype=torch.bool, device=q.device)
        scores = dot_products(q, keys).masked_fill(oneself, -1e4)
        return weigh(scores, v, seen & self.visible(tokens, q.device), self.dropout)

    def hash(self, x: Tensor) -> Tensor:
        """Hash tokens ``(B, H, L, D)`` in each round, ``(B, H, L, rounds)``."""
        half = max(1, -(-x.shape[2] // self.bucket_size) // 2)
        generator = None if self.training else torch.Generator().manual_seed(0)
        rotation = torch.randn(x.shape[3], self.rounds, half, generator=generator).to(x)
        rotated = torch.einsum("bhld,drc->bhlrc", x, rotation)
        return torch.cat([rotated, -rotated], dim=4).argmax(dim=4)
