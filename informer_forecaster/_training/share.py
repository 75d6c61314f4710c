"""The share of a network in a forecast: of the map that it learns anew, or of a mean with it."""

from __future__ import annotations

# Validation error on PBS, where the network learns this share of the map anew: .105 by a share of
# zero, .100 by a quarter, .094 by half.
USUAL = 0.5
# A training of fewer steps, as the 30 on 144 months, does not learn as much.
STEPS_TO_LEARN = 500
# Shares in a mean that are compared after the training; by the first the start forecasts alone.
SHARES = tuple(step / 16 for step in range(17))


def trusted_share(choice: float, num_apart: float) -> float:
    """What to trust of the share that forecasts best windows of which so many are apart.

    A network that wins on ``n`` of them may lose on the next: ``(n - 1) / (n + 1)``, nothing of
    one. Measured on 138 weeks, where 1.6 are apart.

    Examples
    --------
    >>> from informer_forecaster._training.share import trusted_share
    >>> trusted_share(0.5, 1), trusted_share(0.5, 3), trusted_share(0.5, 99)
    (0.0, 0.25, 0.49)
    """
    return choice * (num_apart - 1) / (num_apart + 1)


def usual_share(num_steps: float) -> float:
    """Share of a network that will be trained for so many steps of the optimizer.

    Examples
    --------
    >>> from informer_forecaster._training.share import usual_share
    >>> usual_share(50), usual_share(3000)
    (0.05, 0.5)
    """
    return USUAL * min(1.0, num_steps / STEPS_TO_LEARN)
