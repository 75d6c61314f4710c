"""What further columns would explain of a series, beside the effects and the map that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from .effects_start import EffectsStart
from .linear_forecast import LinearForecast
from .sums import dtype_of_sums

# Of a column's squares, what is left beside those chosen: below it, it says nothing of its own.
LEAST_OWN = 1e-4


def sum_up(
    start: EffectsStart,
    given: LinearForecast | None,
    candidates: Callable[[Tensor], Iterable[Tensor]],
    shape: tuple[int, int],
) -> Tensor:
    """Sum products of candidates with each other and with what is left: ``(G, K + 1, K + 1)``.

    Parameters
    ----------
    start : EffectsStart
        Windows, and the effects as they are.
    given : LinearForecast or None
        The map.
    candidates : callable
        Makes of covariates in units ``(B, L + H, F)`` columns ``(B, L + H, K)`` for each group.
    shape : tuple of int
        Groups ``G``, and columns ``K`` of each. What is left stands in the last row and column.
    """
    effects, (groups, size) = start.effects, shape
    device = effects.unit.device
    sums = torch.zeros(groups, size + 1, size + 1, dtype=dtype_of_sums(device), device=device)
    for batch in start.windows:
        future = effects.standardise(batch.inputs).future
        assert future is not None
        # All components have the same effects, in their own units.
        found = torch.cat(effects.steps(batch.inputs), dim=1)[..., :1]
        for group, columns in enumerate(candidates(future)):
            for x, y in start.rows(batch, given, torch.cat([columns, found], dim=2)):
                left = torch.cat([x[..., :-1], y - x[..., -1:]], dim=2).flatten(0, 1)
                left = left.to(sums.dtype)
                sums[group] += left.mT @ left
    return start.reduce(sums)


def choose_columns(inner: Tensor, cross: Tensor, first: list[int], count: int) -> list[int]:
    """Choose ``count`` columns one by one, each the one that explains most beside those before it.

    Parameters
    ----------
    inner, cross : torch.Tensor
        Products of the columns with each other ``(n, n)``, and with what they explain ``(n,)``.
    first : list of int
        Columns that are chosen in any case.
    count : int
        How many are chosen in the end.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._training.candidates import choose_columns
    >>> columns = torch.eye(4, dtype=torch.float64)
    >>> choose_columns(columns, columns @ torch.tensor([0.0, 3.0, 1.0, 2.0]).double(), [0], 3)
    [0, 1, 3]
    """
    chosen = list(first)
    squares = inner.diagonal()
    while len(chosen) < count:
        found = _solve(inner, chosen, torch.cat([inner, cross.unsqueeze(1)], dim=1)[chosen])
        own = squares - (inner[chosen] * found[:, :-1]).sum(0)
        gains = (cross - inner[:, chosen] @ found[:, -1]).square() / own
        gains[own <= LEAST_OWN * squares] = 0.0
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
    return chosen


def explained(inner: Tensor, cross: Tensor, columns: list[int]) -> float:
    """Sum of squares that some columns explain together."""
    return float(cross[columns] @ _solve(inner, columns, cross[columns].unsqueeze(1))[:, 0])


def _solve(inner: Tensor, columns: list[int], wanted: Tensor) -> Tensor:
    """Weights of some columns that explain ``wanted``; of equal columns, half each."""
    some = inner[columns][:, columns]
    penalty = LEAST_OWN * some.diagonal().mean().clamp(min=torch.finfo(some.dtype).tiny)
    unit = torch.eye(len(columns), dtype=some.dtype, device=some.device)
    return torch.linalg.solve(some + penalty * unit, wanted)
