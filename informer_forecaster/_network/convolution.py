"""A convolution over three neighbouring tokens, as one matrix product."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolve(x: Tensor, convolution: nn.Conv1d) -> Tensor:
    """Convolve tokens ``(B, N, C)`` to ``(B, N, M)`` by a convolution of three taps.

    Torch convolves ``(B, C, N)``, and rearranges tokens to and fro: for a few narrow tokens that
    takes longer than their products. Both ends are padded as ``convolution`` says, by their own
    token or by the other end's.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.convolution import convolve
    >>> layer = torch.nn.Conv1d(4, 8, kernel_size=3, padding=1, padding_mode="replicate")
    >>> x = torch.randn(2, 16, 4)
    >>> torch.allclose(convolve(x, layer), layer(x.transpose(1, 2)).transpose(1, 2), atol=1e-5)
    True
    """
    first, last = x[:, :1], x[:, -1:]
    if convolution.padding_mode == "circular":
        first, last = last, first
    padded = torch.cat([first, x, last], dim=1)
    neighbours = torch.cat([padded[:, :-2], x, padded[:, 2:]], dim=2)  # (B, N, 3*C)
    weight = convolution.weight.transpose(1, 2).flatten(1)  # (M, 3*C)
    return F.linear(neighbours, weight, convolution.bias)
