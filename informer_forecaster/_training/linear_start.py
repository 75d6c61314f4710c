"""The linear forecast that training begins at, by ridge regression on the windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from informer_forecaster._network.effects import CovariateEffects
from informer_forecaster._network.lookback_skip import Pooling

from .ridge import LinearMap, RidgeRegression
from .windows import Sample, TrainingWindows, Windows

# Goes through the windows where weights differ within a horizon: each takes what it may not see
# from the forecast of the one before, which brings the map closer to weighted least squares.
WEIGHTED_PASSES = 4

Reduce = Callable[[Tensor], Tensor]


class LinearForecast(NamedTuple):
    """A map from normalised look-backs; ``C`` is 1 where all components share it.

    Weight ``(C, H, N)`` of what pooling leaves of the look-back, intercept and expected error
    ``(C, H)``, and the weights ``(C, H, X*S)`` of the last steps of past covariates. The look-back
    is taken relative to its own level, or as it is. The loss is a sum of squares to expect, to
    compare maps of the same windows.
    """

    weight: Tensor
    intercept: Tensor
    error: Tensor
    lags: Tensor
    pooling: Pooling
    is_relative: bool = True
    loss: float = 0.0

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
            found = found + unit * torch.einsum("bx,chx->bhc", lags.flatten(1), self.lags.to(unit))
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
            seen = torch.ones_like(means) if batch.weight is None else batch.weight.amax(1) > 0
            rows = torch.stack([means, variances, torch.ones_like(means)])
            rows = torch.where(seen > 0, rows, 0.0).sum(1)
            sums = sums.to(rows) + rows
        total, squares, count = reduce(sums).unbind()
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


def fit_linear_map(
    windows: TrainingWindows | Sample, norm: Any, effects: CovariateEffects | None, reduce: Reduce
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
    """
    lookback, horizon = _lengths(windows)
    pooling = Pooling.of(lookback, horizon)
    # Windows in a line: a fold no longer than one shares all its values with the next ones.
    fewest = 0 if windows.folds_are_apart else (lookback + horizon) // windows.stride
    regression: RidgeRegression | None = None
    found: LinearMap | None = None
    for _ in range(WEIGHTED_PASSES):
        known = None if found is None else found.weight
        regression, is_uneven = _sum_up(windows, norm, effects, pooling, known)
        if regression is None:
            return None
        regression.reduce(reduce)
        found = regression.solve(fewest=fewest)
        if found is None:
            return None
        if not reduce(torch.tensor(float(is_uneven), device=found.weight.device)):
            break
    assert regression is not None
    assert found is not None
    weight, steps = found.weight, pooling.num_inputs
    # An input is the deviation of the window: errors are measured in it.
    squares = regression.sums.inner.sum(0)[:, steps, steps]
    squares = squares if len(weight) > 1 else squares.sum(0, keepdim=True)
    # A component whose windows are all constant leaves no error.
    error = (found.residual / squares.clamp(min=torch.finfo(squares.dtype).tiny)[:, None]).sqrt()
    lags = weight[:, steps + 1 :].mT
    parts = weight[:, :steps].mT, weight[:, steps], error, lags, pooling
    forecast = LinearForecast(*parts, loss=float(found.residual.sum()))
    return norm.put_back(forecast) if isinstance(norm, SeriesNorm) else forecast


def _lengths(windows: Iterable[Windows]) -> tuple[int, int]:
    """Steps of the look-back and of the horizon."""
    first = next(iter(windows))
    return first.inputs.target.shape[1], first.future.shape[1]


def _sum_up(
    windows: TrainingWindows | Sample,
    norm: Any,
    effects: CovariateEffects | None,
    pooling: Pooling,
    known: Tensor | None,
) -> tuple[RidgeRegression | None, bool]:
    """Sum all rows up, and tell whether sample weights differ within a horizon."""
    regression: RidgeRegression | None = None
    is_uneven = False
    for batch in windows:
        x, y = _rows(batch, norm, effects, pooling)
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


def _rows(
    batch: Windows, norm: Any, effects: CovariateEffects | None, pooling: Pooling
) -> tuple[Tensor, Tensor]:
    """Inputs ``(B, C, N + 1 + X*S)`` and outputs ``(B, C, H)``: look-back, deviation, and lags.

    The loss is in the units of the series: a window counts by the square of its deviation.
    """
    past, future = batch.inputs.target, batch.future
    lags = past[:, :0]
    if effects is not None:
        unit = effects.unit_of(past)
        before, ahead = effects.steps(batch.inputs)
        found = effects.lags(batch.inputs)
        lags = lags if found is None else unit * found.flatten(1).unsqueeze(2)
        past, future = past - unit * before, future - unit * ahead
    norm(past)
    past, future = past - norm.mean, future - norm.mean
    stdev = norm.stdev.expand_as(past[:, :1])
    x = torch.cat([pooling.pool(past.mT), stdev.mT, lags.mT], dim=2)
    return x, future.mT
