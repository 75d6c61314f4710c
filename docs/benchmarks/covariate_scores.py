"""The errors of forecasts: squared, absolute, on the steps of an event, and of quantiles."""

from __future__ import annotations

import numpy as np
from contenders import QUANTILES
from task import Array, Task

MEDIAN = QUANTILES.index(0.5)
CENTRAL = {"cover80": (0.1, 0.9), "cover90": (0.05, 0.95)}


def score(task: Task, part: str, forecasts: Array) -> dict[str, float]:
    """Average errors over all windows, steps and components of a part.

    Parameters
    ----------
    task : Task
        Whose windows they are.
    part : {"validation", "test"}
        Which.
    forecasts : array
        Windows, steps, components and, with quantiles, ``QUANTILES``.

    Returns
    -------
    dict of str to float
        ``mse``, ``mae``; ``mae_event`` and ``mae_other`` where the task has an event and the part
        holds both kinds of steps; ``pinball``, ``cover80`` and ``cover90`` with quantiles.

    Raises
    ------
    ValueError
        If a forecast is missing or not finite.
    """
    truth = task.truth(part)
    has_quantiles = forecasts.ndim == 4
    if forecasts.shape[:3] != truth.shape or not np.isfinite(forecasts).all():
        raise ValueError(f"{part}: forecasts {forecasts.shape} of {truth.shape}, or not finite.")
    errors = (forecasts[..., MEDIAN] if has_quantiles else forecasts) - truth
    scores = {"mse": float(np.square(errors).mean()), "mae": float(np.abs(errors).mean())}
    event = task.is_event(part)
    if event is not None and event.any() and not event.all():
        scores["mae_event"] = float(np.abs(errors)[event].mean())
        scores["mae_other"] = float(np.abs(errors)[~event].mean())
    return {**scores, **_of_quantiles(truth, forecasts)} if has_quantiles else scores


def _of_quantiles(truth: Array, forecasts: Array) -> dict[str, float]:
    levels = np.asarray(QUANTILES)
    excess = truth[..., None] - forecasts
    scores = {"pinball": float(np.maximum(levels * excess, (levels - 1) * excess).mean())}
    for name, (low, high) in CENTRAL.items():
        below = forecasts[..., QUANTILES.index(low)] <= truth
        above = truth <= forecasts[..., QUANTILES.index(high)]
        scores[name] = float((below & above).mean())
    return scores
