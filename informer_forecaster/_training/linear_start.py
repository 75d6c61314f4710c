"""The linear forecast that training begins at, by ridge regression on the windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from informer_forecaster._network.component_lags import ComponentLags
from informer_forecaster._network.effects import CovariateEffects
from informer_forecaster._network.lookback_skip import Pooling

from .map_choice import LinearMap
from .ridge import RidgeRegression
from .sums import has_room
from .windows import Sample, TrainingWindows, Windows

# Goes through the windows where weights differ within a horizon: each takes what it may not see
# from the forecast of the one before, which brings the map closer to weighted least squares.
WEIGHTED_PASSES = 4

Reduce = Callable[[Tensor], Tensor]


class LinearForecast(NamedTuple):
    """A map from normalised look-backs; ``C`` is 1 where all components share it.

    Weight ``(C, H, N)`` of what pooling leaves of the look-back, intercept and expected error
    ``(C, H)``, the weights ``(C, H, S*X)`` of the last steps of past covariates, and those of the
    other components ``(C, H, C*S)``, if they say anything. The look-back is taken relative to its
    own level, or as it is. The loss is a sum of squares to expect, to compare maps of the same
    windows.
    """

    weight: Tensor
    intercept: Tensor
    error: Tensor
    lags: Tensor
    pooling: Pooling
    is_relative: bool = True
    loss: float = 0.0
    others: Tensor | None = None

    def on_values(self, like: Tensor) -> Tensor:
        """Weights ``(C, H, L)`` of the values themselves, the level included."""
        weight = self.pooling.spread(self.weight.to(like))
        if not self.is_relative:
            return weight
        return weight + (1 - weight.sum(2, keepdim=True)) / weight.shape[2]

    def beside(self, unit: Tensor, lags: Tensor | None) -> Tensor:
        """What is forecast ``(B, H, C)`` besides: by past covariates, and where all is zero."""
        found = 0 * unit if self.is_relative else self.intercept.to(unit).mT
        if lags is not None:
            found = found + unit * torch.einsum("bx,chx->bhc", lags, self.lags.to(unit))
        return found


class SeriesNorm:
    """Level and deviation of all training windows, for models that take away none of their own.

    Without them the penalty on the intercept would grow with the level of the series.

    Parameters
    ----------
    windows : TrainingWindows
        All of them.
    reduce : callable
        Adds up what several processes saw.
    """

    def __init__(self, windows: TrainingWindows, reduce: Reduce) -> None:
        sums = torch.zeros(3, 1)
        for batch in windows:
            past = batch.inputs.target
            means, variances = past.mean(1), past.var(1, correction=0)
            # What has no weight says nothing about the level either.
            seen = torch.ones_like(means) if batch.weight is None else batch.weight.amax(1)
            rows = torch.stack([means, variances, torch.ones_like(means)])
            rows = torch.where(seen > 0, seen * rows, 0.0).sum(1)
            sums = sums.to(rows) + rows
        total, squares, count = reduce(sums).unbind()
        count = count.clamp(min=torch.finfo(count.dtype).tiny)  # a component may have no weight
        self.mean = total / count  # (C,)
        # Where all windows are constant, any unit does.
        self.stdev = torch.where(squares > 0, (squares / count).sqrt(), 1.0)

    def __call__(self, past: Tensor) -> None:
        """Leave level and deviation as they are, whatever the window."""

    def put_back(self, found: LinearForecast) -> LinearForecast:
        """Give the forecast in units of the series.

        Components that share a map have one each then, as their levels differ.
        """
        weight, intercept, error, lags = (
            each.expand(len(self.mean), *each.shape[1:]) for each in found[:4]
        )
        mean, stdev = (each.to(weight).unsqueeze(1) for each in (self.mean, self.stdev))
        ones = weight.new_ones(found.pooling.lookback)
        level = mean * (1 - weight @ found.pooling.pool(ones))
        return found._replace(
            weight=weight,
            intercept=intercept * stdev + level,
            error=error * stdev,
            lags=lags,
            is_relative=False,
        )


class Rows(NamedTuple):
    """What a regression reads of windows: look-back, deviation, and the lags beside them.

    Lags of past covariates, as ``effects`` read them, and those of the other components.
    """

    norm: Any
    effects: CovariateEffects | None
    pooling: Pooling
    components: ComponentLags | None

    @property
    def prefixes(self) -> list[int]:
        """Inputs that a map of all components may read, the first ones: none has the same others.

        With no past covariates, their last steps, all that are read, and bends.
        """
        first = self.pooling.num_inputs + 1
        if self.effects is None:
            return [first]
        return sorted(first + each for each in self.effects.past.prefixes)

    def of(self, batch: Windows) -> tuple[Tensor, Tensor]:
        """Inputs ``(B, C, n)`` and outputs ``(B, C, H)``.

        The loss is in the units of the series: a window counts by the square of its deviation.
        """
        past, future = batch.inputs.target, batch.future
        beside = []
        if self.effects is not None:
            unit = self.effects.unit_of(past)
            before, ahead = self.effects.steps(batch.inputs)
            lags = self.effects.past_columns(batch.inputs)
            beside += [] if lags is None else [(unit * lags.unsqueeze(2)).mT]
            past, future = past - unit * before, future - unit * ahead
        if self.components is not None:
            beside.append(self.components.rows(past))
        self.norm(past)
        past, future = past - self.norm.mean, future - self.norm.mean
        stdev = self.norm.stdev.expand_as(past[:, :1])
        return torch.cat([self.pooling.pool(past.mT), stdev.mT, *beside], dim=2), future.mT


def fit_linear_map(
    windows: TrainingWindows | Sample,
    norm: Any,
    effects: CovariateEffects | None,
    reduce: Reduce,
    components: ComponentLags | None = None,
) -> LinearForecast | None:
    """Fit the map from normalised look-backs to what follows; ``None`` where all is constant.

    Parameters
    ----------
    windows : TrainingWindows
        All of them.
    norm : darts.models.components.layer_norm_variants.RINorm or SeriesNorm
        The instance norm, without a transform of its own, or what stands for one.
    effects : CovariateEffects or None
        What is taken off the series first.
    reduce : callable
        Adds up what several processes saw.
    components : ComponentLags, optional
        What of the other components a map may read, where left-out folds say so.
    """
    lookback, horizon = _lengths(windows)
    rows = Rows(norm, effects, Pooling.of(lookback, horizon), components)
    # Windows in a line: a fold no longer than one shares all its values with the next ones.
    fewest = 0 if windows.folds_are_apart else (lookback + horizon) // windows.stride
    found: LinearMap | None = None
    regression: RidgeRegression | None = None
    for _ in range(WEIGHTED_PASSES):
        regression, is_uneven = _sum_up(windows, rows, None if found is None else found.weight)
        if regression is None:
            return None
        regression.reduce(reduce)
        found = regression.solve(fewest=fewest, prefixes=rows.prefixes)
        if found is None:
            return None
        if not reduce(torch.tensor(float(is_uneven), device=found.weight.device)):
            break
    assert found is not None
    assert regression is not None
    forecast = _read_map(found, regression, rows)
    return norm.put_back(forecast) if isinstance(norm, SeriesNorm) else forecast


def _read_map(found: LinearMap, regression: RidgeRegression, rows: Rows) -> LinearForecast:
    """Tell the parts of a map apart, and measure its error."""
    weight, steps = found.weight, rows.pooling.num_inputs
    # An input is the deviation of the window: errors are measured in it.
    squares = regression.sums.inner.sum(0)[:, steps, steps]
    squares = squares if len(weight) > 1 else squares.sum(0, keepdim=True)
    # A component whose windows are all constant leaves no error.
    error = (found.residual / squares.clamp(min=torch.finfo(squares.dtype).tiny)[:, None]).sqrt()
    lags, others = weight[:, steps + 1 : rows.prefixes[-1]].mT, None
    if rows.components is not None:
        others = weight[:, rows.prefixes[-1] :].mT
    parts = weight[:, :steps].mT, weight[:, steps], error, lags, rows.pooling
    is_read = others is not None and bool(others.any())
    loss = float(found.residual.sum())
    return LinearForecast(*parts, loss=loss, others=others if is_read else None)


def fits_memory(
    windows: Sample, effects: CovariateEffects | None, components: ComponentLags
) -> bool:
    """Whether sums for each component have room for what it reads of the others."""
    lookback, horizon = _lengths(windows)
    own = Rows(None, effects, Pooling.of(lookback, horizon), components).prefixes[-1]
    return has_room(own + components.num_lags, horizon, components.num_targets)


def _lengths(windows: TrainingWindows | Sample) -> tuple[int, int]:
    """Steps of the look-back and of the horizon."""
    first = windows.first
    return first.inputs.target.shape[1], first.future.shape[1]


def _sum_up(
    windows: TrainingWindows | Sample, rows: Rows, known: Tensor | None
) -> tuple[RidgeRegression | None, bool]:
    """Sum all rows up, and tell whether sample weights differ within a horizon."""
    regression: RidgeRegression | None = None
    is_uneven = False
    for batch in windows:
        x, y = rows.of(batch)
        if batch.weight is not None:
            weights = batch.weight.transpose(1, 2)  # (B, C, H)
            most = weights.amax(2, keepdim=True)
            is_uneven |= bool((weights < most).any())
            # The loss sees a target of a smaller weight less, and the map as much less of it.
            seen = (weights / most.clamp(min=torch.finfo(most.dtype).tiny)).to(y)
            guess = 0.0 if known is None else (x.unsqueeze(2) @ known.to(x)).squeeze(2)
            # Not a product where nothing is seen: what stands there may be of any size.
            y = torch.where(seen > 0, seen * y, 0.0) + (1 - seen) * guess
            x, y = most.sqrt() * x, most.sqrt() * y
        if regression is None:
            regression = RidgeRegression(x.shape[2], y.shape[2], x.shape[1], x.device)
        taught = x.any(2).any(1)
        regression.add(x[taught], y[taught], batch.fold)
    return regression, is_uneven
