"""Private: the linear forecast that training begins at, by ridge regression on the windows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Any

import torch
from darts.utils.data.torch_datasets.utils import TorchTrainingBatch
from darts.utils.likelihood_models.torch import (
    CauchyLikelihood,
    GaussianLikelihood,
    GumbelLikelihood,
    LaplaceLikelihood,
    QuantileRegression,
)
from torch import Tensor

from informer_forecaster._network.ridge import RidgeRegression

# Scale parameter of a distribution whose deviation is 1; a Cauchy's is half its quartile distance.
LOCATION_SCALE = {
    GaussianLikelihood: 1.0,
    LaplaceLikelihood: math.sqrt(0.5),
    GumbelLikelihood: math.sqrt(6) / math.pi,
    CauchyLikelihood: NormalDist().inv_cdf(0.75),
}


def moves_with_the_series(likelihood: object) -> bool:
    """Whether level and scale of the series can be put back into the parameters."""
    return likelihood is None or isinstance(likelihood, (QuantileRegression, *LOCATION_SCALE))


class SeriesNorm:
    """Level and deviation of all training windows, for models that take away none of their own.

    Without them the penalty on the intercept would grow with the level of the series.

    Parameters
    ----------
    batches : iterable
        As for :func:`fit_linear_map`.
    strategy : lightning strategy
        Adds up what several processes saw.
    """

    def __init__(self, batches: Iterable[tuple[int, TorchTrainingBatch]], strategy: Any) -> None:
        sums = torch.zeros(3, 1)
        for _, batch in batches:
            past = batch.past_target
            means, variances = past.mean(1), past.var(1, correction=0)
            rows = torch.stack([means.sum(0), variances.sum(0), torch.ones_like(means).sum(0)])
            sums = sums.to(rows) + rows
        total, squares, count = strategy.reduce(sums, reduce_op="sum").unbind()
        self.mean = total / count  # (C,)
        # Where all windows are constant, any unit does.
        self.stdev = torch.where(squares > 0, (squares / count).sqrt(), 1.0)

    def __call__(self, past: Tensor) -> None:
        """Leave level and deviation as they are, whatever the window."""

    def put_back(self, found: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Give weight ``(C, H, L)``, intercept and error ``(C, H)`` in units of the series.

        Components that share a map have one each then, as their levels differ.
        """
        weight, intercept, error = (each.expand(len(self.mean), *each.shape[1:]) for each in found)
        mean, stdev = (each.to(weight).unsqueeze(1) for each in (self.mean, self.stdev))
        return weight, intercept * stdev + mean * (1 - weight.sum(2)), error * stdev


def fit_linear_map(
    batches: Iterable[tuple[int, TorchTrainingBatch]],
    norm: Any,
    likelihood: Any,
    strategy: Any,
    *,
    folds_are_apart: bool,
) -> tuple[Tensor, Tensor] | None:
    """Fit the map from normalised look-backs to the parameters of the likelihood.

    Parameters
    ----------
    batches : iterable
        Training windows, past ``(B, L, C)`` and future ``(B, H, C)``, and the number of the fold
        that they are in.
    norm : darts.models.components.layer_norm_variants.RINorm or SeriesNorm
        The instance norm, without a transform of its own, or what stands for one.
    likelihood : darts likelihood or None
        One that :func:`moves_with_the_series`.
    strategy : lightning strategy
        Adds up what several processes saw.
    folds_are_apart : bool
        Whether no two folds have windows of one series.

    Returns
    -------
    tuple of torch.Tensor or None
        Weight ``(C, P, H, L)`` and bias ``(C, P, H)``, where ``C`` is 1 if one map suits all
        components; ``None`` where the windows are constant.
    """
    regression: RidgeRegression | None = None
    for fold, batch in batches:
        x, y = _rows(batch, norm)
        if regression is None:
            regression = RidgeRegression(x.shape[2], y.shape[2], x.shape[1], x.device)
        taught = x.any(2).any(1)
        regression.add(x[taught], y[taught], fold)
    if regression is None:
        return None
    regression.reduce(lambda sums: strategy.reduce(sums, reduce_op="sum"))
    found = regression.solve(folds_are_apart=folds_are_apart)
    if found is None:
        return None
    weight, intercept = found.weight[:, :-1].mT, found.weight[:, -1]
    # The last input is the deviation of the window: errors are measured in it.
    squares = regression.sums.inner.sum(0)[:, -1, -1]
    squares = squares if len(weight) > 1 else squares.sum(0, keepdim=True)
    # A component whose windows are all constant leaves no error.
    error = (found.residual / squares.clamp(min=torch.finfo(squares.dtype).tiny)[:, None]).sqrt()
    if isinstance(norm, SeriesNorm):
        weight, intercept, error = norm.put_back((weight, intercept, error))
    return _for_parameters(weight, intercept, error, likelihood)


def _rows(batch: TorchTrainingBatch, norm: Any) -> tuple[Tensor, Tensor]:
    """Inputs ``(B, C, L + 1)`` and outputs ``(B, C, H)``; windows weigh as they do in the loss.

    The loss is in the units of the series: a window counts by the square of its deviation. It also
    counts by its sample weight, averaged over the horizon.
    """
    past, future = batch.past_target, batch.future_target
    assert future is not None  # of a training batch
    norm(past)
    past, future = past - norm.mean, future - norm.mean
    x = torch.cat([past, norm.stdev.expand_as(past[:, :1])], dim=1)
    if batch.sample_weight is not None:
        root = batch.sample_weight.mean(1, keepdim=True).sqrt()
        x, future = root * x, root * future
    return x.transpose(1, 2), future.transpose(1, 2)


def _for_parameters(
    weight: Tensor, intercept: Tensor, error: Tensor, likelihood: Any
) -> tuple[Tensor, Tensor]:
    """Weight ``(C, P, H, L)`` and bias ``(C, P, H)``: as wide as the error ``(C, H)``."""
    if likelihood is None:
        return weight.unsqueeze(1), intercept.unsqueeze(1)
    if isinstance(likelihood, QuantileRegression):
        probits = torch.tensor([NormalDist().inv_cdf(q) for q in likelihood.quantiles])
        spread = probits.to(error)[:, None] * error.unsqueeze(1)
        repeated = weight.unsqueeze(1).expand(-1, len(probits), -1, -1)
        return repeated, intercept.unsqueeze(1) + spread
    share = next(s for cls, s in LOCATION_SCALE.items() if isinstance(likelihood, cls))
    raw = invert_softplus((share * error).clamp(min=1e-3))
    weights = torch.stack([weight, torch.zeros_like(weight)], dim=1)
    return weights, torch.stack([intercept, raw], dim=1)


def invert_softplus(scale: Tensor) -> Tensor:
    """Give what a softplus turns into ``scale``: how likelihoods read theirs.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster.adapters._linear_start import invert_softplus
    >>> torch.nn.functional.softplus(invert_softplus(torch.tensor([0.5, 2.0])))
    tensor([0.5000, 2.0000])
    """
    return scale + torch.log(-torch.expm1(-scale.clamp(min=torch.finfo(scale.dtype).tiny)))
