"""What encoder and decoder share: heads around an attention, and the feed-forward network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .config import InformerConfig
from .dropout import DropoutFactory
from .registry import make_attention


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
        width = x.shape[2]
        if memory is None:
            projected = self.query_key_value(x).split(width, dim=2)
        else:
            parts = [width, 2 * width]
            weights = self.query_key_value.weight.split(parts)
            biases = self.query_key_value.bias.split(parts)
            joint = F.linear(memory, weights[1], biases[1])
            projected = F.linear(x, weights[0], biases[0]), *joint.split(width, dim=2)
        heads = self.attention(*map(self._to_heads, projected))  # (B, H, N, D)
        output: Tensor = self.output(heads.transpose(1, 2).flatten(2))
        return output

    def _to_heads(self, projected: Tensor) -> Tensor:
        """Turn ``(B, N, M)`` into ``(B, H, N, D)`` without a copy."""
        return projected.unflatten(2, (self.nhead, -1)).transpose(1, 2)


def make_self_attention(
    config: InformerConfig, dropout: DropoutFactory, *, causal: bool
) -> MultiHeadAttention:
    """Build the self-attention that ``config.attention`` names."""
    attention = make_attention(config, causal, dropout(config.token_dropout))
    return MultiHeadAttention(attention, config.d_model, config.nhead)


def make_activation(config: InformerConfig) -> nn.Module:
    """Build the activation of hidden layers that ``config.activation`` names."""
    return nn.GELU() if config.activation == "gelu" else nn.ReLU()


class FeedForward(nn.Module):
    """Position-wise feed-forward network on tokens ``(B, N, M)``."""

    def __init__(self, config: InformerConfig, dropout: DropoutFactory) -> None:
        super().__init__()
        self.expand = nn.Linear(config.d_model, config.dim_feedforward)
        self.activation = make_activation(config)
        self.dropout = dropout(config.dropout)
        self.contract = nn.Linear(config.dim_feedforward, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` to ``(B, N, M)``."""
        contracted: Tensor = self.contract(self.dropout(self.activation(self.expand(x))))
        return contracted
