"""What covariates add to a series, step by step: known before a network looks at the rest."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor, nn

from .config import InformerConfig
from .curves import HALF_LIVES, NUM_KNOTS, average_before, bend, shift
from .gap import Gap
from .inputs import Inputs
from .past_effects import PastEffects
from .products import without_autocast

# Steps after which a covariate acts: the day before a holiday, or an advertisement of last week.
# Regression replaces them by others, as many, where a covariate shows that it acts later.
SHIFTS = (-1, 1, 2, 3, 4, 5, 6, 7)
# Pairs of covariates that act together, as a price and a promotion do: all, or those that explain
# most. Of each, the product of the values, and of the bends of either with the value of the other.
MOST_PAIRS = 8
PAIR_FUNCTIONS = 1 + 2 * NUM_KNOTS
NUM_HARMONICS = 6


class CovariateEffects(nn.Module):
    """Effects of known-future and past covariates on the level of a series, linear in its weights.

    Without a known-future covariate, those of the calendar by itself.

    A known-future covariate acts by its value, by each of the seven values before it and by the
    next one, or by eight others around it, and by averages of the values before it, as weather that
    lasts does; where it takes many values, by lines that bend at quantiles; and all of this by the
    hour, the weekday and the season, as harmonics of the calendar. Two act together by products of
    their values and bends. A past covariate acts by its last steps, see :class:`PastEffects`. An
    effect is in units of the deviation of the training windows, or of the window where it grows
    with that.

    Parameters
    ----------
    config : InformerConfig
        Lengths and numbers of covariates; the last future ones are the calendar's.

    Notes
    -----
    All is zero until regression sets it. A basis column is the product of one of ``I`` functions
    of the covariates and one of ``J`` functions of the calendar; each begins with the constant.
    """

    # NOTE[DIFF] the paper's covariates are inputs of the network alone. Here what they add by
    # themselves is taken off the look-back before the network sees it, and put on the forecast.

    half_lives: Tensor
    center: Tensor
    scale: Tensor
    knots: Tensor
    shifts: Tensor
    pairs: Tensor
    stretch: Tensor
    unit: Tensor

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        self.num_targets, self.horizon = config.num_targets, config.output_chunk_length
        self.gap = Gap(config.output_chunk_shift, self.horizon)
        calendar = config.num_calendar_features
        self.num_columns = config.num_future_covariates - calendar
        curves = self.num_columns * (1 + len(HALF_LIVES))
        self.register_buffer("half_lives", torch.tensor(HALF_LIVES), persistent=False)
        self.register_buffer("center", torch.zeros(self.num_columns))
        self.register_buffer("scale", torch.ones(self.num_columns))
        self.register_buffer("knots", torch.zeros(curves, NUM_KNOTS))
        usual = torch.tensor(SHIFTS).unsqueeze(1)
        self.register_buffer("shifts", usual.repeat(1, self.num_columns))
        pairs = list(combinations(range(self.num_columns), 2))[:MOST_PAIRS]
        self.register_buffer("pairs", torch.tensor(pairs, dtype=torch.long).reshape(-1, 2))
        self.register_buffer("stretch", torch.ones(calendar))
        # Of the training windows; zero for that of each window.
        self.register_buffer("unit", torch.ones(config.num_targets))
        functions = 1 + curves * (1 + NUM_KNOTS) + self.num_columns * len(SHIFTS)
        functions += len(pairs) * PAIR_FUNCTIONS
        waves = 1 + calendar * 2 * NUM_HARMONICS
        shape = config.num_targets, functions, waves
        self.weight = nn.Parameter(torch.zeros(shape), requires_grad=False)
        self.past = PastEffects(config)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Effects on the look-back ``(B, L, C)`` and on the horizon ``(B, H, C)``."""
        unit = self.unit_of(inputs.target)
        # Mixed precision would round a large effect by more than the noise beside it.
        with without_autocast(unit):
            before, ahead = self.steps(inputs)
            if inputs.past is not None:
                ahead = ahead + self.past(inputs.past)
        return unit * before, unit * ahead

    def standardise(self, inputs: Inputs) -> Inputs:
        """Bring the covariates of the training windows to mean 0 and deviation 1."""
        past, future = inputs.past, inputs.future
        if past is not None:
            past = self.past.standardise(past)
        if future is not None:
            columns, calendar = future.split([self.num_columns, len(self.stretch)], dim=2)
            future = torch.cat([(columns - self.center) / self.scale, calendar], dim=2)
        return inputs._replace(past=past, future=future)

    @property
    def reads_covariates(self) -> bool:
        """Whether a covariate has an effect, be it by the calendar; the calendar has its own."""
        return bool(self.weight[:, 1:].any()) or self.past.is_used

    def unit_of(self, target: Tensor) -> Tensor:
        """Unit of the effects on windows ``(B, L, C)``: ``(B, 1, C)``."""
        own = target.std(1, correction=0, keepdim=True)
        return torch.where(self.unit > 0, self.unit, own)

    def steps(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Effects of the covariates at each step, before and after the origin, in units."""
        if inputs.future is None:
            zero = inputs.target.new_zeros(1, 1, 1)
            return zero, zero
        by_calendar, alone = self._parts(inputs.future)
        calendar = self._calendar(inputs.future)
        # Part by part: side by side they would be copied, and most of them times zeros.
        first = self.weight[:, 0]
        weights = self.weight[:, 1:].split(
            [each.shape[2] for each in (*by_calendar, *alone)], dim=1
        )
        turned = first + sum(map(_weigh, by_calendar, weights))
        steps = (turned * calendar.unsqueeze(2)).sum(3)
        for part, weight in zip(alone, weights[len(by_calendar) :], strict=True):
            steps = steps + part @ weight[..., 0].T
        return steps[:, : -self.horizon], steps[:, -self.horizon :]

    def past_columns(self, inputs: Inputs) -> Tensor | None:
        """What past covariates act by ``(B, n)``, as a regression reads it."""
        return None if inputs.past is None else self.past.columns(inputs.past)

    def functions(self, future: Tensor) -> tuple[Tensor, Tensor]:
        """Functions of the covariates ``(B, T, I)`` and of the calendar ``(B, T, J)``."""
        by_calendar, alone = self._parts(future)
        functions = torch.cat([torch.ones_like(future[..., :1]), *by_calendar, *alone], dim=2)
        return functions, self._calendar(future)

    def _parts(self, future: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Functions of the covariates that may depend on the calendar, and those that do not."""
        if not self.num_columns:
            return [], []
        curves = self.curves(future[..., : self.num_columns])
        bent = bend(curves, self.knots)
        values, bends = (each[:, :, : self.num_columns] for each in (curves, bent))
        shifted = self.gap.cut(shift(self.gap.fill(values), self.shifts))
        first, second = self.pairs.unbind(1)
        one, other = (values.index_select(2, each) for each in (first, second))
        bends_of_one = bends.index_select(2, first) * other.unsqueeze(3)
        bends_of_other = bends.index_select(2, second) * one.unsqueeze(3)
        pairs = [one * other, bends_of_one.flatten(2), bends_of_other.flatten(2)]
        return [curves, bent.flatten(2)], [shifted, *pairs]

    def _calendar(self, future: Tensor) -> Tensor:
        """The constant, and harmonics of the calendar's cycles: ``(B, T, J)``."""
        angles = 2 * math.pi * self.stretch * future[..., self.num_columns :]
        turns = torch.arange(1, NUM_HARMONICS + 1, device=future.device) * angles.unsqueeze(3)
        waves = torch.stack([turns.sin(), turns.cos()], dim=4).flatten(2)
        return torch.cat([torch.ones_like(future[..., :1]), waves], dim=2)

    def curves(self, columns: Tensor) -> Tensor:
        """Values of the columns ``(B, T, U)`` in units, and their averages: ``(B, T, 4U)``."""
        values = self.gap.fill((columns - self.center) / self.scale)
        averages = average_before(values, self.half_lives)
        return self.gap.cut(torch.cat([values, averages], dim=2))


def _weigh(functions: Tensor, weight: Tensor) -> Tensor:
    """Weigh functions ``(B, T, I)`` by ``(C, I, J)``: ``(B, T, C, J)``."""
    return torch.einsum("bti,cij->btcj", functions, weight)
