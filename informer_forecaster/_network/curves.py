"""What of a covariate acts: earlier values, averages that fade, lines that bend."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Steps after which half of a lasting effect is left.
HALF_LIVES = (6, 24, 96)
# Quantiles at which lines bend: the outer ones for what only extremes do, as great heat.
KNOTS = (0.02, 0.2, 0.4, 0.6, 0.8, 0.98)
NUM_KNOTS = len(KNOTS)
# Steps that are averaged in one product.
BLOCK_LENGTH = 32


def bend(values: Tensor, knots: Tensor) -> Tensor:
    """Rise from each knot ``(U, K)`` on, zero before it: values ``(B, T, U)`` to ``(B, T, U, K)``.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.curves import bend
    >>> bend(torch.tensor([[[-1.0], [3.0]]]), torch.tensor([[0.0, 2.0]])).flatten().tolist()
    [0.0, 0.0, 3.0, 1.0]
    """
    return (values.unsqueeze(3) - knots).relu()


def shift(values: Tensor, shifts: Tensor) -> Tensor:
    """Values ``(B, T, U)`` of other steps, as ``shifts`` says ``(S, U)`` before: ``(B, T, S*U)``.

    Beyond either end its value is taken to stand for ever.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.curves import shift
    >>> shift(torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[-1], [1], [2]]))[0].tolist()
    [[2.0, 1.0, 1.0], [3.0, 1.0, 1.0], [3.0, 2.0, 1.0]]
    """
    steps = torch.arange(values.shape[1], device=values.device).view(-1, 1, 1)
    at = (steps - shifts).clamp(0, values.shape[1] - 1)  # (T, S, U)
    places = at * values.shape[2] + torch.arange(values.shape[2], device=values.device)
    # Of the flat values: eight times as fast as an index of steps and one of columns.
    return values.flatten(1).index_select(1, places.flatten()).unflatten(1, (len(at), -1))


def average_before(values: Tensor, half_lives: Tensor, num_last: int | None = None) -> Tensor:
    """Average the values ``(B, T, U)`` up to each step, the older the less: ``(B, T, A*U)``.

    For each of ``A`` half-lives, and of ``num_last`` steps alone where that is given. Before the
    first step its value is taken to have stood for ever.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.curves import average_before
    >>> average_before(torch.tensor([[[0.0], [8.0], [8.0]]]), torch.tensor([1])).flatten().tolist()
    [0.0, 4.0, 6.0]
    """
    # In blocks, so that the cost grows linearly: what the ones before it left, and within each.
    first = values[:, :1]
    num_last = values.shape[1] if num_last is None else num_last
    num_blocks = -(-num_last // BLOCK_LENGTH)
    half_lives = half_lives.to(values.dtype).view(-1, 1, 1)
    changes = F.pad(values - first, (0, 0, -values.shape[1] % BLOCK_LENGTH, 0))
    blocks = changes.unflatten(1, (-1, BLOCK_LENGTH))  # (B, N, 32, U)
    steps = torch.arange(BLOCK_LENGTH, device=values.device, dtype=values.dtype)
    kept = torch.exp2(-(steps.unsqueeze(1) - steps) / half_lives).tril()
    kept = kept * (1 - torch.exp2(-1 / half_lives))
    ended = kept[:, -1] @ blocks  # (B, N, A, U)
    order = torch.arange(blocks.shape[1], device=values.device, dtype=values.dtype)
    ages = (order[-num_blocks:].unsqueeze(1) - order - 1) * BLOCK_LENGTH / half_lives
    faded = torch.exp2(-ages.clamp(min=0)) * (ages >= 0)
    left = torch.einsum("anm,bmau->bnau", faded, ended)
    within = torch.einsum("ats,bnsu->bntau", kept, blocks[:, -num_blocks:])
    fading = torch.exp2(-(steps + 1) / half_lives).permute(2, 0, 1)  # (32, A, 1)
    averages = (within + fading * left.unsqueeze(2)).flatten(1, 2)[:, -num_last:]
    return (averages + first.unsqueeze(2)).flatten(2)
