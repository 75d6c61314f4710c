"""What training begins at: effects of covariates, other components and the map, in turns."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from informer_forecaster._network.component_lags import ComponentLags
from informer_forecaster._network.effects import CovariateEffects

from .effects_start import FEWEST_WINDOWS, EffectsStart
from .linear_forecast import LinearForecast, Reduce
from .linear_start import fit_linear_map, fits_memory
from .pair_choice import choose_pairs
from .shift_choice import find_shifts
from .windows import Sample, TrainingWindows

# Bounds of the cost, whatever the length of the series.
MOST_WINDOWS = 2048
MOST_NUMBERS = 2**25
ROUNDS = 2
# Share of the loss that the calendar has to gain by itself: it has seen the folds that judge it,
# and the look-back tells what changes. Of twenty series, gains of up to 13 % were losses in
# validation as often as not, and those of 18 % and more were gains of a tenth to nine tenths.
LEAST_GAIN = 0.15


class Attempt(NamedTuple):
    """Effects that were fitted, and the map and the loss to expect with them."""

    loss: float
    unit: Tensor
    weight: Tensor
    shifts: Tensor
    found: LinearForecast | None

    def put_into(self, effects: CovariateEffects) -> None:
        """Set the effects."""
        with torch.no_grad():
            effects.unit.copy_(self.unit)
            effects.shifts.copy_(self.shifts)
            effects.weight.copy_(self.weight)


def fit_start(
    windows: TrainingWindows,
    norm: Any,
    effects: CovariateEffects | None,
    components: ComponentLags | None,
    reduce: Reduce,
    *,
    rescale: bool = True,
) -> LinearForecast | None:
    """Fit effects of covariates and the map from the look-back in turns; arguments as for both.

    An effect is as large in every window, or grows with the deviation of its window; it acts at its
    own step, or at others too, around it or far away. What is expected to forecast better is taken.
    The other components of the target are read where some windows say that it helps.

    A start may be fitted anew, for a network that goes on: without ``rescale`` it reads as before.
    """
    if effects is None and components is None:
        return fit_linear_map(windows, norm, None, reduce)
    if components is not None:
        components.match_components(1)
    sample = windows.sample(_num_windows(windows))
    if effects is not None:
        _choose_effects(EffectsStart(sample, effects, reduce, rescale=rescale), sample, norm)
    if components is not None and not fits_memory(sample, effects, components):
        components = None
    if components is not None:
        some = fit_linear_map(sample, norm, effects, reduce, components)
        components = None if some is None or some.others is None else components
    found = fit_linear_map(windows, norm, effects, reduce, components)
    if found is not None and effects is not None:
        effects.past.set_weights(found.lags)
    if found is not None and components is not None and found.others is not None:
        components.set_map(found.others)
    return found


def _choose_effects(start: EffectsStart, sample: Sample, norm: Any) -> None:
    effects = start.effects
    units = effects.unit.clone(), torch.zeros_like(effects.unit)

    def attempt(unit: Tensor, rounds: int = ROUNDS) -> Attempt:
        return _attempt(start, unit, sample, norm, rounds)

    # The unit matters to past covariates alone, where nothing else has an effect.
    plain = units if sample.first.inputs.past is not None else units[:1]
    attempts = [attempt(unit, rounds=0) for unit in plain]
    if effects.num_columns:
        start.choose_columns(wide=False)
        attempts += map(attempt, units)
        by_themselves = _best(attempts)
        by_themselves.put_into(effects)
        choose_pairs(start, by_themselves.found)
        start.choose_columns(wide=True)
        attempts += map(attempt, units)
        unit = _best(attempts).unit
        by_themselves.put_into(effects)
        shifts = find_shifts(start, by_themselves.found)
        if shifts is not None:
            effects.shifts.copy_(shifts)
            attempts.append(attempt(unit))
    elif len(effects.stretch):
        start.choose_columns(wide=False)
        by_calendar = [attempt(unit) for unit in units] if len(start.columns.functions) else []
        least = (1 - LEAST_GAIN) * _best(attempts).loss
        attempts += [each for each in by_calendar if each.loss < least]
    _best(attempts).put_into(effects)


def _best(attempts: list[Attempt]) -> Attempt:
    return min(attempts, key=lambda attempt: attempt.loss)


def _attempt(start: EffectsStart, unit: Tensor, sample: Sample, norm: Any, rounds: int) -> Attempt:
    """Fit the effects in a unit and the map in turns; after no round there are no effects.

    What is left of a step by the map is no longer like what is left of its neighbours.
    """
    effects, reduce = start.effects, start.reduce
    with torch.no_grad():
        effects.unit.copy_(unit)
        effects.weight.zero_()
    found = fit_linear_map(sample, norm, effects, reduce) if not rounds else None
    for _ in range(rounds):
        start.fit(found)
        found = fit_linear_map(sample, norm, effects, reduce)
    loss = math.inf if found is None else found.loss
    return Attempt(loss, unit, effects.weight.clone(), effects.shifts.clone(), found)


def _num_windows(windows: TrainingWindows) -> int:
    first = windows.first
    given = [first.future, *(each for each in first.inputs if each is not None)]
    size = sum(each[0].numel() for each in given)
    return max(FEWEST_WINDOWS, min(MOST_WINDOWS, MOST_NUMBERS // size))
