"""What the attentions of attention_variants.py share: weights, masks, lengths."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from informer_forecaster import InformerConfig


def weigh(scores: Tensor, v: Tensor, visible: Tensor, dropout: nn.Module) -> Tensor:
    """Sum values ``(B, H, S, D)`` by the softmax of the visible scores ``(B, H, L, S)``."""
    return dropout(scores.masked_fill(~visible, -torch.inf).softmax(dim=-1)) @ v


def dot_products(q: Tensor, k: Tensor) -> Tensor:
    """Score every query with every key, ``(B, H, L, S)``."""
    return q @ k.transpose(2, 3) / q.shape[3] ** 0.5


def most_tokens(config: InformerConfig) -> int:
    """Find the longest sequence that a self-attention of the network sees."""
    horizon = config.num_tokens(config.output_chunk_length)
    decoder = config.num_tokens(config.num_start_steps) + horizon
    return max(config.num_tokens(config.input_chunk_length), decoder)


def refuse_mask(name: str, causal: bool) -> None:
    """Raise where an attention that mixes all times is to be masked."""
    if causal:
        raise ValueError(
            f"`attention={name!r}` mixes all times and knows no mask: choose "
            "`decoder_causal=False`; got `decoder_causal=True`."
        )


class Variant(nn.Module):
    """What all share: the mask of the decoder, and dropout on the weights."""

    def __init__(self, config: InformerConfig, causal: bool, dropout: nn.Module) -> None:
        super().__init__()
        self.causal, self.dropout = causal, dropout
        self.width = config.d_model // config.nhead

    def visible(self, tokens: int, device: torch.device) -> Tensor:
        """Make the mask ``(L, L)`` of what may be seen: all, or what is not ahead."""
        everything = torch.ones(tokens, tokens, dtype=torch.bool, device=device)
        return everything.tril() if self.causal else everything
