"""A linear map by ridge regression, batch after batch, its penalty found by cross-validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
        factor = torch.linalg.cholesky(self.inner + size * unit)
        return torch.cholesky_solve(wanted, factor)

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


Fit = Callable[[Sums], Tensor]


class RidgeRegression:
    """The matrix ``W`` that minimises ``|W x - y|**2`` over all rows, and a penalty on ``W``.

    Components share one ``W``, or have their own near the shared one, whichever forecasts folds
    that were left out better, and so is the penalty chosen.

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
        if FOLDS * num_components * num_inputs * (num_inputs + num_outputs) > MOST_NUMBERS:
            num_components = 1
        shape = (FOLDS, num_components)
        self.sums = Sums(
            torch.zeros(*shape, num_inputs, num_inputs, dtype=dtype, device=device),
            torch.zeros(*shape, num_inputs, num_outputs, dtype=dtype, device=device),
            torch.zeros(*shape, num_outputs, dtype=dtype, device=device),
        )
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
        folds_are_apart: bool = False,
    ) -> LinearMap | None:
        """Solve for ``W``; ``None`` where the inputs are all zero, or their squares overflowed.

        Parameters
        ----------
        penalties : sequence of float
            Those that are tried, weakest first.
        prefixes : sequence of int, optional
            How many inputs, the first ones, may be enough: what forecasts best is taken. All, if
            not given.
        folds_are_apart : bool
            Whether folds share no values, as those of different series; each counts then, however
            short it is.
        """
        size = self.sums.inner.sum((0, 1)).diagonal().mean()
        if not (size > 0 and all(bool(each.sum().isfinite()) for each in self.sums)):
            return None
        # In units of the inputs, so that no number is too large or too small for the solver.
        folds = Sums(*(each / size for each in self.sums))
        # Windows in a line: a fold no longer than one shares all its values with the next ones.
        least = 0 if folds_are_apart else sum(folds.cross.shape[2:])
        is_enough = bool(self.num_rows.min() > least)
        inputs = [folds.cross.shape[2]] if prefixes is None else list(prefixes)
        if is_enough:
            found = _choose(folds, [*product(penalties, inputs)])
        else:
            found = self._without_choice(folds)
        return LinearMap(found.weight, found.residual * size)

    def _without_choice(self, folds: Sums) -> LinearMap:
        """Share one map, by the usual penalty."""
        total = folds.over(0).over(1)
        weight = total.solve(PENALTY)[0]
        # Generalised cross-validation: the share of the rows that the fit did not use up. The
        # components of a row count as one, as they may move together: where they do not, the
        # residual is too large, and bands too wide.
        used = Sums(total.inner, total.inner, total.outer).solve(PENALTY)[0, 0].diagonal().sum()
        num_rows = self.num_rows.sum()
        unused = (1 - used / num_rows).clamp(min=LEAST_UNUSED)
        return LinearMap(weight, total.left_by(weight)[0] / unused**2)


def _choose(folds: Sums, kinds: list[tuple[float, int]]) -> LinearMap:
    """Choose penalty, inputs, and whether components share a map, by what left-out folds show."""
    shared, errors = _best(folds, [_shared(*kind) for kind in kinds])
    best, residual = shared, errors.sum((0, 1))[None]
    if folds.outer.shape[1] > 1:
        own, own_errors = _best(folds, [_own(shared, *kind) for kind in kinds])
        gains = (errors - own_errors).sum((1, 2))
        # More weights have to show more than what folds differ by.
        if gains.mean() > gains.std() / math.sqrt(FOLDS):
            best, residual = own, own_errors.sum(0)
    return LinearMap(best(folds.over(0))[0], residual)


def _best(folds: Sums, fits: list[Fit]) -> tuple[Fit, Tensor]:
    """Give the fit with the smallest errors on folds it was not fitted to, and these errors."""
    errors = _validate(folds, fits)
    best = int(errors.sum((1, 2, 3)).argmin())
    return fits[best], errors[best]


def _validate(folds: Sums, fits: list[Fit]) -> Tensor:
    """Sum each fit's squared errors ``(fits, FOLDS, C, H)`` in the folds that it has not seen."""
    total = folds.over(0)
    errors = []
    for fold in range(FOLDS):
        held_out = Sums(*(each[fold : fold + 1] for each in folds))
        rest = total.without(held_out)
        errors.append(torch.stack([held_out.left_by(fit(rest)) for fit in fits]))
    return torch.cat(errors, dim=1)


def _shared(penalty: float, inputs: int) -> Fit:
    return lambda sums: sums.over(1).of_first(inputs, penalty)


def _own(shared: Fit, penalty: float, inputs: int) -> Fit:
    return lambda sums: sums.of_first(inputs, penalty, shared(sums))
