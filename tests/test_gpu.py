"""Both adapters on a CUDA device: training, prediction, mixed precision, and files for a CPU."""

import copy

import numpy as np
import pytest
import torch

from informer_forecaster import Informer, InformerConfig

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
