"""Weights that the code of the original paper trained, in our network."""

from __future__ import annotations

import os
from typing import Literal

import torch
from torch import Tensor, nn

from .config import InformerConfig
from .decoder import DecoderLayer
from .embedding import TokenEmbedding
from .informer import Informer
from .original_checkpoint import OriginalCheckpoint

_POSITION = "embedding.position_embedding.pe"


def load_original_weights(
    path: str | os.PathLike[str],
    *,
    input_chunk_length: int,
    output_chunk_length: int,
    start_token_length: int,
    nhead: int,
    mix: bool = True,
    attention: Literal["full", "prob"] = "full",
    activation: Literal["gelu", "relu"] = "gelu",
) -> Informer:
    """Load a state dict of the Informer2020 repository, its ``Informer`` or ``InformerStack``.

    With the arguments of the training and full attention the network gives what the original does,
    for weights trained with the ``timeF`` embedding. What the shapes of the weights tell (widths,
    layers, stacks, distilling) is read from them. The target components come first here: where the
    original forecasts fewer columns than it reads, its last ``c_out`` columns are ``past_target``
    and those before are ``past_covariates``. The time stamps are ``future_covariates``, in the
    original's order, which is that of our time features.

    Parameters
    ----------
    path : str or os.PathLike
        The ``checkpoint.pth``; read with ``weights_only``, so it can run no code.
    input_chunk_length, output_chunk_length, start_token_length : int
        The original's ``seq_len``, ``pred_len`` and ``label_len``.
    nhead : int
        The original's ``n_heads``.
    mix : bool
        The original's option of this name, on unless it was trained with ``--mix``: heads and time
        of the decoder's self-attention change places before its output projection.
    attention : {"full", "prob"}
        The original's ``attn``. Its ``prob`` draws random keys at each call and sums the values of
        the decoder's lazy rows where ours takes their mean, so that weights trained with it need
        fine-tuning.
    activation : {"gelu", "relu"}
        The original's option of this name.

    Returns
    -------
    Informer
        In evaluation mode.

    Raises
    ------
    ValueError
        If the file is no such state dict, or its weights and the arguments do not fit.

    Notes
    -----
    With `mix` the state dict of the network fits such a network only: save it whole, or load the
    original's weights first and those fine-tuned on top.

    The revisions whose distilling pads by two on each side under torch 1.5 and later (one token
    more) have weights of the same names; this network pads by one, as the last revision does.

    Examples
    --------
    .. code-block:: python

        network = load_original_weights(
            "checkpoint.pth",
            input_chunk_length=96,
            output_chunk_length=24,
            start_token_length=48,
            nhead=8,
        )
        forecast = network(past_target, future_covariates=time_stamps)
    """
    if not isinstance(mix, bool):
        raise ValueError(f"`mix` must be True or False; got {mix!r}.")
    checkpoint = OriginalCheckpoint(path)
    config = InformerConfig.paper(
        input_chunk_length=input_chunk_length,
        output_chunk_length=output_chunk_length,
        start_token_length=start_token_length,
        nhead=nhead,
        attention=attention,
        activation=activation,
        **checkpoint.sizes(),
    )
    network = Informer(config)
    weights = checkpoint.translate(config)
    _check_positions(network.encoder_embedding, checkpoint.take(f"enc_{_POSITION}"))
    _check_positions(network.decoder_embedding, checkpoint.take(f"dec_{_POSITION}"))
    checkpoint.check_empty()
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit together: {error}") from error
    if mix:
        for layer in network.decoder.layers:
            assert isinstance(layer, DecoderLayer)  # a list of modules has no type of its own
            attention_module = layer.self_attention.attention
            attention_module.register_forward_hook(_mix_heads)
            # In the state dict, which a network without the hook then refuses.
            attention_module.register_buffer("mixes_heads", torch.tensor(True))
    return network.eval()


def _check_positions(embedding: TokenEmbedding, code: Tensor) -> None:
    """Raise unless the original's position code ``(1, 5000, M)`` is the one that is computed."""
    num_tokens = len(embedding.position)
    if code.shape[1] < num_tokens:
        raise ValueError(
            f"the original has a position code for {code.shape[1]} steps; got lengths that need "
            f"{num_tokens}. Give the lengths of its training."
        )
    given, ours = code[0, :num_tokens], embedding.position
    # The original rounds the angles to 32 bits, which moves its sines by up to 4e-4.
    if given.shape != ours.shape or not torch.allclose(given, ours, rtol=0, atol=1e-3):
        raise ValueError(
            "the position code of the original must be its sines and cosines, which are not "
            "trained; got others. The file is damaged, or not of the original code."
        )


def _mix_heads(_module: nn.Module, _inputs: object, heads: Tensor) -> Tensor:
    """Read ``(B, H, L, D)`` in its order in memory as if it were ``(B, L, H, D)``."""
    num_heads, num_queries = heads.shape[1:3]
    return heads.flatten(1, 2).unflatten(1, (num_queries, num_heads)).transpose(1, 2)
