"""Sums of squares and products, from which ridge regression is solved without the rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from informer_forecaster._network.lookback_skip import MOST_PRODUCTS


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


def dtype_of_sums(device: torch.device | str) -> torch.dtype:
    """Number type of sums of squares: those of a large series overflow float32.

    Apple's GPUs have no other.
    """
    return torch.float32 if torch.device(device).type == "mps" else torch.float64


def has_room(num_inputs: int, num_outputs: int, num_components: int) -> bool:
    """Whether sums for each component fit into the memory."""
    return num_components * num_inputs * (num_inputs + num_outputs) <= MOST_PRODUCTS
