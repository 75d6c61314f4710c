"""The linear map that training begins at, against numpy's least squares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from darts.utils.likelihood_models import torch as likelihoods

from informer_forecaster._network.ridge import RidgeRegression


def test_ridge_regression_is_that_of_numpy():
    """Summed over batches: the same as of all rows at once."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 4)), random.normal(size=(50, 2))
    regression = RidgeRegression(4, 2)
    for rows in (slice(0, 20), slice(20, 50)):
        regression.add(torch.tensor(x[rows]), torch.tensor(y[rows]))
    found = regression.solve(penalty=0.5)
    penalty = 0.5 * np.square(x).sum(0).mean()
    expected = np.linalg.solve(x.T @ x + penalty * np.eye(4), x.T @ y).T
    np.testing.assert_allclose(found.weight, expected, rtol=1e-10)
    hat = x @ np.linalg.solve(x.T @ x + penalty * np.eye(4), x.T)
    left = np.square(y - x @ expected.T).sum(0) / (1 - np.trace(hat) / 50) ** 2
    np.testing.assert_allclose(found.residual, left, rtol=1e-10)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_map_does_not_depend_on_the_unit(scale):
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    one, other = RidgeRegression(3, 3), RidgeRegression(3, 3)
    one.add(x, x.flip(1))
    other.add(x * scale, x.flip(1) * scale)
    torch.testing.assert_close(one.solve().weight, other.solve().weight, rtol=1e-4, atol=1e-6)


def test_few_rows_leave_as_much_as_new_ones_do():
    """Twelve weights fitted to twenty rows of noise: what they leave there is far too little."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 12, generator=generator), torch.randn(20, 400, generator=generator)
    regression = RidgeRegression(12, 400)
    regression.add(x, y)
    weight, residual = regression.solve(penalty=0.01)
    new = torch.randn(20, 12, generator=generator), torch.randn(20, 400, generator=generator)
    seen, unseen = (((b - a @ weight.T.float()) ** 2).sum() for a, b in ((x, y), new))
    assert seen < 0.3 * unseen
    assert 0.5 * unseen < residual.sum() < 2 * unseen


@pytest.mark.parametrize("value", [0.0, float("inf")])
def test_no_map_is_better_than_a_wrong_one(value):
    regression = RidgeRegression(2, 1)
    regression.add(torch.full((4, 2), value), torch.ones(4, 1))
    assert regression.solve() is None


def forecasts_of_the_start(tiny_model, series, **options):
    """Fit with a learning rate of zero, so that the forecast is that of the start."""
    trainer = {"limit_train_batches": 1.0}
    model = tiny_model(optimizer_kwargs={"lr": 0.0}, trainer=trainer, **options)
    is_distribution = options.get("likelihood") is not None
    model.fit(series)
    return model, model.predict(4, series, predict_likelihood_parameters=is_distribution)


def test_training_begins_at_the_map_for_every_component(tiny_model, waves):
    """An exact recurrence: a sine's next values are a linear map of its last ones."""
    steps = np.arange(200)[:, None]
    series = waves(200, components=2).with_values(np.sin(steps * [0.5, 0.5] + [0.0, 1.0]))
    model, forecast = forecasts_of_the_start(tiny_model, series[:-4], likelihood=None)
    assert not model.model.network.projection.weight.any()
    error = np.abs(forecast.values() - series[-4:].values()).max()
    assert error < 0.15


@pytest.mark.parametrize("name", ["Gaussian", "Laplace", "Gumbel", "Cauchy"])
def test_the_scale_begins_at_the_error_of_the_map(tiny_model, waves, name):
    """White noise: the error of every step has the deviation of the noise, about 3."""
    noise = np.random.default_rng(0).normal(scale=3.0, size=(400, 1))
    series = waves(400).with_values(noise)
    likelihood = getattr(likelihoods, f"{name}Likelihood")()
    _, parameters = forecasts_of_the_start(tiny_model, series, likelihood=likelihood)
    share = {"Gaussian": 1, "Laplace": 0.5**0.5, "Gumbel": 6**0.5 / np.pi, "Cauchy": 0.6745}[name]
    deviation = series[-8:].values().std()
    # Relative to the window's deviation, which is about 7/8 of the noise's.
    expected = share * deviation * np.sqrt((1 + 1 / 8) / (7 / 8))
    np.testing.assert_allclose(parameters.values()[:, 1], expected, rtol=0.15)


def test_quantiles_begin_in_order_and_as_wide_as_the_error(tiny_model, waves):
    """A quarter of white noise lies below the quantile 0.25, before anything is trained."""
    series = waves(400).with_values(np.random.default_rng(1).normal(size=(400, 1)))
    quantiles = likelihoods.QuantileRegression([0.25, 0.5, 0.75])
    model, _ = forecasts_of_the_start(tiny_model, series, likelihood=quantiles)
    forecasts = model.historical_forecasts(
        series, retrain=False, forecast_horizon=4, stride=4, last_points_only=False,
        predict_likelihood_parameters=True,
    )  # fmt: skip
    lower, middle, upper = np.concatenate([one.values() for one in forecasts]).T
    assert (lower < middle).all()
    assert (middle < upper).all()
    actual = np.concatenate([series.slice_intersect(one).values() for one in forecasts])[:, 0]
    assert abs((actual < lower).mean() - 0.25) < 0.08
    assert abs((actual < upper).mean() - 0.75) < 0.08


def test_the_map_stays_while_the_network_is_trained(tiny_model, waves):
    """Also through a second `fit`, and a network that is loaded."""
    model = tiny_model().fit(waves())
    before = model.model.network.lookback_skip.weight.clone()
    assert before.any()
    model.fit(waves(seed=1))
    assert torch.equal(model.model.network.lookback_skip.weight, before)


def test_a_likelihood_without_a_location_trains_the_map(tiny_model, waves):
    """A rate of counts is no linear forecast of the counts."""
    counts = waves().with_values(np.random.default_rng(0).poisson(5.0, size=(40, 1)).astype(float))
    model = tiny_model(likelihood=likelihoods.PoissonLikelihood()).fit(counts)
    skip = model.model.network.lookback_skip
    assert skip.weight.requires_grad
    assert 0 < skip.weight.abs().max() < 0.01  # two steps of Adam away from zero
