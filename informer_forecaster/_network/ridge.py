"""A linear map by ridge regression, batch after batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Share of the inputs' mean square that is added to each: chosen on the validation parts of ETT.
PENALTY = 0.2
# As many weights as rows leave nothing, and say nothing about new rows.
LEAST_UNUSED = 0.1


class LinearMap(NamedTuple):
    """What a regression found: weights ``(H, L)``, and the squares to expect it to leave, ``(H,)``.

    The sum of squares of as many new rows: those that the weights were fitted to leave less.
    """

    weight: Tensor
    residual: Tensor


class RidgeRegression:
    """The matrix ``W`` that minimises ``|W x - y|**2`` over all rows, and a penalty on ``W``.

    Parameters
    ----------
    num_inputs, num_outputs : int
        Lengths of ``x`` and ``y``.
    device : torch.device or str
        Where the sums are kept; in float64 but on Apple's GPUs, which have none.

    Notes
    -----
    The penalty is relative to the inputs, so that the map does not depend on their unit.
    Cost: O((L + H) L) for each row, O(L**2 (L + H)) for the solution.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.ridge import RidgeRegression
    >>> x = torch.randn(1000, 3)
    >>> regression = RidgeRegression(3, 2)
    >>> regression.add(x, x[:, :2])
    >>> weight = regression.solve(penalty=0.0).weight
    >>> torch.allclose(weight, torch.eye(2, 3, dtype=weight.dtype))
    True
    """

    def __init__(
        self, num_inputs: int, num_outputs: int, device: torch.device | str = "cpu"
    ) -> None:
        # The squares of a large series overflow float32.
        dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64
        self.inner = torch.zeros(num_inputs, num_inputs, dtype=dtype, device=device)
        self.cross = torch.zeros(num_inputs, num_outputs, dtype=dtype, device=device)
        self.outer = torch.zeros(num_outputs, dtype=dtype, device=device)
        self.num_rows = torch.zeros((), dtype=dtype, device=device)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add rows of inputs ``(N, L)`` and outputs ``(N, H)``."""
        x, y = x.to(self.inner.dtype), y.to(self.inner.dtype)
        self.inner.addmm_(x.T, x)
        self.cross.addmm_(x.T, y)
        self.outer += y.square().sum(0)
        self.num_rows += len(x)

    def solve(self, penalty: float = PENALTY) -> LinearMap | None:
        """Solve for ``W``; ``None`` where the inputs are all zero, or their squares overflowed."""
        size = self.inner.diagonal().mean()
        if not (size > 0 and (self.inner.sum() + self.cross.sum() + self.outer.sum()).isfinite()):
            return None
        # In units of the inputs, so that no number is too large or too small for the solver.
        inner, cross = self.inner / size, self.cross / size
        penalised = inner + penalty * torch.eye(len(inner), dtype=inner.dtype, device=inner.device)
        solution: Tensor = torch.linalg.solve(penalised, cross)
        explained = (solution * (2 * cross - inner @ solution)).sum(0)
        left = (self.outer - explained * size).clamp(min=0)
        # Generalised cross-validation: the share of the rows that the fit did not use up.
        used = torch.linalg.solve(penalised, inner).diagonal().sum()
        unused = (1 - used / self.num_rows).clamp(min=LEAST_UNUSED)
        return LinearMap(solution.T, left / unused**2)
