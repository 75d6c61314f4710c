"""The self-attentions that the field compares with ProbSparse, each written from its formula.

Importing this file registers them, so that ``attention="longformer"`` and the rest name them:

    python docs/benchmarks/ett.py --ablation attention --horizons 96

They are here for their errors. Those that restrict full attention to a pattern compute all of its
L x L scores and mask them: their time says nothing of the originals, whose kernels skip the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from attention_clusters import Hashing, Routing
from attention_segments import CompressedMemory, InducingPoints, SegmentRecurrence, Sinkhorn
from attention_shared import Variant, dot_products, most_tokens, refuse_mask, weigh
from torch import Tensor, nn

from informer_forecaster import InformerConfig, register_attention


class Pattern(Variant):
    """Full attention within a fixed pattern of positions.

    ``pattern(i, j)`` maps positions of queries ``(L, 1)`` and keys ``(L,)`` to ``(L, L)``.
    """

    def __init__(self, pattern: Callable[[Tensor, Tensor], Tensor], *shared: object) -> None:
        super().__init__(*shared)
        self.pattern = pattern

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q, k and v ``(B, H, L, D)`` to ``(B, H, L, D)``."""
        positions = torch.arange(q.shape[2], device=q.device)
        seen = self.pattern(positions[:, None], positions) & self.visible(q.shape[2], q.device)
        return weigh(dot_products(q, k), v, seen, self.dropout)


def log_sparse(i: Tensor, j: Tensor) -> Tensor:
    """LogTrans (Li et al., 2019): oneself, and the tokens at distances 1, 2, 4, 8, ..."""
    distance = (i - j).abs()
    return (distance & (distance - 1)) == 0  # 0 and the powers of two


def sliding_window(
    i: Tensor, j: Tensor, reach: int = 8, dilation: int = 2, num_global: int = 1
) -> Tensor:
    """Longformer (Beltagy et al., 2020): a dilated window, and tokens that see and are seen by all.

    Without a mask; under one, what is ahead is cut off as everywhere.
    """
    distance = (i - j).abs()
    near = (distance <= reach * dilation) & (distance % dilation == 0)
    return near | (i < num_global) | (j < num_global)


def strided(i: Tensor, j: Tensor, stride: int = 8) -> Tensor:
    """Sparse Transformer (Child et al., 2019): the last ``stride`` tokens, and each stride-th."""
    distance = (i - j).abs()
    return (distance < stride) | (distance % stride == 0)


def blockwise(i: Tensor, j: Tensor, block: int = 24) -> Tensor:
    """Image Transformer (Parmar et al., 2018), local in one dimension: own block, and the last."""
    behind = i // block - j // block
    return (behind == 0) | (behind == 1)


class MemoryCompressed(Variant):
    """Keys and values shortened by a strided convolution (Liu et al., 2018).

    Under a mask a query sees the blocks that end by its position, and a token of zeros, so that the
    first queries see something.
    """

    def __init__(self, *shared: object, stride: int = 3) -> None:
        super().__init__(*shared)
        self.stride = stride
        self.keys = nn.Conv1d(self.width, self.width, stride, stride)
        self.values = nn.Conv1d(self.width, self.width, stride, stride)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q, k and v ``(B, H, L, D)`` to ``(B, H, L, D)``."""
        k, v = self._shorten(self.keys, k), self._shorten(self.values, v)
        queries = torch.arange(q.shape[2], device=q.device)[:, None]
        ends = torch.arange(k.shape[2], device=q.device) * self.stride - 1
        seen = (ends <= queries) if self.causal else (ends >= 0).expand(q.shape[2], -1)
        return weigh(dot_products(q, k), v, seen, self.dropout)

    def _shorten(self, convolution: nn.Conv1d, x: Tensor) -> Tensor:
        """Map ``(B, H, L, D)`` to ``(B, H, 1 + ceil(L / stride), D)``, the first one zeros."""
        channels = x.flatten(0, 1).transpose(1, 2)  # (B*H, D, L)
        short = convolution(F.pad(channels, (0, -channels.shape[2] % self.stride)))
        return F.pad(short, (1, 0)).transpose(1, 2).unflatten(0, x.shape[:2])


class Linear(Variant):
    """Linear attention with the feature map elu + 1 (Katharopoulos et al., 2020)."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q, k and v ``(B, H, L, D)`` to ``(B, H, L, D)``; dropout falls on the keys."""
        q, k = F.elu(q) + 1, self.dropout(F.elu(k) + 1)
        if not self.causal:
            normaliser = q @ k.sum(dim=2).unsqueeze(3)
            return q @ (k.transpose(2, 3) @ v) / normaliser.clamp(min=1e-6)
        # Sums over the keys so far, (B, H, L, D, D): memory grows with L, not with its square.
        sums = (k.unsqueeze(4) * v.unsqueeze(3)).cumsum(dim=2)
        normaliser = (q * k.cumsum(dim=2)).sum(dim=3, keepdim=True)
        return (q.unsqueeze(3) @ sums).squeeze(3) / normaliser.clamp(min=1e-6)


