"""The Informer as its paper's equations read, with no thought of speed: what ours is compared with.

Zhou et al., AAAI 2021 (arXiv 2012.07436). Each query draws its own keys, queries, keys and values
are three products, attention is spelled out, dropout is torch's, and the decoder computes the start
tokens to the end. Heads are joined as in Vaswani et al., and lazy rows of masked attention get the
mean of what they may see, so it computes what :class:`~informer_forecaster.Informer` computes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from informer_forecaster import InformerConfig


class TextbookAttention(nn.Module):
    """Softmax of the scaled scores, dropout on the weights, sum of the values.

    Parameters
    ----------
    causal : bool
        Whether query ``i`` sees keys ``0..i`` only.
    dropout : float
        Probability of dropping a weight.
    """

    def __init__(self, causal: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.causal = causal
        self.dropout = nn.Dropout(dropout)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q ``(B, H, L, D)``, k and v ``(B, H, S, D)`` to ``(B, H, L, D)``."""
        places = torch.arange(q.shape[2], device=q.device).expand(q.shape[:3])
        return self.attend(q, k, v, places)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, places: Tensor) -> Tensor:
        """Let queries ``(B, H, A, D)`` at ``places`` ``(B, H, A)`` attend to the keys."""
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])  # (B, H, A, S)
        if self.causal:
            hidden = torch.arange(k.shape[2], device=k.device) > places.unsqueeze(3)
            scores = scores.masked_fill(hidden, -torch.inf)
        return self.dropout(scores.softmax(3)) @ v


