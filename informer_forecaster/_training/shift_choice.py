"""Steps after which a covariate acts, where its values nearby do not tell."""

from __future__ import annotations

import torch
from torch import Tensor

from informer_forecaster._network.effects import shift

from .effects_start import EffectsStart
from .linear_start import LinearForecast
from .sums import dtype_of_sums

# Steps that are tried: from a week of days before a value is reached to a week of hours after it.
MOST_LEADS = 7
MOST_DELAYS = 192
# Share of what is left that other steps than the usual ones have to explain.
LEAST_GAIN = 0.05
# Of a column's squares, what is left beside those chosen: below it, it says nothing of its own.
LEAST_OWN = 1e-4


def find_shifts(start: EffectsStart, given: LinearForecast | None) -> Tensor | None:
    """Find steps ``(S, U)`` at which covariates explain more than at the usual ones.

    Of what the effects as they are and the map ``given`` leave; ``None`` where there are none.
    """
    shifts = start.effects.shifts.clone()
    steps = start.windows.first.inputs.target.shape[1]
    tried = torch.arange(-MOST_LEADS, min(steps, MOST_DELAYS) + 1, device=shifts.device)
    now = int((tried == 0).nonzero())
    is_found = False
    for column, sums in enumerate(_sum_up(start, given, tried)):
        inner, cross, left = sums[:-1, :-1], sums[:-1, -1], float(sums[-1, -1])
        usual = [now, *torch.searchsorted(tried, shifts[:, column].clamp(max=tried[-1])).tolist()]
        chosen = choose_columns(inner, cross, [now], len(usual))
        usually = explained(inner, cross, usual)
        if explained(inner, cross, chosen) - usually > LEAST_GAIN * (left - usually):
            shifts[:, column] = tried[chosen[1:]]
            is_found = True
    return shifts if is_found else None


def _sum_up(start: EffectsStart, given: LinearForecast | None, tried: Tensor) -> Tensor:
    """Products ``(U, K + 1, K + 1)`` of each covariate's values at the steps that are tried.

    With each other and, in the last row and column, with what is left.
    """
    effects, size = start.effects, len(tried) + 1
    sums = torch.zeros(
        *(effects.num_columns, size, size), dtype=dtype_of_sums(tried.device), device=tried.device
    )
    for batch in start.windows:
        future = effects.standardise(batch.inputs).future
        assert future is not None
        values = effects.gap.fill(future)
        # All components have the same effects, in their own units.
        found = torch.cat(effects.steps(batch.inputs), dim=1)[..., :1]
        for column in range(effects.num_columns):
            moved = effects.gap.cut(shift(values[..., column : column + 1], tried.unsqueeze(1)))
            for x, y in start.rows(batch, given, torch.cat([moved, found], dim=2)):
                left = torch.cat([x[..., :-1], y - x[..., -1:]], dim=2).flatten(0, 1)
                left = left.to(sums.dtype)
                sums[column] += left.mT @ left
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
    >>> from informer_forecaster._training.shift_choice import choose_columns
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
