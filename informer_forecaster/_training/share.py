"""The share of a network in a forecast: of the map that it learns anew, or of a mean with it."""

from __future__ import annotations

from torch import Tensor

from .gains import average_stretches, earned_share
from .linear_forecast import Reduce

# Validation error on PBS, where the network learns this share of the map anew: .105 by a share of
# zero, .100 by a quarter, .094 by half.
USUAL = 0.5
# A training of fewer steps, as the 30 on 144 months, does not learn as much.
STEPS_TO_LEARN = 500
# Shares in a mean that are compared after the training; by the first the start forecasts alone.
SHARES = tuple(step / 16 for step in range(17))
# Of the start's error, below which what is left lends the network more trust.
LITTLE = 0.1


def agreed_share(
    losses: Tensor, num_apart: float, reduce: Reduce, *, are_errors: bool = True
) -> float:
    """Give the share that forecasts best, as far as stretches of the windows agree on it.

    Each stretch has a share that is best for it. How these differ tells the error of the common
    one; how much each gains does not, as that differs even where all agree. And a network that
    wins on ``n`` windows may lose on the next, so ``(n - 1) / (n + 1)`` of it is trusted, nothing
    of one: measured on 138 weeks, where 1.6 are apart. The doubt is smaller where next to nothing
    of the start's error is left: a tenth of a chaotic series' start would be all of the error.

    Parameters
    ----------
    losses : torch.Tensor
        Of parts of the windows by each of the shares ``(P, 17)``.
    num_apart : float
        Windows that have no steps in common.
    reduce : callable
        Adds up what several processes saw.
    are_errors : bool
        Whether a loss of 0 is that of a perfect forecast; it is not, of log-likelihoods.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._training.share import SHARES, agreed_share
    >>> losses = 1.0 + (torch.tensor(SHARES) - 0.5).square().expand(5, 17)
    >>> [agreed_share(losses, n, lambda sums: sums) for n in (1, 3, 99)]
    [0.0, 0.25, 0.49]
    """
    shares, total = losses.new_tensor(SHARES), reduce(losses.sum(0))
    best = float(shares[total.argmin()])
    best_of_each = shares[reduce(average_stretches(losses)).argmin(dim=1)]
    left = float(total.min() / total[0]) if are_errors and total.min() > 0 else 1.0
    doubt = min(1.0, left / LITTLE)
    trust = (num_apart - 1) / (num_apart - 1 + 2 * doubt)
    return best * earned_share(best_of_each, num_apart) * trust


def usual_share(num_steps: float) -> float:
    """Share of a network that will be trained for so many steps of the optimizer.

    Examples
    --------
    >>> from informer_forecaster._training.share import usual_share
    >>> usual_share(50), usual_share(3000)
    (0.05, 0.5)
    """
    return USUAL * min(1.0, num_steps / STEPS_TO_LEARN)
