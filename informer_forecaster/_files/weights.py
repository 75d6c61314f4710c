"""Weights of a file: whether they fit a network, before they take memory."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import torch

from .directory import Tensors

# Bytes: what a network may need beyond its file, as its position code grows with the look-back.
ROOM = 2**30


def check_layers(arguments: Mapping[str, int], weights: Tensors) -> None:
    """Raise before a loop makes more layers than there are weights."""
    for name in ("num_encoder_layers", "num_decoder_layers", "num_encoder_stacks"):
        if arguments[name] > len(weights):
            raise ValueError(
                f"`{name}` must fit the weights; got {arguments[name]}, and {len(weights)} of them."
            )


def check_weights(network: torch.nn.Module, weights: Tensors) -> None:
    """Raise unless ``weights`` are those of ``network``, which takes no memory yet."""
    own = network.state_dict()
    # Loading makes room for as many linear maps as there are, and would cut them to other lengths.
    with contextlib.suppress(RuntimeError):
        empty = {k: v.to("meta", own[k].dtype if k in own else None) for k, v in weights.items()}
        network.load_state_dict(empty, assign=True)
    expected = network.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        wanted, got = (_shape(ones.get(name)) for ones in (expected, weights))
        if wanted != got:
            raise ValueError(f"weight {name!r} must be {wanted}; the file has {got}.")
        if not weights[name].isfinite().all():
            raise ValueError(f"weight {name!r} must be finite; the file has other numbers.")
    if sum(buffer.nbytes for buffer in network.buffers()) > ROOM:
        raise ValueError("the lengths must fit into memory; the position code is too large.")


def _shape(tensor: torch.Tensor | None) -> str:
    return "absent" if tensor is None else f"{tensor.dtype} of the shape {tuple(tensor.shape)}"
