"""The share of a network in a forecast: of the map that it learns anew, or of a mean with it."""

from __future__ import annotations

# Validation error on PBS, where the network learns this share of the map anew: .105 by a share of
# zero, .100 by a quarter, .094 by half.
USUAL = 0.5
# A training of fewer steps, as the 30 on 144 months, does not learn as much.
STEPS_TO_LEARN = 500
# Shares in a mean that are compared after the training; by the first the start forecasts alone.
SHARES = tuple(step / 16 for step in range(17))


def usual_share(num_steps: float) -> float:
    """Share of a network that will be trained for so many steps of the optimizer.

    Examples
    --------
    >>> from informer_forecaster._training.share import usual_share
    >>> usual_share(50), usual_share(3000)
    (0.05, 0.5)
    """
    return USUAL * min(1.0, num_steps / STEPS_TO_LEARN)
