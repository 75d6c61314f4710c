"""Both adapters on a CUDA device: training, prediction, mixed precision, and files for a CPU."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries
from darts.utils.likelihood_models.torch import QuantileRegression

from informer_forecaster import Informer, InformerConfig
from informer_forecaster._network.attention import ProbSparseAttention
from informer_forecaster.explain import InformerExplainer

pytestmark = pytest.mark.gpu

GPU = {"accelerator": "gpu", "devices": 1}


@pytest.mark.parametrize("sparsity", ["sampled", "moment"])
def test_no_layer_waits_for_the_host(sparsity: str) -> None:
    """A random number drawn on the CPU, or an `.item()`, would stall the device in every layer."""
    sizes = {"d_model": 16, "sampling_factor": 2, "patch_length": 1}
    config = InformerConfig(96, 48, 3, **sizes, sparsity=sparsity)
    network = Informer(config).cuda().train()
    past = torch.randn(4, 96, 3, device="cuda")
    network(past).square().mean().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        forecast = network(past)
        forecast.square().mean().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert bool(forecast.isfinite().all())


def test_the_network_gives_the_forecast_of_the_cpu() -> None:
    config = InformerConfig(96, 48, 3, d_model=16, sampling_factor=2)
    network = Informer(config).eval()
    past = torch.randn(4, 96, 3)
    on_gpu = copy.deepcopy(network).cuda()(past.cuda()).cpu()
    torch.testing.assert_close(on_gpu, network(past), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_darts_trains_on_a_gpu_and_loads_on_a_cpu(tiny_model, waves, tmp_path, precision) -> None:
    from informer_forecaster import InformerModel

    series = waves(60).astype(np.float32)
    model = tiny_model(24, 8, trainer={**GPU, "precision": precision}).fit(series)
    forecast = model.predict(8)
    assert np.isfinite(forecast.values()).all()
    assert model.predict(8) == forecast
    path = str(tmp_path / "gpu.pt")
    model.save(path)
    loaded = InformerModel.load(
        path, map_location="cpu", pl_trainer_kwargs={"accelerator": "cpu", "logger": False}
    )
    np.testing.assert_allclose(loaded.predict(8).values(), forecast.values(), rtol=0.05, atol=0.05)


def test_a_training_goes_on_from_its_checkpoint(tiny_model, waves, tmp_path) -> None:
    """Losses of the file, which is read on the CPU, are compared with those of new epochs."""
    from informer_forecaster import InformerModel

    place = {"model_name": "kept", "work_dir": str(tmp_path), "save_checkpoints": True}
    # Without the linear start each epoch is better than the one before.
    options = {"optimizer_kwargs": {"lr": 0.01}, "lookback_skip": False}
    trainer = {**GPU, "limit_train_batches": None}
    series, validation = (waves(n, seed=n).astype(np.float32) for n in (120, 60))
    tiny_model(trainer=trainer, **options, **place).fit(series, val_series=validation)
    loaded = InformerModel.load_from_checkpoint("kept", str(tmp_path), best=False)
    loaded.fit(series, val_series=validation, epochs=6)
    assert loaded.epochs_trained > 1
    assert np.isfinite(loaded.predict(4).values()).all()


def test_sktime_trains_on_a_gpu_and_loads_on_a_cpu(tmp_path) -> None:
    from sktime.base import load
    from sktime.datasets import load_airline

    from informer_forecaster import InformerForecaster

    forecaster = InformerForecaster(12, n_epochs=1, d_model=8, nhead=2, pl_trainer_kwargs=GPU)
    forecaster.fit(load_airline(), fh=[1, 2, 3])
    forecast = forecaster.predict()
    loaded = load(forecaster.save(tmp_path / "forecaster"))
    np.testing.assert_allclose(loaded.predict(), forecast, rtol=1e-3)


@pytest.fixture(scope="module")
def sales():
    """Make sales of two years with Mondays and holidays, the holidays, and a past covariate."""
    days, rng = pd.bdate_range("2022-01-03", periods=500), np.random.default_rng(0)
    holiday = np.zeros(500)
    holiday[rng.choice(500, 40, replace=False)] = 1
    values = 100 + 5.0 * (days.dayofweek == 0) - 30 * holiday + rng.normal(size=500)
    columns = (values, holiday, rng.normal(size=500))
    return [TimeSeries.from_times_and_values(days, one.astype(np.float32)) for one in columns]


@pytest.mark.parametrize("likelihood", [None, QuantileRegression([0.1, 0.5, 0.9])])
def test_a_fit_with_covariates_is_as_good_as_on_a_cpu(tiny_model, sales, likelihood) -> None:
    """The start, its effects of covariates and its share are solved where the network trains."""
    target, holiday, noise = sales
    known = {"future_covariates": holiday, "past_covariates": noise}
    validated = {"val_series": target[380:450]}
    validated |= {"val_future_covariates": holiday, "val_past_covariates": noise}
    forecasts = []
    for place in ({}, GPU):
        model = tiny_model(20, 10, trainer={**place}, time_features=True, likelihood=likelihood)
        model.fit(target[:400], **known, **validated)
        windows = {
            "start": 450,
            "start_format": "position",
            "forecast_horizon": 10,
            "stride": 10,
            "last_points_only": False,
        }
        found = model.historical_forecasts(target, **known, **windows, retrain=False)
        forecasts.append(np.concatenate([one.values() for one in found]).ravel())
    true, days = target.values()[450:].ravel(), holiday.values()[450:].ravel() == 1
    assert days.any()
    on_cpu, on_gpu = forecasts
    # Two steps of training hardly move the start, which is the same to rounding.
    np.testing.assert_allclose(on_gpu, on_cpu, atol=0.5)
    assert abs(on_gpu - true)[days].mean() < 2


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_long_attention_in_half_precision_is_near_that_in_single(causal, dtype) -> None:
    """Sums over thousands of keys overflow 16 bits: they have to be kept in 32."""
    q, k, v = torch.randn(3, 2, 4, 4096, 16, device="cuda").mul(3).requires_grad_()
    attention = ProbSparseAttention(5, causal, sparsity="moment")
    exact = attention(q, k, v)
    rounded = attention(*(x.to(dtype) for x in (q, k, v)))
    assert bool(rounded.isfinite().all())
    assert (rounded.float() - exact).norm() < 0.1 * exact.norm()


def test_a_compiled_model_forecasts_as_without(tiny_model, waves) -> None:
    series, options = waves(60).astype(np.float32), {"dropout": 0.0, "trainer": GPU}
    plain, compiled = (
        tiny_model(24, 8, **options, compile_network=compiles).fit(series)
        for compiles in (False, True)
    )
    difference = compiled.predict(8).values() - plain.predict(8).values()
    assert abs(difference).max() < 1e-3


def test_an_explanation_of_a_model_on_a_gpu_sums_to_its_forecast(tiny_model, sales) -> None:
    target, holiday, _ = sales
    model = tiny_model(20, 10, trainer=GPU).fit(target[:400], future_covariates=holiday)
    background = {"background_future_covariates": holiday}
    explainer = InformerExplainer(model, target[:400], **background, num_points=64)
    explanation = explainer.explain(horizons=[1, 10]).explanations[0]
    forecast = model.predict(10, target[:400], future_covariates=holiday).values()[[0, 9]]
    np.testing.assert_allclose(explanation.forecast, forecast, rtol=1e-4)
    table = explanation.completeness()
    size = (table["forecast"] - table["baseline"]).abs().max()
    assert table["gap"].abs().max() < 0.02 * size
