"""The encoder: ProbSparse self-attention with distilling, in one or more stacks; section 3.2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import InformerConfig
from .distilling import Distilling
from .dropout import DropoutFactory
from .layers import FeedForward, make_self_attention


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward network, each with dropout, residual and layer norm."""

    def __init__(self, config: InformerConfig, dropout: DropoutFactory) -> None:
        super().__init__()
        self.self_attention = make_self_attention(config, dropout, causal=False)
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config, dropout)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)
        self.dropout = dropout(config.token_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` to ``(B, N, M)``."""
        x = self.attention_norm(x + self.dropout(self.self_attention(x)))
        normalised: Tensor = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return normalised


class EncoderStack(nn.Module):
    """Encoder layers with distilling between them, and a layer norm at the end.

    Parameters
    ----------
    config : InformerConfig
        Sizes and architecture.
    num_layers : int
        Layers of this stack; one distilling fewer.
    dropout : callable
        Makes a dropout module from a probability.
    """

    def __init__(self, config: InformerConfig, num_layers: int, dropout: DropoutFactory) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config, dropout) for _ in range(num_layers))
        self.distilling = nn.ModuleList(
            Distilling(config.d_model, config.padding_mode)
            for _ in range(num_layers - 1 if config.distil else 0)
        )
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` to ``(B, ceil(N / 2**distillings), M)``."""
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < len(self.distilling):
                x = self.distilling[index](x)
        normalised: Tensor = self.norm(x)
        return normalised


class Encoder(nn.Module):
    """One stack, or a pyramid of replica stacks that see ever shorter ends of the input.

    Stack ``n`` sees the last ``1 / 2**n`` of the tokens and has ``n`` layers fewer, so with
    distilling all their outputs have one length; they are joined along time.
    """

    def __init__(self, config: InformerConfig, dropout: DropoutFactory) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(
            EncoderStack(config, config.num_encoder_layers - n, dropout)
            for n in range(config.num_encoder_stacks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` to the memory ``(B, S, M)`` that the decoder attends to."""
        num_tokens = x.shape[1]
        outputs = [
            stack(x[:, num_tokens - -(-num_tokens // 2**n) :])
            for n, stack in enumerate(self.stacks)
        ]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
