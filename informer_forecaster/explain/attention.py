"""Private: finds the attentions of a network, and describes what they did in one forecast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from informer_forecaster._network import Informer
from informer_forecaster._network.attention import (
    FullAttention,
    MultiHeadAttention,
    ProbSparseAttention,
)
from informer_forecaster._network.decoder import DecoderLayer
from informer_forecaster._network.encoder import EncoderLayer, EncoderStack
from informer_forecaster._network.sparsity import (
    moment_measurement,
    num_selected,
    sample_positions,
    sampled_measurement,
)

from .attention_map import AttentionMap, Kind
from .tokens import TokenSteps


class Site(NamedTuple):
    """An attention of the network, and the steps of its queries and keys."""

    kind: Kind
    stack: int
    layer: int
    heads: MultiHeadAttention
    queries: TokenSteps
    keys: TokenSteps


class Recorder(nn.Module):
    """Stands in for an attention and keeps the queries and keys that it is given."""

    def __init__(self, attention: FullAttention) -> None:
        super().__init__()
        self.attention = attention
        self.seen: tuple[Tensor, Tensor] | None = None

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend as the attention it stands in for."""
        self.seen = q, k
        attended: Tensor = self.attention(q, k, v)
        return attended


def sites(network: Informer) -> Iterator[Site]:
    """Walk through the attentions of a network in the order in which they run."""
    config = network.config
    lookback, horizon = config.input_chunk_length, config.output_chunk_length
    inputs = TokenSteps.fold(0, lookback, config.patch_length, pad_left=True)
    memory = inputs.tail(0)
    for number, stack in enumerate(network.encoder.stacks):
        assert isinstance(stack, EncoderStack)
        tokens = inputs.tail(-(-len(inputs) // 2**number))
        for index, layer in enumerate(stack.layers):
            assert isinstance(layer, EncoderLayer)
            yield Site("encoder", number, index, layer.self_attention, tokens, tokens)
            if index < len(stack.distilling):
                tokens = tokens.distilled()
        memory = memory.followed_by(tokens)
    ahead = TokenSteps.fold(lookback, lookback + horizon, config.patch_length, pad_left=False)
    tokens = inputs.tail(network.num_start_tokens).followed_by(ahead)
    for index, layer in enumerate(network.decoder.layers):
        assert isinstance(layer, DecoderLayer)
        yield Site("decoder self", 0, index, layer.self_attention, tokens, tokens)
        if index == len(network.decoder.layers) - 1:
            tokens = ahead
        yield Site("decoder cross", 0, index, layer.cross_attention, tokens, memory)


def attend(q: Tensor, k: Tensor, rows: Tensor, causal: bool) -> Tensor:
    """Attention of the queries ``rows``, ``(B, H, R)``, to the keys: ``(B, H, R, S)``."""
    chosen = q.gather(2, rows.unsqueeze(3).expand(-1, -1, -1, q.shape[3]))
    scores = chosen @ k.transpose(2, 3) * k.shape[3] ** -0.5
    if causal:
        hidden = rows.unsqueeze(3) < torch.arange(k.shape[2], device=k.device)
        scores = scores.masked_fill(hidden, -torch.inf)
    weights: Tensor = scores.softmax(3)
    return weights


def measure(attention: FullAttention, q: Tensor, k: Tensor) -> Tensor:
    """Sparsity measurement ``(B, H, L)``, as ProbSparse attention takes it at prediction."""
    if not isinstance(attention, ProbSparseAttention) or attention.sparsity == "moment":
        return moment_measurement(q, k)
    num_keys = k.shape[2]
    num_sampled = num_selected(num_keys, attention.sampling_factor)
    return sampled_measurement(
        q, k, sample_positions(num_keys, num_sampled, random=False, device=k.device)
    )


class Selection(NamedTuple):
    """The measurement ``(B, H, L)``, and the queries ``(B, H, A)`` that it puts first."""

    sparsity: Tensor
    rows: Tensor

    @classmethod
    def of(cls, attention: FullAttention, q: Tensor, k: Tensor, sampling_factor: int) -> Selection:
        """Rank the queries, and take as many as ProbSparse attention keeps."""
        sparsity = measure(attention, q, k)
        rows = sparsity.topk(num_selected(q.shape[2], sampling_factor), dim=2).indices
        return cls(sparsity, rows.sort(2).values)


def make_map(
    site: Site,
    recorder: Recorder,
    selection: Selection,
    times: pd.Index[Any],
    channels: tuple[str, ...],
    *,
    all_rows: bool,
) -> AttentionMap:
    """Describe the attention at ``site`` by what ``recorder`` has seen.

    Parameters
    ----------
    times : pandas.Index
        Time stamps of look-back and horizon, ``L + H``.
    all_rows : bool
        Whether the rows of all queries are kept, those of lazy ones uniform.
    """
    assert recorder.seen is not None
    q, k = recorder.seen
    causal, lazy = recorder.attention.causal, isinstance(recorder.attention, ProbSparseAttention)
    active = torch.zeros_like(selection.sparsity, dtype=torch.bool)
    active = active.scatter(2, selection.rows, True) if lazy else ~active
    rows = selection.rows
    if all_rows:
        rows = torch.arange(q.shape[2], device=q.device).expand(*q.shape[:3])
    weights = attend(q, k, rows, causal)
    if all_rows and lazy:
        uniform = attend(torch.zeros_like(q), k, rows, causal)
        weights = torch.where(active.unsqueeze(3), weights, uniform)
    return AttentionMap(
        kind=site.kind,
        stack=site.stack,
        layer=site.layer,
        channels=channels,
        queries=site.queries.at(times),
        keys=site.keys.at(times),
        sparsity=selection.sparsity.double().cpu().numpy(),
        active=active.cpu().numpy(),
        rows=rows.cpu().numpy(),
        weights=weights.double().cpu().numpy(),
    )
