"""The generative decoder, which forecasts the whole horizon in one pass: section 3.3."""

from __future__ import annotations

from torch import Tensor, nn

from .config import InformerConfig
from .dropout import DropoutFactory
from .layers import FeedForward, MultiHeadAttention, make_self_attention
from .registry import make_cross_attention


class DecoderLayer(nn.Module):
    """Self-attention, attention to the encoder's memory, and feed-forward network.

    Each is followed by dropout, residual and layer norm.
    """

    def __init__(self, config: InformerConfig, dropout: DropoutFactory) -> None:
        super().__init__()
        # NOTE[DIFF] masked as in the paper by default; `decoder_causal=False` takes the mask off.
        self.self_attention = make_self_attention(config, dropout, causal=config.decoder_causal)
        self.self_attention_norm = nn.LayerNorm(config.d_model)
        attention = make_cross_attention(config, dropout(config.token_dropout))
        self.cross_attention = MultiHeadAttention(attention, config.d_model, config.nhead)
        self.cross_attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config, dropout)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)
        self.dropout = dropout(config.token_dropout)

    def forward(self, x: Tensor, memory: Tensor, num_kept: int) -> Tensor:
        """Map tokens ``(B, N, M)`` and memory ``(B, S, M)`` to the last ``(B, num_kept, M)``."""
        x = x + self.dropout(self.self_attention(x))
        # Only self-attention joins tokens of the decoder: what is cut off here changes nothing.
        x = self.self_attention_norm(x[:, x.shape[1] - num_kept :])
        x = self.cross_attention_norm(x + self.dropout(self.cross_attention(x, memory)))
        normalised: Tensor = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return normalised


class Decoder(nn.Module):
    """Decoder layers, and a layer norm at the end."""

    def __init__(self, config: InformerConfig, dropout: DropoutFactory) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(config, dropout) for _ in range(config.num_decoder_layers)
        )
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor, memory: Tensor, num_placeholders: int) -> Tensor:
        """Map tokens ``(B, N, M)`` to those of the placeholders, ``(B, num_placeholders, M)``."""
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = layer(x, memory, num_kept=num_placeholders if index == last else x.shape[1])
        normalised: Tensor = self.norm(x)
        return normalised