class Linformer(Variant):
    """Keys and values projected along time to ``rank`` rows (Wang et al., 2020).

    Shorter sequences use the first columns of the projection. It mixes all times, so no mask.
    """

    def __init__(self, config: InformerConfig, causal: bool, dropout: nn.Module) -> None:
        super().__init__(config, causal, dropout)
        refuse_mask("linformer", causal)
        tokens = most_tokens(config)
        self.keys = nn.Linear(tokens, min(32, tokens), bias=False)
        self.values = nn.Linear(tokens, min(32, tokens), bias=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q, k and v ``(B, H, L, D)`` to ``(B, H, L, D)``."""
        tokens = k.shape[2]
        k, v = self.keys.weight[:, :tokens] @ k, self.values.weight[:, :tokens] @ v
        return self.dropout(dot_products(q, k).softmax(dim=3)) @ v


class DenseSynthesizer(Variant):
    """Scores made from each query alone by two layers (Tay et al., 2021); no keys."""

    def __init__(self, config: InformerConfig, causal: bool, dropout: nn.Module) -> None:
        super().__init__(config, causal, dropout)
        hidden = nn.Linear(self.width, self.width)
        self.scores = nn.Sequential(hidden, nn.ReLU(), nn.Linear(self.width, most_tokens(config)))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q and v ``(B, H, L, D)`` to ``(B, H, L, D)``."""
        tokens = k.shape[2]
        seen = self.visible(tokens, q.device)
        return weigh(self.scores(q)[..., :tokens], v, seen, self.dropout)


class RandomSynthesizer(Variant):
    """Scores that are weights, the same for every input (Tay et al., 2021)."""

    def __init__(self, config: InformerConfig, causal: bool, dropout: nn.Module) -> None:
        super().__init__(config, causal, dropout)
        tokens = most_tokens(config)
        self.scores = nn.Parameter(torch.randn(config.nhead, tokens, tokens))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map v ``(B, H, L, D)`` to ``(B, H, L, D)``."""
        tokens = k.shape[2]
        scores = self.scores[:, :tokens, :tokens].expand(q.shape[0], -1, -1, -1)
        return weigh(scores, v, self.visible(tokens, q.device), self.dropout)


def _with_pattern(
    pattern: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[InformerConfig, bool, nn.Module], nn.Module]:
    return lambda *shared: Pattern(pattern, *shared)


VARIANTS: dict[str, Callable[[InformerConfig, bool, nn.Module], nn.Module]] = {
    "logsparse": _with_pattern(log_sparse),
    "longformer": _with_pattern(sliding_window),
    "strided": _with_pattern(strided),
    "blockwise": _with_pattern(blockwise),
    "memory-compressed": MemoryCompressed,
    "linear": Linear,
    "linformer": Linformer,
    "synthesizer-dense": DenseSynthesizer,
    "synthesizer-random": RandomSynthesizer,
    "routing": Routing,
    "lsh": Hashing,
    "inducing-points": InducingPoints,
    "sinkhorn": Sinkhorn,
    "segment-recurrence": SegmentRecurrence,
    "compressed-memory": CompressedMemory,
}
# These mix all times: a decoder has to do without its mask.
UNMASKED = ("linformer", "inducing-points", "sinkhorn")
for _name, _factory in VARIANTS.items():
    register_attention(_name, _factory)
