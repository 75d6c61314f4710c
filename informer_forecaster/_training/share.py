"""The share of a network in the mean with its start."""

from __future__ import annotations

import math

from torch import Tensor

from .gains import average_stretches, earned_share
from .linear_forecast import Reduce

# Where nothing validates. On PBS the start alone validates at .109, the network at .094, and the
# plain mean of both at .093.
USUAL = 0.5
# A training of fewer steps, as the 30 on 144 months, does not learn as much.
STEPS_TO_LEARN = 500
# Shares in a mean that are compared after the training; by the first the start forecasts alone.
SHARES = tuple(step / 16 for step in range(17))
# Of the start's error: less than this is left by next to no network.
LITTLE = 0.1


def agreed_share(losses: Tensor, num_apart: float, reduce: Reduce, degree: int = 2) -> float:
    """Give the share that forecasts best, as far as the windows that validate can tell.

    Each stretch of the windows has a share that is best for it. How these differ tells the error of
    the common one; how much each gains does not, as that differs even where all agree. What is left
    after that is trusted as :func:`trust` says.

    Parameters
    ----------
    losses : torch.Tensor
        Of parts of the windows by each of the shares ``(P, 17)``.
    num_apart : float
        Windows that have no steps in common.
    reduce : callable
        Adds up what several processes saw.
    degree : int
        Power of an error that the loss grows with, 0 for a log-likelihood.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._training.share import SHARES, agreed_share
    >>> losses = 0.25 + (torch.tensor(SHARES) - 0.5).square().expand(5, 17)
    >>> [agreed_share(losses, n, lambda sums: sums) for n in (1, 3, 99)]
    [0.0, 0.25, 0.49]
    """
    shares, total = losses.new_tensor(SHARES), reduce(losses.sum(0))
    total = total / reduce(total.new_tensor(len(losses)))
    best = float(shares[total.argmin()])
    best_of_each = shares[reduce(average_stretches(losses)).argmin(dim=1)]
    left = error_left(float(total.min()), float(total[0]), degree)
    return best * earned_share(best_of_each, num_apart) * trust(left, num_apart)


def error_left(best: float, start: float, degree: int) -> float:
    """Share of the start's squared error that the loss of the best mean leaves.

    Examples
    --------
    >>> from informer_forecaster._training.share import error_left
    >>> [round(error_left(0.9, 1.0, degree), 2) for degree in (2, 1, 0)]
    [0.9, 0.81, 0.82]
    """
    if degree == 0:
        return math.exp(2 * (best - start))
    # A loss of the user's that falls below zero tells no share.
    return (best / start) ** (2 / degree) if best > 0 else 0.5


def trust(left: float, num_apart: float) -> float:
    """Tell how much of a network is trusted that won on as many windows.

    What wins on ``n`` windows may lose on the next: ``(n - 1) / (n - 1 + d)`` of it is trusted,
    nothing of one. The doubt ``d`` is 2, and smaller where less than a tenth of the error is left:
    a tenth of the start would be nearly all of it then. Where little is gained, it is larger. As
    the coefficient of a regression with a residual for each window, the best share has a variance
    of ``left / (1 - left) / (n - 1)``, relative to its square.

    Parameters
    ----------
    left : float
        Of the start's squared error, by the best share.
    num_apart : float
        Windows that have no steps in common.

    Examples
    --------
    >>> from informer_forecaster._training.share import trust
    >>> [round(trust(left, 9), 2) for left in (0.01, 0.5, 0.8, 0.95, 1.0)]
    [0.98, 0.8, 0.67, 0.3, 0.0]
    """
    if num_apart <= 1 or not left < 1:  # nor a number
        return 0.0
    doubt = max(2 * min(1.0, left / LITTLE), left / (1 - left))
    return (num_apart - 1) / (num_apart - 1 + doubt)


def usual_share(num_steps: float) -> float:
    """Share of a network that will be trained for so many steps of the optimizer.

    Examples
    --------
    >>> from informer_forecaster._training.share import usual_share
    >>> usual_share(50), usual_share(3000)
    (0.05, 0.5)
    """
    return USUAL * min(1.0, num_steps / STEPS_TO_LEARN)
