"""A forecast is a mean of the network and its start, weighed by validation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression
from pytorch_lightning.callbacks import EarlyStopping

from informer_forecaster._training import share as share_module
from informer_forecaster._training.share import SHARES, agreed_share, trust
from informer_forecaster.adapters import _darts_module

WHOLE = {"limit_train_batches": None}
LIKELIHOODS = [None, GaussianLikelihood(), QuantileRegression([0.1, 0.5, 0.9])]


def three_flags(length=500):
    """A series that three flags move together: no two of them tell anything."""
    draw = np.random.default_rng(0)
    flags = draw.integers(0, 2, size=(length, 3))
    values = 5.0 * (2 * (flags.sum(1) % 2) - 1) + 0.1 * draw.normal(size=length)
    days = pd.date_range("2022-01-03", periods=length)
    return [
        TimeSeries.from_times_and_values(days, each.reshape(length, -1).astype(np.float32))
        for each in (values, flags)
    ]


def test_the_network_forecasts_what_the_start_cannot(tiny_model):
    """The regression has pairs of covariates, and no three."""
    series, flags = three_flags()
    model = tiny_model(n_epochs=30, trainer=WHOLE, batch_size=32, dropout=0.0)
    model.fit(series[:400], future_covariates=flags)
    assert model.model.share > 0.8
    forecasts = model.historical_forecasts(
        series, future_covariates=flags, start=400, start_format="position", retrain=False,
        stride=4, forecast_horizon=4, last_points_only=False,
    )  # fmt: skip
    errors = [(one - series.slice_intersect(one)).values() for one in forecasts]
    assert np.abs(errors).mean() < 2.0  # 5 is that of any linear forecast


@pytest.mark.parametrize("ends", ["by itself", "by the user", "never"])
def test_without_covariates_too(tiny_model, ends):
    """A logistic map: each value follows from the one before, by no line.

    Whatever ends the training, a series that validates tells how much it has learnt.
    """
    stop = EarlyStopping("val_loss", patience=15)
    never = {"early_stopping_patience": None} if ends == "never" else {}
    callbacks = {"callbacks": [stop] if ends == "by the user" else []}
    values = [0.3]
    for _ in range(599):
        values.append(3.9 * values[-1] * (1 - values[-1]))
    series = TimeSeries.from_values(np.array(values, dtype=np.float32))
    errors = {}
    for epochs in (0, 60):
        model = tiny_model(
            4, 1, n_epochs=epochs, trainer=WHOLE | callbacks, dropout=0.0,
            optimizer_kwargs={"lr": 1e-2}, **never,
        )  # fmt: skip
        model.fit(series[:400], val_series=series[400:500])
        forecasts = model.historical_forecasts(
            series, start=500, start_format="position", retrain=False, forecast_horizon=1
        )
        errors[epochs] = np.square((forecasts - series.slice_intersect(forecasts)).values()).mean()
    assert model.model.share > 0.9
    assert errors[60] < 0.1 * errors[0]


def test_patience_waits_for_the_network_alone(tiny_model):
    """A start that it has yet to reach would cut a training that still falls, and lose it all."""
    days = pd.date_range("2022-01-03", periods=400)
    flag = np.random.default_rng(0).integers(0, 2, size=400)
    values = 5.0 * flag + 0.1 * np.random.default_rng(1).normal(size=400)
    series, known = (
        TimeSeries.from_times_and_values(days, each.reshape(-1, 1).astype(np.float32))
        for each in (values, flag)
    )
    options = {"trainer": WHOLE, "optimizer_kwargs": {"lr": 1e-5}, "dropout": 0.0}
    model = tiny_model(n_epochs=6, early_stopping_patience=1, **options)
    model.fit(series[:300], val_series=series[300:], future_covariates=known,
              val_future_covariates=known)  # fmt: skip
    assert model.epochs_trained == 6
    assert model.model.share == 0  # the start is as good as can be
    start = tiny_model(n_epochs=0, **options)
    start.fit(series[:300], future_covariates=known)
    one, other = (each.predict(4, series[:-4], future_covariates=known) for each in (model, start))
    np.testing.assert_allclose(one.values(), other.values(), rtol=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda one: type(one).__name__)
def test_a_forecast_is_a_mean_of_both(tiny_model, waves, monkeypatch, likelihood):
    """Parameter by parameter; without a share the start forecasts alone."""
    monkeypatch.setattr(_darts_module, "best_factor", lambda *_: 1.0)  # the widths of the mean
    known = waves(70, 2, seed=1)
    options = {"likelihood": likelihood} if likelihood else {}
    start = tiny_model(n_epochs=0, **options).fit(waves(60), future_covariates=known)
    model = tiny_model(**options).fit(waves(60), future_covariates=known)
    given = {"future_covariates": known, "predict_likelihood_parameters": likelihood is not None}
    found = {}
    for share in (0.0, 0.25, 1.0):
        model.model.share.fill_(share)
        found[share] = model.predict(4, **given).values()
    np.testing.assert_allclose(found[0.0], start.predict(4, **given).values(), rtol=1e-5)
    assert not np.allclose(found[1.0], found[0.0])
    if not isinstance(likelihood, GaussianLikelihood):  # whose deviation passes a softplus
        mean = 0.75 * found[0.0] + 0.25 * found[1.0]
        np.testing.assert_allclose(found[0.25], mean, rtol=1e-4)


def test_the_start_has_no_say_in_what_the_network_learns(tiny_model, waves, monkeypatch):
    """It has seen the windows that train, and leaves less of them than of others."""
    known, options = waves(70, 2, seed=1), {"n_epochs": 3, "early_stopping_patience": None}
    one = tiny_model(**options).fit(waves(60), future_covariates=known)
    fit_start = _darts_module.fit_start

    def fit_worse(*arguments, **options):
        found = fit_start(*arguments, **options)
        return found._replace(weight=found.weight * 0.5)

    monkeypatch.setattr(_darts_module, "fit_start", fit_worse)
    other = tiny_model(**options).fit(waves(60), future_covariates=known)
    assert one.predict(4, future_covariates=known) != other.predict(4, future_covariates=known)
    for name, value in one.model.network.named_parameters():
        if "lookback_skip" not in name:
            assert torch.equal(value, other.model.network.get_parameter(name)), name


def test_a_network_that_nothing_validates_has_a_share_of_its_steps(tiny_model, waves, monkeypatch):
    """Half after 500 steps; after two it has learnt next to nothing."""
    monkeypatch.setattr(share_module, "STEPS_TO_LEARN", 500)
    known = waves(70, 2, seed=1)
    model = tiny_model(early_stopping_patience=None).fit(waves(60), future_covariates=known)
    assert model.model.share == pytest.approx(0.5 * 2 / 500)


def test_a_network_without_a_start_forecasts_alone(tiny_model, waves, monkeypatch):
    """No regression fits a single window; half of nothing would be half of each forecast."""
    monkeypatch.setattr(_darts_module, "fit_start", lambda *_, **__: None)
    model = tiny_model(early_stopping_patience=None).fit(waves(60))
    assert model.model.share == 1


def test_every_file_keeps_the_share(tiny_model, waves, reloaded):
    known = waves(70, 2, seed=1)
    model = tiny_model(early_stopping_patience=None).fit(waves(60), future_covariates=known)
    model.model.share.fill_(0.25)
    expected = model.predict(4, waves(60), future_covariates=known).values()
    for other in reloaded(model):
        found = other.predict(4, waves(60), future_covariates=known).values()
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("best_of_each", "agreed"),
    [
        ([0.5] * 5, 0.5),
        ([0.0] * 5, 0.0),
        # A mean of a half, a variance of an eighth.
        ([0.0, 0.5, 1.0, 0.5, 0.5], 0.5 * 0.25 / (0.25 + 0.125 / 5)),
    ],
)
@pytest.mark.parametrize("weights", [[1, 1, 1, 1, 1], [1, 900, 1, 1, 1]])
def test_a_share_goes_as_far_as_stretches_agree(best_of_each, agreed, weights):
    """How much one of them gains, here 900 times as much as others, is beside the point."""
    shares = torch.tensor(SHARES, dtype=torch.float64)
    ways = shares - torch.tensor(best_of_each, dtype=torch.float64).unsqueeze(1)
    losses = torch.tensor(weights).unsqueeze(1) * ways.square()
    found = agreed_share(losses, 1e9, lambda sums: sums)
    assert found == pytest.approx(agreed, rel=1e-6)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (0.3, 12 / 14),
        (0.01, 12 / 12.2),  # a tenth of the start would be nearly all of the error
        (0.95, 12 / 31),  # a gain of a twentieth is soon one of chance
    ],
)
@pytest.mark.parametrize("degree", [2, 1, 0])
def test_a_network_is_trusted_as_far_as_it_gains(left, expected, degree):
    """By the squared error that is left, whatever the loss, and in each unit of the series."""
    away = 1 - torch.tensor(SHARES, dtype=torch.float64)
    errors = left + (1 - left) * away.square()
    for unit in (1.0, 100.0):
        scaled = errors * unit**2
        losses = {2: scaled, 1: scaled.sqrt(), 0: 0.5 * scaled.log()}[degree]
        found = agreed_share(losses.expand(5, 17), 13, lambda sums: sums, degree)
        assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("left", "num_apart", "expected"),
    [(0.0, 1.0, 0.0), (0.0, 13.0, 1.0), (1.0, 13.0, 0.0), (float("nan"), 13.0, 0.0)],
)
def test_trust_at_the_ends_of_what_can_be_left(left, num_apart, expected):
    """A log-likelihood may fall so far that nothing is left; a single window says nothing of it."""
    assert trust(left, num_apart) == expected


def test_a_loss_below_zero_tells_no_share_of_an_error():
    losses = (torch.tensor(SHARES) - 1).square().expand(5, 17) - 3
    assert agreed_share(losses, 13, lambda sums: sums) == pytest.approx(12 / 14)


def test_the_share_is_that_of_the_lowest_loss_of_all():
    """Three stretches of five would have none, and lose less by a half than the others gain."""
    shares = torch.tensor(SHARES, dtype=torch.float64)
    losses = torch.stack([0.1 * shares] * 3 + [(shares - 0.75).square()] * 2)
    mean, variance = 0.3, 0.16875
    earned = mean**2 / (mean**2 + variance / 5)
    best = SHARES[int(losses.sum(0).argmin())]
    assert best == pytest.approx(0.675, abs=1 / 32)
    assert agreed_share(losses, 1e9, lambda sums: sums) == pytest.approx(best * earned, rel=1e-6)


@pytest.mark.parametrize(("horizon", "is_trusted"), [(64, False), (4, True)])
def test_what_wins_on_a_single_window_is_not_trusted(tiny_model, monkeypatch, horizon, is_trusted):
    """Of 64 steps each, no two of the 53 windows that validate have all of them apart."""
    counts = []
    monkeypatch.setattr(share_module, "earned_share", lambda *_: counts.append(1) or 1.0)
    series, flags = three_flags()
    model = tiny_model(
        output_chunk_length=horizon, n_epochs=30, trainer=WHOLE, batch_size=32, dropout=0.0
    )
    model.fit(series[:-horizon], future_covariates=flags)
    assert counts == [1]
    assert model.model.share == 0 if not is_trusted else model.model.share > 0.8
