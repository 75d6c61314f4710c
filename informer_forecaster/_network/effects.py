"""What covariates add to a series, step by step: known before a network looks at the rest."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor, nn

from .config import InformerConfig
from .gap import Gap
from .history import HALF_LIVES, average_before, shift
from .inputs import Inputs
from .lookback_skip import fit_to_lengths
from .products import without_autocast

# Steps after which a covariate acts: the day before a holiday, or an advertisement of last week.
# Regression replaces them by others, as many, where a covariate shows that it acts later.
SHIFTS = (-1, 1, 2, 3, 4, 5, 6, 7)
# Quantiles of a curve at which it bends: the outer ones for what only extremes do, as great heat.
KNOTS = (0.02, 0.2, 0.4, 0.6, 0.8, 0.98)
NUM_KNOTS = len(KNOTS)
# Pairs of covariates that act together, as a price and a promotion do: all, or those that explain
# most. Of each, the product of the values, and of the bends of either with the value of the other.
MOST_PAIRS = 8
PAIR_FUNCTIONS = 1 + 2 * NUM_KNOTS
NUM_HARMONICS = 6
# Steps of past covariates that are read one by one, whatever their number; more of fewer.
MOST_LAGS = 48
MOST_PAST_STEPS = 512


class CovariateEffects(nn.Module):
    """Effects of known-future and past covariates on the level of a series, linear in its weights.

    A known-future covariate acts by its value, by each of the seven values before it and by the
    next one, or by eight others around it, and by averages of the values before it, as weather that
    lasts does; where it takes many values, by lines that bend at quantiles; and all of this by the
    hour, the weekday and the season, as harmonics of the calendar. Two act together by products of
    their values and bends. A past covariate acts by its last steps. An effect is in units of the
    deviation of the training windows, or of the window where it grows with that.

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
    past_center: Tensor
    past_scale: Tensor
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
        self.register_buffer("past_center", torch.zeros(config.num_past_covariates))
        self.register_buffer("past_scale", torch.ones(config.num_past_covariates))
        # Of the training windows; zero for that of each window.
        self.register_buffer("unit", torch.ones(config.num_targets))
        functions = 1 + curves * (1 + NUM_KNOTS) + self.num_columns * len(SHIFTS)
        functions += len(pairs) * PAIR_FUNCTIONS
        waves = 1 + calendar * 2 * NUM_HARMONICS
        shape = config.num_targets, functions, waves
        self.weight = nn.Parameter(torch.zeros(shape), requires_grad=False)
        lags = max(MOST_LAGS, MOST_PAST_STEPS // max(1, config.num_past_covariates))
        lags = min(config.input_chunk_length, lags)
        self.lag_weight = nn.Parameter(
            torch.zeros(1, config.num_past_covariates, self.horizon, lags), requires_grad=False
        )
        self.register_load_state_dict_pre_hook(fit_to_lengths)  # type: ignore[no-untyped-call]

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Effects on the look-back ``(B, L, C)`` and on the horizon ``(B, H, C)``."""
        unit = self.unit_of(inputs.target)
        # Mixed precision would round a large effect by more than the noise beside it.
        with without_autocast(unit):
            before, ahead = self.steps(inputs)
            lags = self.lags(inputs)
            if lags is not None:
                ahead = ahead + torch.einsum("bxs,cxhs->bhc", lags, self.lag_weight)
        return unit * before, unit * ahead

    def standardise(self, inputs: Inputs) -> Inputs:
        """Bring the covariates of the training windows to mean 0 and deviation 1."""
        past, future = inputs.past, inputs.future
        if past is not None:
            past = (past - self.past_center) / self.past_scale
        if future is not None:
            columns, calendar = future.split([self.num_columns, len(self.stretch)], dim=2)
            future = torch.cat([(columns - self.center) / self.scale, calendar], dim=2)
        return inputs._replace(past=past, future=future)

    @property
    def day(self) -> int:
        """Steps of a day where the calendar has hours, else of its first cycle; 0 without one."""
        sizes = [round(1 / (1 - float(each))) if each < 1 else 0 for each in self.stretch]
        if 24 in sizes:
            return math.prod(sizes[: sizes.index(24) + 1])
        return sizes[0] if sizes else 0

    @property
    def reads_covariates(self) -> bool:
        """Whether a covariate has an effect, be it by the calendar; the calendar has its own."""
        return bool(self.weight[:, 1:].any() or self.lag_weight.any())

    def unit_of(self, target: Tensor) -> Tensor:
        """Unit of the effects on windows ``(B, L, C)``: ``(B, 1, C)``."""
        own = target.std(1, correction=0, keepdim=True)
        return torch.where(self.unit > 0, self.unit, own)

    def steps(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Effects of the covariates at each step, before and after the origin, in units."""
        if inputs.future is None or not self.num_columns:
            zero = inputs.target.new_zeros(1, 1, 1)
            return zero, zero
        functions, calendar = self.functions(inputs.future)
        by_calendar = torch.einsum("bti,cij->btcj", functions, self.weight)
        steps = (by_calendar * calendar.unsqueeze(2)).sum(3)
        return steps[:, : -self.horizon], steps[:, -self.horizon :]

    def lags(self, inputs: Inputs) -> Tensor | None:
        """The last steps of the past covariates ``(B, X, S)``, in units."""
        if inputs.past is None:
            return None
        last = inputs.past[:, -self.lag_weight.shape[3] :]
        return ((last - self.past_center) / self.past_scale).mT

    def functions(self, future: Tensor) -> tuple[Tensor, Tensor]:
        """Functions of the covariates ``(B, T, I)`` and of the calendar ``(B, T, J)``."""
        columns, calendar = future.split([self.num_columns, len(self.stretch)], dim=2)
        curves = self.curves(columns)
        bent = (curves.unsqueeze(3) - self.knots).relu()
        constant = torch.ones_like(future[..., :1])
        angles = 2 * math.pi * self.stretch * calendar
        turns = torch.arange(1, NUM_HARMONICS + 1, device=future.device) * angles.unsqueeze(3)
        waves = torch.stack([turns.sin(), turns.cos()], dim=4).flatten(2)
        values, bends = (each[:, :, : self.num_columns] for each in (curves, bent))
        shifted = self.gap.cut(shift(self.gap.fill(values), self.shifts))
        together = self.together(values, bends)
        functions = torch.cat([constant, curves, bent.flatten(2), shifted, together], dim=2)
        return functions, torch.cat([constant, waves], dim=2)

    def together(self, values: Tensor, bends: Tensor) -> Tensor:
        """Products ``(B, T, 9K)`` of the pairs, from values ``(B, T, U)`` and their bends."""
        first, second = self.pairs.unbind(1)
        one, other = (values.index_select(2, each).unsqueeze(3) for each in (first, second))
        bends_of_one = bends.index_select(2, first) * other
        bends_of_other = bends.index_select(2, second) * one
        return torch.cat([one * other, bends_of_one, bends_of_other], dim=3).flatten(2)

    def curves(self, columns: Tensor) -> Tensor:
        """Values of the columns ``(B, T, U)`` in units, and their averages: ``(B, T, 4U)``."""
        values = self.gap.fill((columns - self.center) / self.scale)
        averages = average_before(values, self.half_lives)
        return self.gap.cut(torch.cat([values, averages], dim=2))

    def newest_lags(self, inputs: Inputs) -> Tensor | None:
        """What :meth:`lags` gives, as a regression reads it ``(B, S*X)``: the newest steps first.

        So that some may do, as many of each covariate.
        """
        lags = self.lags(inputs)
        return None if lags is None else lags.flip(2).mT.flatten(1)

    def set_lags(self, weight: Tensor) -> None:
        """Set the weights ``(C, H, S*X)`` of the last steps of the past covariates."""
        with torch.no_grad():
            self.match_components(len(weight))
            newest = weight.unflatten(2, self.lag_weight.shape[:0:-2])  # (C, H, S, X)
            self.lag_weight.copy_(newest.flip(2).permute(0, 3, 1, 2))

    def match_components(self, num_maps: int) -> None:
        """Make room for the lags of as many components, or for those that they share."""
        if len(self.lag_weight) != num_maps:
            shape = num_maps, *self.lag_weight.shape[1:]
            self.lag_weight.data = self.lag_weight.new_zeros(shape)
