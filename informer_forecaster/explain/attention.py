"""Private: finds the attentions of a network, and describes what they did in one forecast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from informer_forecaster._network import Informer
from informer_forecaster._network.attention import FullAttention
from informer_forecaster._network.decoder import DecoderLayer
from informer_forecaster._network.encoder import EncoderLayer, EncoderStack
from informer_forecaster._network.layers import MultiHeadAttention
from informer_forecaster._network.sparsity import num_selected

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


def sites(network: Informer) -> Iterator[Site]:
    """Walk through the attentions of a network in the order in which they run."""
    config = network.config
    lookback, horizon = config.input_chunk_length, config.output_chunk_length
    inputs = TokenSteps.fold(0, lookback, config.num_patch_steps, pad_left=True)
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
    ahead = TokenSteps.fold(lookback, lookback + horizon, config.num_patch_steps, pad_left=False)
    tokens = inputs.tail(network.num_start_tokens).followed_by(ahead)
    for index, layer in enumerate(network.decoder.layers):
        assert isinstance(layer, DecoderLayer)
        yield Site("decoder self", 0, index, layer.self_attention, tokens, tokens)
        if index == len(network.decoder.layers) - 1:
            tokens = ahead
        yield Site("decoder cross", 0, index, layer.cross_attention, tokens, memory)


class Sight(NamedTuple):
    """An attention, and the queries ``(E, H, L, D)`` and keys ``(E, H, S, D)`` that it was given.

    ``active`` holds the positions of the queries that attended, ``(E, H, A)``; none if all did.
    """

    site: Site
    attention: FullAttention
    q: Tensor
    k: Tensor
    active: Tensor | None

    def describe(
        self,
        times: pd.Index[Any],
        channels: tuple[str, ...],
        sampling_factor: int,
        *,
        all_rows: bool,
    ) -> AttentionMap:
        """Describe what the attention did, at the time stamps ``times``, ``L + H``.

        Where all queries attended, as many are kept as ProbSparse attention would let attend.
        """
        sparsity = self.attention.sparsity_measurement(self.q, self.k)
        active = torch.ones_like(sparsity, dtype=torch.bool)
        if self.active is None:
            rows = sparsity.topk(num_selected(sparsity.shape[2], sampling_factor), dim=2).indices
        else:
            rows, active = self.active, torch.zeros_like(active).scatter(2, self.active, True)
        rows = rows.sort(2).values
        if all_rows:
            rows = torch.arange(self.q.shape[2]).expand_as(sparsity)
        return AttentionMap(
            kind=self.site.kind,
            stack=self.site.stack,
            layer=self.site.layer,
            channels=channels,
            queries=self.site.queries.at(times),
            keys=self.site.keys.at(times),
            sparsity=sparsity.double().numpy(),
            active=active.numpy(),
            rows=rows.numpy(),
            weights=self.attention.weights(self.q, self.k, rows).double().numpy(),
        )
