"""Which linear map: its penalty, its inputs, and which components have one of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .sums import Sums
from .windows import FOLDS

# Share of its error that a component gains, at least, where it reads the others: what holds between
# components lasts less than what holds within one. On ETTm1 a gain of 2 % was none in validation.
LEAST_GAIN = 0.1
# Numbers of folds that are held at once: one product of many small matrices is the faster one.
MOST_AT_ONCE = 2**22
# Outputs by which penalties are compared, at most: neighbours would say the same.
MOST_JUDGED = 64


class LinearMap(NamedTuple):
    """What a regression found; ``C`` is 1 where all components share one map.

    Weights ``(C, n, H)``, and the cross-validated residual sums of squares ``(C, H)``; on the
    training rows they are smaller.
    """

    weight: Tensor
    residual: Tensor


class Kind(NamedTuple):
    """How a map is fitted: its penalty, its first inputs, and what its own components are near."""

    penalty: float
    inputs: int
    shared: Kind | None = None

    def fit(self, sums: Sums, components: slice | list[int] = slice(None)) -> Tensor:
        """Fit one map for all components ``(1, 1, n, H)``, or their own ``(1, C, n, H)``."""
        if self.shared is None:
            return sums.over(1).of_first(self.inputs, self.penalty)
        own = sums.of(components)
        return own.of_first(self.inputs, self.penalty, self.shared.fit(sums))


class Folds:
    """Sums of folds in units of ``size``, so that no number is too large or small for the solver.

    Large ones are in these units one at a time, as all of them would take the memory twice.
    """

    def __init__(self, sums: Sums, size: Tensor) -> None:
        self._sums, self._size = sums, size
        self.total = Sums(*(each.sum(0, keepdim=True) / size for each in sums))

    def pairs(self) -> Iterator[tuple[Sums, Sums]]:
        """Give folds, and for each the sums of the others."""
        is_small = sum(each.numel() for each in self._sums) <= MOST_AT_ONCE
        for some in zip(
            *(each.split(FOLDS if is_small else 1) for each in self._sums), strict=True
        ):
            held_out = Sums(*(each / self._size for each in some))
            yield held_out, self.total.without(held_out)


def choose_map(folds: Folds, kinds: list[Kind], wider: list[Kind]) -> LinearMap:
    """Choose a penalty, inputs, and which components have a map of their own, by left-out folds."""
    shared, errors = _best(folds, kinds)
    own: dict[int, Kind] = {}
    if errors.shape[1] > 1:
        for some, least in ((kinds, 0.0), (wider, LEAST_GAIN)):
            near = [each._replace(shared=shared) for each in some]
            found, errors = _with_own_maps(folds, near, errors, least)
            own |= found
    weight = _fit(folds.total, shared, own)
    left = [held_out.left_by(_fit(rest, shared, own)) for held_out, rest in folds.pairs()]
    residual = torch.cat(left).sum(0, keepdim=True)
    if not own:
        residual = residual.sum(1, keepdim=True)
    return LinearMap(weight[0], residual[0])


def _best(folds: Folds, kinds: list[Kind]) -> tuple[Kind, Tensor]:
    """Choose what leaves least of all components, and give its errors ``(FOLDS, C)``."""
    errors = _validate(folds, kinds)
    best = int(errors.sum((1, 2)).argmin())
    return kinds[best], errors[best]


def _with_own_maps(
    folds: Folds, kinds: list[Kind], errors: Tensor, least: float
) -> tuple[dict[int, Kind], Tensor]:
    """Find the components that a map of their own forecasts better, and the errors that are left.

    By more than ``least`` of their errors, and by more than what folds differ by.
    """
    if not kinds:
        return {}, errors
    own_errors = _validate(folds, kinds)  # (kinds, FOLDS, C)
    best = own_errors.sum(1).argmin(0)
    own = own_errors.gather(0, best.expand(1, FOLDS, -1))[0]
    gains = errors - own
    # More weights have to show more. What a component does not show by itself, others may confirm.
    is_better = _exceeds_chance(gains)
    others = gains[:, ~is_better].sum(1)
    is_better |= _exceeds_chance(others) & (gains.mean(0) > 0)
    is_better &= gains.mean(0) > least * errors.mean(0)
    chosen = is_better.nonzero().flatten().tolist()
    return {c: kinds[int(best[c])] for c in chosen}, torch.where(is_better, own, errors)


def _exceeds_chance(gains: Tensor) -> Tensor:
    """Whether the mean of gains ``(FOLDS, ...)`` is more than what folds differ by."""
    return gains.mean(0) > gains.std(0) / math.sqrt(FOLDS)


def _fit(sums: Sums, shared: Kind, own: dict[int, Kind]) -> Tensor:
    """Fit a map for all components ``(1, 1, n, H)``, or one for each ``(1, C, n, H)``."""
    weight = shared.fit(sums)
    if own:
        weight = weight.repeat(1, sums.cross.shape[1], 1, 1)
    for kind in set(own.values()):
        components = [each for each, its in own.items() if its == kind]
        weight[:, components] = kind.fit(sums, components)
    return weight


def _validate(folds: Folds, kinds: list[Kind]) -> Tensor:
    """Sum each kind's squared errors ``(kinds, FOLDS, C)`` in the folds that it has not seen."""
    every = -(-folds.total.cross.shape[3] // MOST_JUDGED)
    errors = []
    for held_out, rest in folds.pairs():
        judged, known = (each.of(slice(None), every) for each in (held_out, rest))
        errors.append(torch.stack([judged.left_by(each.fit(known)).sum(2) for each in kinds]))
    return torch.cat(errors, dim=1)
