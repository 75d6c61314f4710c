"""A linear forecast as regression finds it, and its units where no window is normalised."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from informer_forecaster._network.lookback_skip import Pooling

from .windows import TrainingWindows

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
