"""Steps after which a covariate acts, where its values nearby do not tell."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from informer_forecaster._network.curves import shift

from .candidates import choose_columns, explained, sum_up
from .effects_start import EffectsStart
from .linear_forecast import LinearForecast

# Steps that are tried: from a week of days before a value is reached to a week of hours after it.
MOST_LEADS = 7
MOST_DELAYS = 192
# Share of what is left that other steps than the usual ones have to explain.
LEAST_GAIN = 0.05


def find_shifts(start: EffectsStart, given: LinearForecast | None) -> Tensor | None:
    """Find steps ``(S, U)`` at which covariates explain more than at the usual ones.

    Of what the effects as they are and the map ``given`` leave; ``None`` where there are none.
    """
    effects, shifts = start.effects, start.effects.shifts.clone()
    steps = start.windows.first.inputs.target.shape[1]
    tried = torch.arange(-MOST_LEADS, min(steps, MOST_DELAYS) + 1, device=shifts.device)

    def moved(future: Tensor) -> Iterator[Tensor]:
        values = effects.gap.fill(future[..., : effects.num_columns])
        for value in values.split(1, dim=2):
            yield effects.gap.cut(shift(value, tried.unsqueeze(1)))

    now = int((tried == 0).nonzero())
    is_found = False
    for column, sums in enumerate(sum_up(start, given, moved, (effects.num_columns, len(tried)))):
        inner, cross, left = sums[:-1, :-1], sums[:-1, -1], float(sums[-1, -1])
        usual = [now, *torch.searchsorted(tried, shifts[:, column].clamp(max=tried[-1])).tolist()]
        chosen = choose_columns(inner, cross, [now], len(usual))
        usually = explained(inner, cross, usual)
        if explained(inner, cross, chosen) - usually > LEAST_GAIN * (left - usually):
            shifts[:, column] = tried[chosen[1:]]
            is_found = True
    return shifts if is_found else None