class TextbookProbSparse(TextbookAttention):
    """ProbSparse attention: algorithm 1 of the paper.

    Parameters
    ----------
    sampling_factor : int
        The paper's ``c``.
    causal : bool
        Whether query ``i`` sees keys ``0..i`` only.
    dropout : float
        Probability of dropping a weight.
    """

    def __init__(
        self, sampling_factor: int = 5, causal: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__(causal, dropout)
        self.sampling_factor = sampling_factor

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q ``(B, H, L, D)``, k and v ``(B, H, S, D)`` to ``(B, H, L, D)``."""
        with torch.no_grad():
            measurement = self.measure(q, k)
            active = measurement.topk(self._count(q.shape[2]), dim=2).indices  # (B, H, A)
        return self.fill(q, k, v, active)

    def measure(self, q: Tensor, k: Tensor) -> Tensor:
        """Equation 4, by keys that each query samples for itself: ``(B, H, L)``."""
        num_queries, num_keys = q.shape[2], k.shape[2]
        shape = (num_queries, self._count(num_keys))
        sampled = k[:, :, torch.randint(num_keys, shape, device=k.device)]  # (B, H, L, U, D)
        scores = (sampled @ q.unsqueeze(4)).squeeze(4) / math.sqrt(q.shape[3])  # (B, H, L, U)
        return scores.amax(3) - scores.mean(3)

    def fill(self, q: Tensor, k: Tensor, v: Tensor, active: Tensor) -> Tensor:
        """Let the ``active`` queries ``(B, H, A)`` attend, and give the others a mean of values."""
        num_queries = q.shape[2]
        if self.causal:
            seen = torch.arange(1, num_queries + 1, device=v.device, dtype=v.dtype).unsqueeze(1)
            lazy = v.cumsum(2) / seen
        else:
            lazy = v.mean(2, keepdim=True).repeat(1, 1, num_queries, 1)
        rows = active.unsqueeze(3).expand(-1, -1, -1, q.shape[3])
        attended = self.attend(q.gather(2, rows), k, v, active)
        return lazy.scatter(2, rows, attended)

    def _count(self, length: int) -> int:
        return min(length, self.sampling_factor * math.ceil(math.log(length)))


class TextbookHeads(nn.Module):
    """Multi-head attention with a linear map each for queries, keys, values and output."""

    def __init__(self, attention: TextbookAttention, d_model: int, nhead: int) -> None:
        super().__init__()
        self.attention, self.nhead = attention, nhead
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Let tokens ``(B, N, M)`` attend to memory ``(B, S, M)``."""
        parts = (self.query(x), self.key(memory), self.value(memory))
        q, k, v = (part.unflatten(2, (self.nhead, -1)).transpose(1, 2) for part in parts)
        return self.output(self.attention(q, k, v).transpose(1, 2).flatten(2))


class TextbookFeedForward(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        self.expand = nn.Linear(config.d_model, config.dim_feedforward)
        self.dropout = nn.Dropout(config.dropout)
        self.contract = nn.Linear(config.dim_feedforward, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` to ``(B, N, M)``."""
        return self.contract(self.dropout(F.gelu(self.expand(x))))


class TextbookDistilling(nn.Module):
    """Convolution, batch norm, ELU and max-pooling: equation 5."""

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        self.convolution = _make_convolution(config.d_model, config)
        self.norm = nn.BatchNorm1d(config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` to ``(B, ceil(N / 2), M)``."""
        x = F.elu(self.norm(self.convolution(x.transpose(1, 2))))
        return F.max_pool1d(x, kernel_size=3, stride=2, padding=1).transpose(1, 2)


class TextbookEncoderLayer(nn.Module):
    """Self-attention and feed-forward network, each with dropout, residual and layer norm."""

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        attention = TextbookProbSparse(config.sampling_factor, dropout=config.dropout)
        self.self_attention = TextbookHeads(attention, config.d_model, config.nhead)
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = TextbookFeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` to ``(B, N, M)``."""
        x = self.attention_norm(x + self.dropout(self.self_attention(x, x)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class TextbookEncoder(nn.Module):
    """Layers with distilling between them, and a layer norm."""

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        count = config.num_encoder_layers
        self.layers = nn.ModuleList(TextbookEncoderLayer(config) for _ in range(count))
        self.distilling = nn.ModuleList(TextbookDistilling(config) for _ in range(count - 1))
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` to the memory ``(B, S, M)``."""
        for layer, distilling in zip(self.layers, [*self.distilling, nn.Identity()], strict=True):
            x = distilling(layer(x))
        return self.norm(x)


class TextbookDecoderLayer(nn.Module):
    """Masked self-attention, full cross-attention and feed-forward network."""

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        width, heads, dropout = config.d_model, config.nhead, config.dropout
        attention = TextbookProbSparse(config.sampling_factor, causal=True, dropout=dropout)
        self.self_attention = TextbookHeads(attention, width, heads)
        self.self_attention_norm = nn.LayerNorm(width)
        self.cross_attention = TextbookHeads(TextbookAttention(dropout=dropout), width, heads)
        self.cross_attention_norm = nn.LayerNorm(width)
        self.feed_forward = TextbookFeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` and memory ``(B, S, M)`` to ``(B, N, M)``."""
        x = self.self_attention_norm(x + self.dropout(self.self_attention(x, x)))
        x = self.cross_attention_norm(x + self.dropout(self.cross_attention(x, memory)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class TextbookDecoder(nn.Module):
    """Decoder layers, and a layer norm."""

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TextbookDecoderLayer(config) for _ in range(config.num_decoder_layers)
        )
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` and memory ``(B, S, M)`` to ``(B, N, M)``."""
        for layer in self.layers:
            x = layer(x, memory)
        return self.norm(x)


class TextbookEmbedding(nn.Module):
    """Sum of value, position and time-stamp embeddings, then dropout: appendix B."""

    position: Tensor

    def __init__(self, config: InformerConfig, num_tokens: int) -> None:
        super().__init__()
        self.value = _make_convolution(config.num_targets, config)
        self.time_stamp = nn.Linear(config.num_future_covariates, config.d_model, bias=False)
        frequency = 10000.0 ** (-torch.arange(0, config.d_model, 2) / config.d_model)
        angle = torch.arange(num_tokens).unsqueeze(1) * frequency
        code = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
        self.register_buffer("position", code, persistent=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, values: Tensor, time_stamps: Tensor) -> Tensor:
        """Embed values ``(B, N, C)`` and time stamps ``(B, N, F)``."""
        value = self.value(values.transpose(1, 2)).transpose(1, 2)
        return self.dropout(value + self.position + self.time_stamp(time_stamps))


class TextbookInformer(nn.Module):
    """The paper's network; sizes are those of the configuration, its other fields are ignored."""

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        self.config = config
        num_outputs = config.num_start_steps + config.output_chunk_length
        self.encoder_embedding = TextbookEmbedding(config, config.input_chunk_length)
        self.decoder_embedding = TextbookEmbedding(config, num_outputs)
        self.encoder = TextbookEncoder(config)
        self.decoder = TextbookDecoder(config)
        self.projection = nn.Linear(config.d_model, config.num_targets)

    def forward(self, past_target: Tensor, time_stamps: Tensor) -> Tensor:
        """Map ``(B, L, C)`` and time stamps ``(B, L + H, F)`` to the forecast ``(B, H, C)``."""
        start, horizon = self.config.num_start_steps, self.config.output_chunk_length
        input_stamps = time_stamps[:, : self.config.input_chunk_length]
        memory = self.encoder(self.encoder_embedding(past_target, input_stamps))
        placeholders = past_target.new_zeros(past_target.shape[0], horizon, past_target.shape[2])
        # Counted from the front: a start of no steps must not become the whole input.
        known = past_target[:, past_target.shape[1] - start :]
        tokens = torch.cat([known, placeholders], dim=1)
        output_stamps = time_stamps[:, time_stamps.shape[1] - start - horizon :]
        output = self.projection(
            self.decoder(self.decoder_embedding(tokens, output_stamps), memory)
        )
        return output[:, output.shape[1] - horizon :]


def _make_convolution(num_inputs: int, config: InformerConfig) -> nn.Conv1d:
    return nn.Conv1d(num_inputs, config.d_model, kernel_size=3, padding=1, padding_mode="circular")
