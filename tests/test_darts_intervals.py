"""Intervals are as wide as the windows that validate show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression

from informer_forecaster._training import intervals
from informer_forecaster._training.intervals import best_factor, losses_by_factor
from informer_forecaster.adapters import _darts_module

QUANTILES = [0.1, 0.5, 0.9]
WHOLE = {"trainer": {"limit_train_batches": None}}


@pytest.fixture
def noise(waves):
    """Make a series of noise of a size."""

    def make(size, length=300, seed=0):
        values = np.random.default_rng(seed).normal(scale=size, size=(length, 1, 1))
        return waves(length).with_values(values)

    return make


def quantiles_of(model, series):
    forecast = model.predict(4, series, predict_likelihood_parameters=True)
    return forecast.values()


@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
def test_intervals_fit_the_validation_series(tiny_model, noise, monkeypatch, size):
    """Its noise is half, the same and twice that of the training; medians stay."""
    monkeypatch.setattr(_darts_module, "agreed_share", lambda *_, **__: 0.0)  # the start alone
    series, window = noise(1.0), noise(1.0, 8, seed=2)
    # In the units of the series, not in those of each window.
    given = {"likelihood": QuantileRegression(QUANTILES), "use_reversible_instance_norm": False}
    found = quantiles_of(
        tiny_model(**given, **WHOLE).fit(series, val_series=noise(size, seed=1)), window
    )
    plain = tiny_model(n_epochs=0, **given, **WHOLE).fit(series)
    before = quantiles_of(plain, window)
    np.testing.assert_allclose(found[:, 1], before[:, 1], rtol=1e-5)
    for side in (0, 2):
        widths = (one[:, side] - one[:, 1] for one in (found, before))
        np.testing.assert_allclose(np.divide(*widths), size, rtol=0.2)


def test_other_likelihoods_are_left_alone(tiny_model, waves):
    """A network without a linear map has quantiles, too; a Gaussian has a width of its own."""
    options = {"n_epochs": 2, "random_state": 0}
    for likelihood in (GaussianLikelihood(), QuantileRegression(QUANTILES)):
        model = tiny_model(likelihood=likelihood, lookback_skip=False, **options)
        model.fit(waves(60), val_series=waves(40, seed=1))
        assert np.isfinite(model.predict(4).values()).all()


@pytest.mark.parametrize(("num_wide", "low", "high"), [(500, 0.98, 1.0), (100, 0.05, 0.5)])
def test_a_factor_is_taken_as_far_as_its_gain_has_earned(monkeypatch, num_wide, low, high):
    """Where values scatter widely for a while only, wider intervals gain then and lose later."""
    levels, values = [0.1, 0.5, 0.9], torch.randn(500, generator=torch.Generator().manual_seed(0))
    values[:num_wide] *= 4
    forecasts = torch.tensor([-1.28, 0.0, 1.28]).expand(500, 1, 1, 3)
    losses = losses_by_factor(levels, forecasts, values.view(500, 1, 1))
    taken = best_factor(losses, len(losses), lambda sums: sums)
    monkeypatch.setattr(intervals, "earned_share", lambda *_: 1.0)
    best = best_factor(losses, len(losses), lambda sums: sums)
    assert low < (taken - 1) / (best - 1) <= high
