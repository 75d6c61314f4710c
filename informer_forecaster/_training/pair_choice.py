"""Which pairs of covariates act together, where they are too many for all."""

from __future__ import annotations

import torch
from torch import Tensor

from informer_forecaster._network.effects import MOST_PAIRS

from .candidates import choose_columns, sum_up
from .effects_start import EffectsStart
from .linear_forecast import LinearForecast

# Covariates whose pairs are compared: 276 of them.
MOST_COMPARED = 24


def choose_pairs(start: EffectsStart, given: LinearForecast | None) -> None:
    """Set the pairs whose products explain most of what effects and the map ``given`` leave.

    Of the first 24 covariates, if there are more.
    """
    pairs = start.effects.pairs
    first = torch.arange(min(start.effects.num_columns, MOST_COMPARED), device=pairs.device)
    every = torch.combinations(first)
    if len(every) <= MOST_PAIRS:
        return

    def together(future: Tensor) -> list[Tensor]:
        one, other = (future.index_select(2, each) for each in every.unbind(1))
        return [one * other]

    (sums,) = sum_up(start, given, together, (1, len(every)))
    chosen = choose_columns(sums[:-1, :-1], sums[:-1, -1], [], MOST_PAIRS)
    pairs.copy_(every[sorted(chosen)])
