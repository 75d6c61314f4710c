"""The effects of covariates that training begins at, by ridge regression on single steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from informer_forecaster._network.curves import KNOTS
from informer_forecaster._network.effects import CovariateEffects

from .effect_columns import Sizes, order_columns
from .linear_forecast import LinearForecast, Reduce
from .ridge import RidgeRegression
from .windows import FOLDS, Sample, Windows

# Steps to learn from, whatever the length of the series.
MOST_STEPS = 60_000
FEWEST_WINDOWS = 256
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
# Steps of windows in one product, about: of a few it takes as long as of hundreds.
STEPS_AT_ONCE = 512
# Share of the heaviest step's weight from which a step has a say in scales and knots.
LEAST_WEIGHT = 1e-3


class EffectsStart:
    """Regression of single steps on the covariates at them, given the map from the look-back.

    Parameters
    ----------
    windows : Sample
        Evenly spaced windows.
    effects : CovariateEffects
        What is set: at once its units and knots, and its weights by :meth:`fit`, once
        :meth:`choose_columns` said of what.
    reduce : callable
        Adds up what several processes saw.
    rescale : bool
        Whether centers and scales are set. A network that has learnt by them needs them as before.

    Attributes
    ----------
    windows : Sample
        Those that are regressed on: fewer, evenly spaced.
    """

    def __init__(
        self, windows: Sample, effects: CovariateEffects, reduce: Reduce, *, rescale: bool = True
    ) -> None:
        self.effects, self.reduce = effects, reduce
        self.windows = windows
        heaviest = max(
            (float(one.weight.amax()) for one in windows if one.weight is not None), default=0.0
        )
        # A process whose windows have no weight at all goes by all of them.
        self._least = LEAST_WEIGHT * heaviest if heaviest else -1.0
        with torch.no_grad():
            effects.unit.copy_(self._deviation())
            self._set_scales(rescale)
        self.windows = windows.thinned(max(FEWEST_WINDOWS, MOST_STEPS // effects.horizon))

    def fit(self, given: LinearForecast | None) -> None:
        """Set the weights to those that explain best what the map ``given`` leaves.

        Without a map the level of the look-back stands for it.
        """
        effects, columns = self.effects, self.columns
        if not len(columns.functions):
            return
        regression = None
        for batch in self.windows:
            for x, y in self.rows(batch, given, self._products(batch).div_(self._sizes)):
                if regression is None:
                    regression = RidgeRegression(x.shape[2], 1, x.shape[1], x.device)
                regression.add(x, y, batch.fold)
        if regression is None:
            return
        regression.reduce(self.reduce)
        # There are steps enough for the columns: the folds decide.
        found = regression.solve(PENALTIES, columns.prefixes, fewest=0)
        with torch.no_grad():
            effects.weight.zero_()
            if found is not None:
                weight = found.weight[..., 0].to(effects.weight) / self._sizes
                effects.weight[:, columns.functions, columns.calendar] = weight.expand(
                    len(effects.weight), -1
                )

    def _average(self, value: Tensor) -> Tensor:
        """Average over the processes."""
        return self.reduce(value) / self.reduce(torch.ones_like(value))

    def _deviation(self) -> Tensor:
        """Deviation of the training windows ``(C,)``, by their weight."""
        sums = self.effects.unit.new_zeros(2, len(self.effects.unit))
        for batch in self.windows:
            variances = batch.inputs.target.var(1, correction=0)
            seen = torch.ones_like(variances)
            if batch.weight is not None:
                seen = batch.weight.amax(1).expand_as(variances)
            weighted = torch.where(seen > 0, seen * variances, 0.0)
            sums += torch.stack([weighted.sum(0), seen.sum(0)])
        variances, counts = self.reduce(sums).unbind()
        return (variances / counts.clamp(min=torch.finfo(counts.dtype).tiny)).sqrt()

    def _set_scales(self, rescale: bool) -> None:
        """Set center, scale, knots and cycles to those of the training windows."""
        effects = self.effects
        past = self._steps(lambda batch: batch.inputs.past)
        if past is not None:
            if rescale:
                effects.past.center.copy_(self._average(past.mean(0)))
                effects.past.scale.copy_(_positive(self._average(past.std(0, correction=0))))
            effects.past.knots.copy_(self._quantiles(effects.past.standardise(past)))
        future = self._steps(lambda batch: batch.inputs.future)
        if future is None:
            return
        columns, calendar = future.split([effects.num_columns, len(effects.stretch)], dim=1)
        if rescale and effects.num_columns:
            effects.center.copy_(self._average(columns.mean(0)))
            effects.scale.copy_(_positive(self._average(columns.std(0, correction=0))))
        sizes = [float(len(one.unique())) for one in (*columns.T, *calendar.T)]
        sizes = self._average(future.new_tensor(sizes)).round().tolist()
        self._values, self._cycles = sizes[: effects.num_columns], sizes[effects.num_columns :]
        cycles = effects.stretch.new_tensor(self._cycles)
        effects.stretch.copy_((cycles - 1) / cycles)
        if not effects.num_columns:
            self._cycles = self._often_seen(cycles)
            return
        curves = self._steps(self._curves)
        assert curves is not None
        effects.knots.copy_(self._quantiles(curves))

    def _often_seen(self, cycles: Tensor) -> list[float]:
        """Values of the cycles of which each fold has a whole one; others get one, and no wave."""
        moves = self._steps(_moves)
        assert moves is not None
        periods = cycles / self._average(moves.to(cycles).mean(0))
        return torch.where(self._num_steps()[1] >= FOLDS * periods, cycles, 1.0).tolist()

    def _quantiles(self, steps: Tensor) -> Tensor:
        """Quantiles ``(U, K)`` of steps ``(N, U)`` at which lines bend."""
        at = torch.tensor(KNOTS, device=steps.device)
        some = steps[:: max(1, len(steps) // MOST_STEPS)]
        # In half precision torch has no quantiles.
        return self._average(some.float().quantile(at, dim=0).T)

    def _curves(self, batch: Windows) -> Tensor | None:
        future, effects = batch.inputs.future, self.effects
        return None if future is None else effects.curves(future[..., : effects.num_columns])

    def _steps(self, read: Callable[[Windows], Tensor | None]) -> Tensor | None:
        """All steps ``(N, .)`` that weigh enough, of what ``read`` finds in the windows."""
        found = [(read(batch), batch) for batch in self.windows]
        steps = [self._seen(values, batch) for values, batch in found if values is not None]
        return torch.cat(steps) if steps else None

    def _seen(self, values: Tensor, batch: Windows) -> Tensor:
        """Steps ``(N, .)`` that weigh enough, of values ``(B, T, .)`` from the look-back on.

        A look-back weighs as much as the heaviest step of its horizon.
        """
        if batch.weight is None:
            return values.flatten(0, 1)
        ahead = batch.weight.amax(2)
        before = ahead.amax(1, keepdim=True).expand(-1, batch.inputs.target.shape[1])
        weight = torch.cat([before, ahead], dim=1)[:, : values.shape[1]]
        return values[weight > self._least]

    def choose_columns(self, *, wide: bool) -> None:
        """Choose what `fit` learns, with or without the steps around each step, and pairs."""
        pairs = [(one, other) for one, other in self.effects.pairs.tolist()]
        sizes = Sizes(self._values, pairs, self._cycles, *self._num_steps())
        self.columns = order_columns(sizes, wide=wide)
        self._sizes = self._sizes_of_columns()

    def _num_steps(self) -> tuple[int, int]:
        """Steps that the windows of all processes have ahead, and how many that are in a series."""
        windows = sum(map(self._num_windows, self.windows))
        horizon, stride = self.effects.horizon, self.windows.stride
        steps = windows * self.effects.weight.new_tensor([horizon, min(horizon, stride)])
        count, own = map(int, self.reduce(steps).tolist())
        return count, own

    def _num_windows(self, batch: Windows) -> float:
        """Count windows; one of which a part of the horizon weighs enough counts by that share."""
        if batch.weight is None:
            return float(len(batch.future))
        return float((batch.weight.amax(2) > self._least).float().mean(1).sum())

    def _products(self, batch: Windows) -> Tensor:
        """Columns of a batch ``(B, L + H, n)``."""
        assert batch.inputs.future is not None
        functions, calendar = self.effects.functions(batch.inputs.future)
        # Whole rows of memory: one number at a time would take longer than all else.
        each, by = (found.permute(2, 0, 1).contiguous() for found in (functions, calendar))
        products = each[self.columns.functions].mul_(by[self.columns.calendar])
        return products.permute(1, 2, 0)

    def _sizes_of_columns(self) -> Tensor:
        """Deviation of each column, so that the penalty is on columns of one size."""
        sums = self.effects.weight.new_zeros(3, 1)
        if len(self.columns.functions):
            for batch in self.windows:
                x = self._seen(self._products(batch), batch)
                sums = sums + torch.stack([x.sum(0), x.square().sum(0), torch.ones_like(x).sum(0)])
        total, squares, count = self.reduce(sums).unbind()
        variance = squares / count - (total / count).square()
        # A column that never changes says nothing.
        return torch.where(variance > 1e-6, variance.clamp(min=1e-6).sqrt(), torch.inf)

    def rows(
        self, batch: Windows, given: LinearForecast | None, x: Tensor
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Columns ``(N, C, n)`` and values ``(N, C, 1)`` of steps ahead, without the map's part.

        Of columns ``x`` of all steps, ``(B, L + H, n)``.
        """
        effects, inputs = self.effects, batch.inputs
        past, future, unit = inputs.target, batch.future, effects.unit_of(inputs.target)
        steps, horizon = past.shape[1], future.shape[1]
        level = past.new_full((1, horizon, steps), 1 / steps)
        weight = level if given is None else given.on_values(past)
        left = future - torch.einsum("chl,blc->bhc", weight, past)
        if given is not None:
            left = left - given.beside(unit, effects.past_columns(inputs))
        seen = torch.ones_like(left) if batch.weight is None else batch.weight.sqrt()
        scale = seen * unit
        y = torch.where(seen > 0, seen * left, 0.0).unsqueeze(3)  # (B, H, C, 1)
        size = max(1, STEPS_AT_ONCE // (steps + horizon))
        parts = (each.split(size) for each in (x, scale.unsqueeze(3), y))
        for columns, factor, values in zip(*parts, strict=True):
            # The map passes on what the covariates did to the look-back.
            passed = torch.einsum("chl,bln->bhcn", weight, columns[:, :steps])
            own = factor * (columns[:, steps:].unsqueeze(2) - passed)
            yield own.flatten(0, 1), values.flatten(0, 1)


def _moves(batch: Windows) -> Tensor | None:
    """Whether each feature of the future is another one at the next step."""
    future = batch.inputs.future
    return None if future is None else future.diff(dim=1).ne(0)


def _positive(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, 1.0)
