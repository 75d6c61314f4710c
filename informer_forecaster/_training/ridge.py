"""A linear map by ridge regression, batch after batch, its penalty found by cross-validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from .windows import FOLDS

# Shares of the inputs' mean square that are added to each: those that are tried, weakest first.
PENALTIES = (5e-4, 5e-3, 0.05, 0.2, 0.8, 3.2)
# Where the rows are too few to try: chosen on the validation parts of ETT.
PENALTY = 0.2
# As many weights as rows leave nothing, and say nothing about new rows.
LEAST_UNUSED = 0.1
# Share of its error that a component gains, at least, where it reads the others: what holds between
# components lasts less than what holds within one. On ETTm1 a gain of 2 % was none in validation.
LEAST_GAIN = 0.1
# Outputs by which penalties are compared, at most: neighbours would say the same.
MOST_JUDGED = 64
# Sums for each component may take half a gigabyte; beyond that all share one map.
MOST_NUMBERS = 2**26


class LinearMap(NamedTuple):
    """What a regression found; ``C`` is 1 where all components share one map.

    Weights ``(C, n, H)``, and the sums of squares to expect from as many new rows, ``(C, H)``:
    those that the weights were fitted to leave less.
    """

    weight: Tensor
    residual: Tensor


class Sums(NamedTuple):
    """Products summed over rows: ``(..., n, n)``, with outputs ``(..., n, H)``, and ``(..., H)``.

    The leading dimensions are folds and components.
    """

    inner: Tensor
    cross: Tensor
    outer: Tensor

    def of(self, components: slice | list[int], every: int = 1) -> Sums:
        """Keep some components, and one output of so many."""
        inner, cross, outer = (each[:, components] for each in self)
        return Sums(inner, cross[..., every // 2 :: every], outer[..., every // 2 :: every])

    def over(self, dim: int) -> Sums:
        """Add up folds or components, and keep the dimension."""
        return Sums(*(each.sum(dim, keepdim=True) for each in self))

    def without(self, other: Sums) -> Sums:
        """Leave out the rows of ``other``."""
        return Sums(*(a - b for a, b in zip(self, other, strict=True)))

    def left_by(self, weight: Tensor) -> Tensor:
        """Sum the squares that ``weight`` leaves of each output."""
        explained = (weight * (2 * self.cross - self.inner @ weight)).sum(-2)
        return (self.outer - explained).clamp(min=0)

    def solve(self, penalty: float, towards: Tensor | None = None) -> Tensor:
        """Solve for the weights, with a penalty on their distance to ``towards``, or to zero."""
        size = self.inner.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        # A component that is always zero says nothing: any penalty decides.
        size = penalty * torch.where(size > 0, size, 1.0)
        unit = torch.eye(self.inner.shape[-1], dtype=size.dtype, device=size.device)
        wanted = self.cross if towards is None else self.cross + size * towards
        factor, failed = torch.linalg.cholesky_ex(self.inner + size * unit)
        weights = torch.cholesky_solve(wanted, factor)
        # What is left of sums after others were taken off may be rounding, which teaches nothing.
        kept = torch.zeros_like(weights) if towards is None else towards
        return torch.where(failed[..., None, None] > 0, kept, weights)

    def of_first(self, inputs: int, penalty: float, towards: Tensor | None = None) -> Tensor:
        """Solve for the weights of the first inputs; the others' stay as ``towards`` or at zero."""
        if inputs == self.cross.shape[-2]:
            return self.solve(penalty, towards)
        first = Sums(self.inner[..., :inputs, :inputs], self.cross[..., :inputs, :], self.outer)
        weight = torch.zeros_like(self.cross)
        if inputs:
            near = None if towards is None else towards[..., :inputs, :]
            weight[..., :inputs, :] = first.solve(penalty, near)
        return weight


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


def has_room(num_inputs: int, num_outputs: int, num_components: int) -> bool:
    """Whether sums for each component fit into the memory."""
    return FOLDS * num_components * num_inputs * (num_inputs + num_outputs) <= MOST_NUMBERS


