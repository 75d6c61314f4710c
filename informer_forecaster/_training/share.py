"""The share of a network in the mean with its start, by what windows that validate show."""

from __future__ import annotations

# While nothing has been validated: the mean of both.
USUAL = 0.5
# A training of fewer steps, as the 30 on 144 months, does not learn as much.
STEPS_TO_LEARN = 500
# Those that are compared once the network has been trained; by the first the start forecasts alone.
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
