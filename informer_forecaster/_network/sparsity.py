"""How far a query's attention is from uniform: equations 2 to 4 of the paper, estimated."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .products import multiply_heads, widen_for_products

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def num_selected(length: int, sampling_factor: int) -> int:
    """Queries or keys kept out of ``length``: ``c * ceil(ln(length))``, within 1..length."""
    return max(1, min(length, sampling_factor * math.ceil(math.log(length))))


def sample_positions(
    length: int, num_sampled: int, *, random: bool, device: torch.device | str = "cpu"
) -> Tensor:
    """Positions ``(num_sampled,)``, one from each of as many equal parts of ``0..length-1``.

    Parameters
    ----------
    length, num_sampled : int
        Keys there are and keys to draw; at most ``length``.
    random : bool
        Whether they are drawn from torch's generator; otherwise they are fixed for each length.
    device : torch.device or str
        Where the positions are made.

    Examples
    --------
    >>> from informer_forecaster._network.sparsity import sample_positions
    >>> sample_positions(24, 4, random=False)
    tensor([ 3,  7, 17, 20])
    """
    steps = torch.arange(num_sampled + 1, device=device)
    bounds = steps * length // num_sampled
    # NOTE[DIFF] outside training the sample is fixed for each length. Steps by the golden ratio
    # spread the positions over every phase of a season, which even spacing would not.
    # NOTE[DIFF] in training one key is drawn from each of equal parts; the paper draws all freely.
    if random:
        fraction = torch.rand(num_sampled, device=device)
    else:
        fraction = (steps[1:] * GOLDEN_RATIO).frac()
    widths = bounds.diff()
    # The product may round up to the width, one past the part.
    return bounds[:-1] + torch.minimum((fraction * widths).long(), widths - 1)


def sampled_measurement(q: Tensor, k: Tensor, positions: Tensor) -> Tensor:
    """Max minus mean of the scaled scores over the sampled keys, ``(B, H, L)``; equation 4.

    Parameters
    ----------
    q, k : torch.Tensor
        Queries ``(B, H, L, D)`` and keys ``(B, H, S, D)``.
    positions : torch.Tensor
        The sampled keys, ``(U,)``.
    """
    # NOTE[DIFF] one key sample is shared by all queries; the paper draws one for each query.
    # It ranks as well, and turns a gather of B*H*L*U*D numbers into one matrix product.
    sampled = widen_for_products(k.index_select(2, positions)) * k.shape[3] ** -0.5  # (B, H, U, D)
    # Keys first: a maximum over neighbours in memory is many times slower than over rows.
    scores = multiply_heads(sampled, widen_for_products(q).transpose(2, 3))  # (B, H, U, L)
    # NOTE[DIFF] the mean runs over the sampled keys, where the original code divides their sum
    # by the number of all keys, which shrinks the term to a fraction.
    return scores.amax(2) - scores.mean(2)


def moment_measurement(q: Tensor, k: Tensor) -> Tensor:
    """Half the variance of a query's scaled scores over all keys, ``(B, H, L)``.

    For keys of mean ``mu`` and covariance ``C``, the log-sum-exp of equation 2 is ``q mu`` plus
    ``q C q / 2`` to second order, and exactly so for Gaussian keys; what is left of the sparsity
    measurement is ``q C q / (2 D)``. Nothing is sampled. Cost: O(L D^2).

    Parameters
    ----------
    q, k : torch.Tensor
        Queries ``(B, H, L, D)`` and keys ``(B, H, S, D)``.
    """
    # NOTE[DIFF] the paper bounds the measurement by a maximum and samples keys to estimate it.
    q, k = widen_for_products(q), widen_for_products(k)
    centred = k - k.mean(2, keepdim=True)
    covariance = multiply_heads(centred.transpose(2, 3), centred)  # (B, H, D, D)
    covariance /= 2 * k.shape[2] * k.shape[3]
    return multiply_heads(q, covariance).mul_(q).sum(3)
