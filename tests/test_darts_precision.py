"""Number formats: the series' own by default, and any the trainer is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from darts import TimeSeries
from darts.utils.likelihood_models.torch import QuantileRegression

from informer_forecaster import InformerModel

PAST, FUTURE = "past_covariates", "future_covariates"


def covariates(waves, dtype):
    return {PAST: waves(60, seed=1, dtype=dtype), FUTURE: waves(60, seed=2, dtype=dtype)}


@pytest.mark.parametrize(
    ("dtype", "weights"), [(np.float32, torch.float32), (np.float64, torch.float64)]
)
@pytest.mark.parametrize("index", ["datetime", "range"])
def test_the_series_set_the_precision(tiny_model, waves, dtype, weights, index, caplog):
    """Calendar features, which are ours, must not mix another precision in: Darts warns of it."""
    model = tiny_model().fit(waves(index=index, dtype=dtype))
    assert model.model.dtype == weights
    assert model.predict(7).dtype == dtype
    assert not [record for record in caplog.records if "data type" in record.getMessage()]


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("attention", ["prob", "full"])
@pytest.mark.filterwarnings("ignore:.*bf16")
def test_any_precision_takes_any_series(tiny_model, waves, precision, dtype, attention):
    """Series are float64 by default; asking for a faster precision must not need a conversion."""
    options = {"attention": attention, "likelihood": QuantileRegression([0.1, 0.5, 0.9])}
    model = tiny_model(trainer={"precision": precision}, **options)
    series, given = waves(dtype=dtype), covariates(waves, dtype)
    model.fit(series, val_series=series, **given, **{f"val_{k}": v for k, v in given.items()})
    assert np.isfinite(model.predict(7, num_samples=3, **given).all_values()).all()
    backtest = model.historical_forecasts(series, retrain=False, forecast_horizon=3, **given)
    assert np.isfinite(backtest.values()).all()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_lower_precision_forecasts_nearly_the_same(tiny_model, waves, tmp_path, precision):
    """The cast is a loss of digits, not another forecast."""
    series = waves(60)
    exact = tiny_model().fit(series)
    forecast = exact.predict(4)
    exact.save(str(tmp_path / "model.pt"))
    trainer = {"accelerator": "cpu", "logger": False, "precision": precision}
    rough = InformerModel.load(str(tmp_path / "model.pt"), pl_trainer_kwargs=trainer)
    rough.model.to(torch.float32)
    digits = 1e-5 if precision == "32-true" else 3e-2
    assert np.allclose(rough.predict(4).values(), forecast.values(), rtol=digits)


@pytest.mark.parametrize("kind", ["look-back", "other", PAST, FUTURE])
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
@pytest.mark.filterwarnings("ignore:.*16")
def test_mixed_precision_rounds_nothing_that_regression_found(tiny_model, precision, kind):
    """Of a holiday of 100 beside noise of 0.05, eight bits would leave a forecast that is 0.2 off.

    Mixed precision may round the network alone, which is zero here.
    """
    draw, steps = np.random.default_rng(0), np.arange(200)
    driver = draw.normal(size=204)
    value = {"look-back": np.sin(steps / 3), FUTURE: driver[4:]}.get(kind, driver[:-4])
    values = 100 * value + 0.05 * draw.normal(size=200)
    if kind == "other":
        values = np.stack([values, driver[4:]], axis=1)
    series, known = (TimeSeries.from_values(one.astype(np.float32)) for one in (values, driver[4:]))
    given = {kind: known} if kind in (PAST, FUTURE) else {}
    forecasts = []
    for each in ("32-true", precision):
        trainer = {"precision": each, "limit_train_batches": None}
        model = tiny_model(16, n_epochs=0, trainer=trainer).fit(series[:180], **given)
        forecasts.append(model.predict(4, **given).values()[:, 0])
    exact, rough = forecasts
    np.testing.assert_allclose(rough, exact, rtol=0, atol=1e-3)
    # Something was found.
    assert np.abs(exact - values.reshape(200, -1)[180:184, 0]).max() < 20


@pytest.mark.parametrize("wide", ["target", PAST, FUTURE, "static"])
def test_target_and_covariates_may_differ(tiny_model, waves, wide):
    """One float64 column among float32 ones must not end in torch's error about dtypes."""
    given = covariates(waves, np.float32)
    series = waves(dtype=np.float64 if wide == "target" else np.float32)
    if wide == "static":
        table = waves(1).to_dataframe().reset_index(drop=True)
        series = series.with_static_covariates(table)
    elif wide != "target":
        given[wide] = given[wide].astype(np.float64)
    model = tiny_model().fit(series, **given)
    assert np.isfinite(model.predict(7, **given).values()).all()


def test_another_precision_than_in_training_can_be_forecast(tiny_model, waves):
    """A model trained on float32 serves a user who reads float64, and the other way round."""
    model = tiny_model().fit(waves(dtype=np.float32))
    wide = model.predict(4, waves(dtype=np.float64))
    assert np.allclose(wide.values(), model.predict(4).values(), rtol=1e-5)


def half(tiny_model, **options):
    """Make a model of float16 weights that forecasts as regression found it."""
    trainer = {"precision": "16-true", "limit_train_batches": None}
    return tiny_model(16, n_epochs=0, trainer=trainer, **options)


@pytest.mark.parametrize("large", ["series", PAST, FUTURE])
def test_half_weights_refuse_what_they_cannot_square(tiny_model, waves, large):
    """A deviation of 300 is infinite in float16, and so were the forecasts, without a word."""
    given = {"series": waves(60), PAST: waves(70, seed=1), FUTURE: waves(70, seed=2)}
    too_large = {**given, large: given[large] * 400}
    with pytest.raises(ValueError, match=rf"`{large}` must .* magnitude up to 16,.*Scaler"):
        half(tiny_model).fit(**too_large)
    model = half(tiny_model).fit(**given)
    with pytest.raises(ValueError, match=r"must .* magnitude up to 16,.*Scaler"):
        model.predict(4, **too_large)
    with pytest.raises(ValueError, match=r"must .* magnitude up to 16,.*Scaler"):
        model.historical_forecasts(**too_large, retrain=False)


@pytest.mark.parametrize("kind", [None, PAST, FUTURE])
def test_half_weights_forecast_nearly_what_others_do(tiny_model, kind):
    """Up to that size they lose digits, and nothing else."""
    draw = np.random.default_rng(0)
    driver = draw.normal(size=204)
    values = 3 * (driver[4:] if kind == FUTURE else driver[:-4]) + 0.01 * draw.normal(size=200)
    series, known = (TimeSeries.from_values(one.astype(np.float32)) for one in (values, driver[4:]))
    given = {} if kind is None else {kind: known}
    exact = tiny_model(16, n_epochs=0, trainer={"limit_train_batches": None})
    forecasts = [
        one.fit(series[:180], **given).predict(4, **given).values()
        for one in (exact, half(tiny_model))
    ]
    np.testing.assert_allclose(*forecasts, rtol=0, atol=0.02)


def test_half_weights_forecast_a_constant_look_back(tiny_model, waves):
    """The instance norm adds 1e-12 to a variance of zero; in half precision that is zero too."""
    half = {"trainer": {"precision": "16-true"}, "optimizer_kwargs": {"eps": 1e-4}}
    series = waves(dtype=np.float32)
    values = series.values().copy()
    values[10:25] = 5.0
    still = series.with_values(values)
    model = tiny_model(**half).fit(still)
    assert np.isfinite(model.predict(4).values()).all()
    np.testing.assert_allclose(model.predict(4, still[:25]).values(), 5.0, rtol=0.01)
