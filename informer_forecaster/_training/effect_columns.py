"""Which functions of covariates and calendar, and which of their products, a regression learns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from informer_forecaster._network.curves import HALF_LIVES, NUM_KNOTS
from informer_forecaster._network.effects import NUM_HARMONICS, PAIR_FUNCTIONS, SHIFTS

from .windows import FOLDS

MOST_COLUMNS = 640
# Steps that each fold has for each column, at least.
STEPS_OF_A_COLUMN = 2
# A cycle of more values than this is a season, of which few were seen: two harmonics.
LONGEST_DAY = 24
SEASON_HARMONICS = 2


class Columns(NamedTuple):
    """Pairs of functions, of covariates and calendar, whose products are learnt.

    The first of them, as many as one of ``prefixes`` says, may do.
    """

    functions: Tensor
    calendar: Tensor
    prefixes: list[int]


class Sizes(NamedTuple):
    """How many values each covariate and each feature of the calendar has, and steps to learn from.

    Beside them the pairs of covariates. Steps of all windows, and those that are in the series:
    windows may share them.
    """

    covariates: Sequence[float]
    pairs: Sequence[tuple[int, int]]
    cycles: Sequence[float]
    num_steps: int
    num_own_steps: int


def order_columns(sizes: Sizes, *, wide: bool) -> Columns:
    """First nothing, then values, calendar, pairs, shifts, averages and bends, and products.

    Products are of covariates with the calendar, as many as there is room for.

    Parameters
    ----------
    sizes : Sizes
        What decides how much can be told apart.
    wide : bool
        Whether pairs of covariates act, too, and the values of the steps around each step.
    """
    values, averages, bends, bends_of_averages, shifts = _functions(sizes.covariates)
    waves = _waves(sizes.cycles)
    plain = [*product(values, [0]), *product([0], waves)]
    paired = [*plain, *product(_together(sizes) if wide else [], [0])]
    delayed = [*paired, *product(shifts if wide else [], [0])]
    additive = [*delayed, *product([*averages, *bends, *bends_of_averages], [0])]
    # Of two values, as of a holiday, there are too few changes to tell how each of them lasts.
    many = [c for c in averages if sizes.covariates[(c - 1) % len(values)] > 2]
    # Of a season too few were seen to tell how it changes what a covariate does.
    short = [j for j in waves if sizes.cycles[(j - 1) // (2 * NUM_HARMONICS)] <= LONGEST_DAY]
    products = list(product([*values, *bends, *many, *bends_of_averages], short))
    steps = sizes.num_steps, sizes.num_own_steps
    count, own = (n // (FOLDS * STEPS_OF_A_COLUMN) for n in steps)
    room = min(MOST_COLUMNS, count)
    # Products are many: they explain by chance what the steps of a short series do not tell
    # apart, and leave the network little of it to learn.
    everything = [*additive, *products[: max(0, own - len(additive))]]
    nested = (values, plain, paired, delayed, additive, everything)
    prefixes = {min(len(each), room) for each in nested}
    pairs = torch.tensor(everything[:room]).reshape(-1, 2)
    return Columns(pairs[:, 0], pairs[:, 1], [0, *sorted(prefixes)])


def _functions(sizes: Sequence[float]) -> tuple[list[int], ...]:
    """Functions of the covariates: values, their averages, bends of either, and shifts."""
    count = len(sizes)
    curves = range(1, 1 + count * (1 + len(HALF_LIVES)))
    knots = range(NUM_KNOTS)
    # Two values leave nothing to bend.
    bends = [
        [curves.stop + c * NUM_KNOTS + knot for c in some if sizes[c % count] > 2 for knot in knots]
        for some in (range(count), range(count, len(curves)))
    ]
    first = curves.stop + len(curves) * NUM_KNOTS
    shifts = list(range(first, first + count * len(SHIFTS)))
    return list(curves[:count]), list(curves[count:]), *bends, shifts


def _together(sizes: Sizes) -> list[int]:
    """Functions of the pairs: products, bends of the first, bends of the second of each.

    Two values have no bends.
    """
    count = len(sizes.covariates)
    first = 1 + count * ((1 + len(HALF_LIVES)) * (1 + NUM_KNOTS) + len(SHIFTS))
    positions = iter(range(first + len(sizes.pairs), first + len(sizes.pairs) * PAIR_FUNCTIONS))
    bends = [
        (covariate, next(positions))
        for its in zip(*sizes.pairs, strict=True)
        for covariate in its
        for _ in range(NUM_KNOTS)
    ]
    products = range(first, first + len(sizes.pairs))
    return [*products, *(at for covariate, at in bends if sizes.covariates[covariate] > 2)]


def _waves(cycles: Sequence[float]) -> list[int]:
    """Functions of the calendar: the harmonics that its cycles have room for."""
    found = []
    for feature, size in enumerate(cycles):
        most = NUM_HARMONICS if size <= LONGEST_DAY else SEASON_HARMONICS
        for harmonic in range(1, most + 1):
            sine = 1 + 2 * (feature * NUM_HARMONICS + harmonic - 1)
            # At half the values of the cycle the sine is zero, and beyond all are copies.
            found += [sine] * (2 * harmonic < size) + [sine + 1] * (2 * harmonic <= size)
    return found
