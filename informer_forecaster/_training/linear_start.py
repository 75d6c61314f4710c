"""The linear forecast that training begins at, by ridge regression on the windows."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from informer_forecaster._network.component_lags import ComponentLags
from informer_forecaster._network.effects import CovariateEffects
from informer_forecaster._network.lookback_skip import Pooling

from .linear_forecast import LinearForecast, Reduce, SeriesNorm
from .map_choice import LinearMap
from .ridge import RidgeRegression
from .sums import has_room
from .windows import Sample, TrainingWindows, Windows

# Goes through the windows where weights differ within a horizon: each takes what it may not see
# from the forecast of the one before, which brings the map closer to weighted least squares.
WEIGHTED_PASSES = 4


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
    pooling, horizon = _lengths(windows)
    rows = Rows(norm, effects, pooling, components)
    # Windows in a line: a fold no longer than one shares all its values with the next ones.
    fewest = 0 if windows.folds_are_apart else (pooling.lookback + horizon) // windows.stride
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
    pooling, horizon = _lengths(windows)
    own = Rows(None, effects, pooling, components).prefixes[-1]
    return has_room(own + components.num_lags, horizon, components.num_targets)


def _lengths(windows: TrainingWindows | Sample) -> tuple[Pooling, int]:
    """Steps of the look-back, as they are pooled, and of the horizon."""
    first = windows.first
    horizon, num_components = first.future.shape[1:]
    return Pooling.of(first.inputs.target.shape[1], horizon, num_components), horizon


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