class RidgeRegression:
    """The matrix ``W`` that minimises ``|W x - y|**2`` over all rows, and a penalty on ``W``.

    Components share one ``W``, and each may have its own near the shared one, whichever forecasts
    folds that were left out better, and so are the penalties chosen.

    Parameters
    ----------
    num_inputs, num_outputs : int
        Lengths of ``x`` and ``y``.
    num_components : int
        Components whose own maps are considered, memory permitting.
    device : torch.device or str
        Where the sums are kept; in float64 but on Apple's GPUs, which have none.

    Notes
    -----
    The penalty is relative to the inputs, so that the map does not depend on their unit.
    Cost: O((n + H) n) for each row, and O(n**2 (n + H)) for each solution.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._training.ridge import RidgeRegression
    >>> x = torch.randn(1000, 1, 3)
    >>> regression = RidgeRegression(3, 2)
    >>> for fold, rows in enumerate(x.split(200)):
    ...     regression.add(rows, rows[..., :2], fold)
    >>> weight = regression.solve().weight
    >>> torch.allclose(weight[0], torch.eye(3, 2, dtype=weight.dtype), atol=0.1)
    True
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        num_components: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        # The squares of a large series overflow float32.
        dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64
        if not has_room(num_inputs, num_outputs, num_components):
            num_components = 1
        shape = (FOLDS, num_components)
        self.sums = Sums(
            torch.zeros(*shape, num_inputs, num_inputs, dtype=dtype, device=device),
            torch.zeros(*shape, num_inputs, num_outputs, dtype=dtype, device=device),
            torch.zeros(*shape, num_outputs, dtype=dtype, device=device),
        )
        self.num_inputs = num_inputs
        self.num_rows = torch.zeros(FOLDS, dtype=dtype, device=device)

    def add(self, x: Tensor, y: Tensor, fold: int) -> None:
        """Add rows of inputs ``(N, C, n)`` and outputs ``(N, C, H)`` to a fold.

        Neighbouring rows that share values belong in one fold.
        """
        self.num_rows[fold] += len(x)
        inner, cross, outer = (each[fold] for each in self.sums)
        if len(inner) == 1:
            x, y = x.flatten(0, 1).unsqueeze(1), y.flatten(0, 1).unsqueeze(1)
        x, y = (each.to(inner.dtype).transpose(0, 1) for each in (x, y))
        inner.baddbmm_(x.mT, x)
        cross.baddbmm_(x.mT, y)
        outer += y.square().sum(1)

    def reduce(self, reduce: Callable[[Tensor], Tensor]) -> None:
        """Replace all sums by what ``reduce`` makes of them, as over several processes."""
        self.sums = Sums(*map(reduce, self.sums))
        self.num_rows = reduce(self.num_rows)

    def solve(
        self,
        penalties: Sequence[float] = PENALTIES,
        prefixes: Sequence[int] | None = None,
        *,
        fewest: int | None = None,
        num_shared: int | None = None,
    ) -> LinearMap | None:
        """Solve for ``W``; ``None`` where the inputs are all zero, or their squares overflowed.

        Parameters
        ----------
        penalties : sequence of float
            Those that are tried, weakest first.
        prefixes : sequence of int, optional
            How many inputs, the first ones, may be enough: what forecasts best is taken. All, if
            not given.
        fewest : int, optional
            Rows that each fold exceeds, or no fold is left out. As many as inputs and outputs, if
            not given: rows that follow each other share values with as many of the next ones.
        num_shared : int, optional
            Inputs, the first ones, that a shared map may read; all, if not given. The others are
            for components' own maps.
        """
        size = self.sums.inner.sum((0, 1)).diagonal().mean()
        if not (size > 0 and all(bool(each.sum().isfinite()) for each in self.sums)):
            return None
        inputs = self.num_inputs
        shared = inputs if num_shared is None else num_shared
        if fewest is None:
            fewest = sum(self.sums.cross.shape[2:])
        if not bool(self.num_rows.min() > fewest):
            return self._without_choice(size, shared)
        prefixes = [shared] if prefixes is None else prefixes
        kinds = [Kind(*one) for one in product(penalties, prefixes)]
        wider = [Kind(one, inputs) for one in penalties] if inputs > shared else []
        found = _choose(Folds(self.sums, size), kinds, wider)
        return LinearMap(found.weight, found.residual * size)

    def _without_choice(self, size: Tensor, inputs: int) -> LinearMap:
        """Share one map, by the usual penalty."""
        total = Folds(self.sums, size).total.over(1)
        weight = total.of_first(inputs, PENALTY)[0]
        # Generalised cross-validation: the share of the rows that the fit did not use up. The
        # components of a row count as one, as they may move together: where they do not, the
        # residual is too large, and bands too wide.
        used = Sums(total.inner, total.inner, total.outer).solve(PENALTY)[0, 0].diagonal().sum()
        num_rows = self.num_rows.sum()
        unused = (1 - used / num_rows).clamp(min=LEAST_UNUSED)
        return LinearMap(weight, total.left_by(weight)[0] * size / unused**2)


class Folds:
    """Sums of folds in units of ``size``, so that no number is too large or small for the solver.

    One fold is in these units at a time, as all of them would take the memory twice.
    """

    def __init__(self, sums: Sums, size: Tensor) -> None:
        self._sums, self._size = sums, size
        self.total = Sums(*(each.sum(0, keepdim=True) / size for each in sums))

    def pairs(self) -> Iterator[tuple[Sums, Sums]]:
        """Give each fold, and the sums of the others."""
        for fold in range(FOLDS):
            held_out = Sums(*(each[fold : fold + 1] / self._size for each in self._sums))
            yield held_out, self.total.without(held_out)


def _choose(folds: Folds, kinds: list[Kind], wider: list[Kind]) -> LinearMap:
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
        errors.append(torch.cat([judged.left_by(each.fit(known)).sum(2) for each in kinds]))
    return torch.stack(errors, dim=1)
