"""Probabilistic forecasts: every likelihood of Darts, and Monte Carlo dropout."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from darts import TimeSeries
from darts.models import ConformalNaiveModel
from darts.utils.likelihood_models import torch as likelihoods
from darts.utils.likelihood_models.torch import (
    GaussianLikelihood,
    QuantileRegression,
)

LIKELIHOODS = [
    cls
    for _, cls in inspect.getmembers(likelihoods, inspect.isclass)
    if issubclass(cls, likelihoods.TorchLikelihood) and not inspect.isabstract(cls)
]
# What a distribution may describe; the others take any number.
COUNTS = {"PoissonLikelihood", "NegativeBinomialLikelihood", "GeometricLikelihood"}
UNIT = {"BetaLikelihood", "ContinuousBernoulliLikelihood", "DirichletLikelihood"}


def data_for(likelihood, waves, components):
    """Bring the waves into the support of a distribution."""
    values = waves(60, components).values()
    if likelihood.__name__ in COUNTS:
        values = np.round(values)
    elif likelihood.__name__ == "BernoulliLikelihood":
        values = (values > 10).astype(float)
    elif likelihood.__name__ in UNIT:
        values = 1 / (1 + np.exp(10 - values))
        if likelihood.__name__ == "DirichletLikelihood":
            values = values / values.sum(axis=1, keepdims=True)
    return TimeSeries.from_values(values)


def test_darts_offers_the_likelihoods_that_are_tested():
    """A likelihood that a later Darts adds is picked up here; none is lost by a rename."""
    assert len(LIKELIHOODS) >= 17
    assert {"GaussianLikelihood", "QuantileRegression"} <= {cls.__name__ for cls in LIKELIHOODS}


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda cls: cls.__name__)
def test_parameters_that_round_to_zero_are_kept_above_it(tiny_model, waves, likelihood):
    """A softplus of -1e4 is 0, and no distribution can be sampled at a rate or a scale of 0."""
    series = data_for(likelihood, waves, 2).astype(np.float32)
    model = tiny_model(likelihood=likelihood()).fit(series)
    with torch.no_grad():
        model.model.network.projection.bias.fill_(-1e4)
    samples = model.predict(4, num_samples=20, random_state=0).all_values()
    assert not np.isnan(samples).any()


@pytest.mark.parametrize("components", [1, 2])
@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda cls: cls.__name__)
def test_samples_and_parameters_of_every_likelihood(tiny_model, waves, likelihood, components):
    series = data_for(likelihood, waves, components)
    model = tiny_model(likelihood=likelihood()).fit(series)
    samples = model.predict(4, num_samples=20)
    assert samples.shape == (4, components, 20)
    parameters = model.predict(4, predict_likelihood_parameters=True)
    wide = likelihood is likelihoods.DirichletLikelihood
    names = model.likelihood.component_names(series)
    assert list(parameters.components) == list(names)
    assert parameters.n_components == model.likelihood.num_parameters * components or wide
    if likelihood is not likelihoods.CauchyLikelihood:
        assert np.isfinite(samples.all_values()).all()
    assert np.isfinite(parameters.values()).all()


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda cls: cls.__name__)
def test_the_default_model_takes_every_likelihood(tiny_model, waves, likelihood):
    """The instance norm, on by default, scales raw parameters: they must stay in their domain."""
    series = data_for(likelihood, waves, 2)
    model = tiny_model(likelihood=likelihood()).fit(series)
    parameters = model.predict(4, predict_likelihood_parameters=True)
    assert np.isfinite(parameters.values()).all()


@pytest.mark.parametrize("n", [4, 9])
def test_quantiles_do_not_cross_in_the_samples_and_roll_out(tiny_model, waves, n):
    series = waves(60)
    model = tiny_model(likelihood=QuantileRegression([0.1, 0.5, 0.9]), n_epochs=20).fit(series)
    samples = model.predict(n, num_samples=200)
    low, middle, high = (samples.quantile(q).values() for q in (0.1, 0.5, 0.9))
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert (low < high).any()


def test_sampling_is_repeatable_by_its_seed(tiny_model, waves):
    model = tiny_model(likelihood=GaussianLikelihood()).fit(waves())
    once = model.predict(4, num_samples=5, random_state=1)
    assert model.predict(4, num_samples=5, random_state=1) == once
    assert model.predict(4, num_samples=5, random_state=2) != once


@pytest.mark.filterwarnings("ignore:`num_samples=10` gives equal paths")
@pytest.mark.parametrize("attention", ["prob", "full"])
def test_monte_carlo_dropout_gives_samples_that_differ(tiny_model, waves, attention):
    """Dropout is off otherwise, in both kinds of attention."""
    all_windows = {"early_stopping_patience": None}
    model = tiny_model(token_dropout=0.3, attention=attention, **all_windows).fit(waves())
    plain = model.predict(4, num_samples=10)
    assert np.ptp(plain.all_values(), axis=2).max() == 0
    noisy = model.predict(4, num_samples=10, mc_dropout=True)
    assert (np.ptp(noisy.all_values(), axis=2) > 0).all()
    assert model.predict(4, num_samples=10) == plain


@pytest.mark.parametrize("attention", ["prob", "full"])
def test_monte_carlo_dropout_includes_the_attention_weights(tiny_model, waves, attention):
    """Fused attention drops by a number, not by a module: the switch must reach it all the same."""
    all_windows = {"early_stopping_patience": None}
    model = tiny_model(30, 4, token_dropout=0.3, attention=attention, **all_windows).fit(waves(60))
    for name, module in model.model.network.named_modules():
        if hasattr(module, "p") and not name.endswith("attention.attention.dropout"):
            module.p = 0.0
    samples = model.predict(4, num_samples=10, mc_dropout=True).all_values()
    assert (np.ptp(samples, axis=2) > 0).all()


def test_every_dropout_can_be_kept_at_prediction(tiny_model, waves):
    """A plain torch dropout anywhere would silently stay off."""
    model = tiny_model(dropout=0.3).fit(waves())
    plain = [m for m in model.model.network.modules() if type(m) is torch.nn.Dropout]
    assert plain == []
    assert model.supports_probabilistic_prediction


def noisy_level(tiny_model, level, components, **options):
    """Fit a Gaussian to noise of deviation 0.1 around a level; the forecast of 100 steps."""
    noise = np.random.default_rng(0).normal(scale=0.1, size=(100, 2))
    series = TimeSeries.from_values(level + noise[:, :components])
    sizes = {"d_model": 64, "nhead": 4, "dim_feedforward": 256, "batch_size": 32, "n_epochs": 30}
    training = {"likelihood": GaussianLikelihood(), "optimizer_kwargs": {"lr": 1e-3}}
    model = tiny_model(10, 5, **training, **sizes, **options)
    return model.fit(series).predict(100, num_samples=100, random_state=0)


@pytest.mark.parametrize(("components", "bound"), [(1, 0.06), (2, 0.1)])
def test_a_gaussian_finds_the_level_of_a_noisy_constant(tiny_model, components, bound):
    """Darts' own bounds for the median's error of its probabilistic networks."""
    whole = {"limit_train_batches": 1.0}
    options = {"use_reversible_instance_norm": False, "trainer": whole}
    samples = noisy_level(tiny_model, 0.5, components, **options)
    assert np.abs(samples.quantile(0.5).values() - 0.5).mean() < bound


@pytest.mark.parametrize("level", [0.5, 10.0, 1000.0])
def test_a_gaussian_finds_the_deviation_at_any_level(tiny_model, level):
    """The noise has the deviation 0.1, and no level is added to it by undoing the norm.

    Of the first output chunk: in a roll-out samples are fed back, and drift.
    """
    samples = noisy_level(tiny_model, level, 1, trainer={"limit_train_batches": 1.0})
    assert 0.07 < samples[:5].all_values().std() < 0.14
    assert np.abs(samples.quantile(0.5).values() - level).mean() < 0.1


@pytest.mark.parametrize("name", ["Gaussian", "Laplace", "Cauchy", "Gumbel"])
def test_location_and_scale_move_with_the_series(tiny_model, waves, name):
    """For 40 y + 700 the location is 40 times as large plus 700, the scale 40 times as large."""
    options = {"use_reversible_instance_norm": {"eps": 1e-12}}
    model = tiny_model(likelihood=getattr(likelihoods, f"{name}Likelihood")(), **options)
    model.fit(waves())
    plain, moved = (
        model.predict(4, series, predict_likelihood_parameters=True).values()
        for series in (waves(), waves() * 40.0 + 700.0)
    )
    np.testing.assert_allclose(moved[:, 0], 40 * plain[:, 0] + 700, rtol=1e-6)
    np.testing.assert_allclose(moved[:, 1], 40 * plain[:, 1], rtol=1e-6)


def test_the_norm_is_off_where_parameters_do_not_move_with_the_series(tiny_model, waves):
    """A rate of counts has no level to take out; asked for, the norm is used all the same."""
    counts = waves().with_values(np.round(waves().values()))
    for asked, used in ((None, False), (True, True)):
        model = tiny_model(
            likelihood=likelihoods.PoissonLikelihood(), use_reversible_instance_norm=asked
        ).fit(counts)
        assert (model.model.rin is not None) == used


def test_equal_paths_are_warned_of(tiny_model, waves):
    """Without a likelihood the samples are the forecast, as often as it was asked for."""
    series = waves()
    model = tiny_model(dropout=0.0).fit(series)
    for without_effect in ({}, {"mc_dropout": True}):  # there is nothing to drop
        with pytest.warns(UserWarning, match="`num_samples=3` gives equal paths.*`dropout=0.1`"):
            paths = model.predict(4, num_samples=3, **without_effect)
        assert np.ptp(paths.all_values(), axis=2).max() == 0
    for drops in ({"dropout": 0.5}, {"dropout": 0.0, "token_dropout": 0.5}):
        model = tiny_model(**drops, early_stopping_patience=None).fit(series)
        varied = model.predict(4, num_samples=3, mc_dropout=True)
        assert np.ptp(varied.all_values(), axis=2).max() > 0


@pytest.mark.filterwarnings("error:`num_samples")
def test_a_conformal_model_is_not_warned_of_equal_paths(tiny_model, waves):
    """It asks for 500 samples of whatever model it is given."""
    series = waves(60)
    model = ConformalNaiveModel(tiny_model().fit(series), quantiles=[0.1, 0.5, 0.9], cal_length=4)
    assert len(model.predict(4, series)) == 4
