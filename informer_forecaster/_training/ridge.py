"""A linear map by ridge regression, batch after batch, its penalty found by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from .map_choice import Folds, Kind, LinearMap, choose_map
from .sums import Sums, dtype_of_sums, has_room
from .windows import FOLDS

# Shares of the inputs' mean square that are added to each: those that are tried, weakest first.
PENALTIES = (5e-4, 5e-3, 0.05, 0.2, 0.8, 3.2)
# Where the rows are too few to try: chosen on the validation parts of ETT.
PENALTY = 0.2
# As many weights as rows leave nothing, and say nothing about new rows.
LEAST_UNUSED = 0.1


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
        dtype = dtype_of_sums(device)
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
    ) -> LinearMap | None:
        """Solve for ``W``; ``None`` where the inputs are all zero, or their squares overflowed.

        Parameters
        ----------
        penalties : sequence of float
            Those that are tried, weakest first.
        prefixes : sequence of int, optional
            How many inputs, the first ones, a shared map may read, rising: what forecasts best is
            taken. All, if not given. More than the last are for components' own maps.
        fewest : int, optional
            Rows that each fold exceeds, or no fold is left out. As many as inputs and outputs, if
            not given: rows that follow each other share values with as many of the next ones.
        """
        size = self.sums.inner.sum((0, 1)).diagonal().mean()
        if not (size > 0 and all(bool(each.sum().isfinite()) for each in self.sums)):
            return None
        inputs = self.num_inputs
        prefixes = [inputs] if prefixes is None else prefixes
        if fewest is None:
            fewest = sum(self.sums.cross.shape[2:])
        if not bool(self.num_rows.min() > fewest):
            return self._without_choice(size, prefixes[:2][-1])
        kinds = [Kind(*one) for one in product(penalties, prefixes)]
        wider = [Kind(one, inputs) for one in penalties] if inputs > prefixes[-1] else []
        found = choose_map(Folds(self.sums, size), kinds, wider)
        return LinearMap(found.weight, found.residual * size)

    def _without_choice(self, size: Tensor, inputs: int) -> LinearMap:
        """Share one map, by the usual penalty."""
        total = Folds(self.sums, size).total.over(1)
        weight = total.of_first(inputs, PENALTY)[0]
        # Generalised cross-validation: the share of the rows that the fit did not use up. The
        # components of a row count as one, as they may move together: where they do not, the
        # residual is too large, and bands too wide.
        inner = total.inner[..., :inputs, :inputs]
        used = Sums(inner, inner, total.outer).solve(PENALTY)[0, 0].diagonal().sum()
        num_rows = self.num_rows.sum()
        unused = (1 - used / num_rows).clamp(min=LEAST_UNUSED)
        return LinearMap(weight, total.left_by(weight)[0] * size / unused**2)
