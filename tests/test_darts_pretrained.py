"""Models as JSON and safetensors: what comes back, what is refused; nothing is unpickled."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression
from sklearn.preprocessing import RobustScaler, StandardScaler

from informer_forecaster import InformerModel, register_attention
from informer_forecaster._network import registry
from informer_forecaster._network.attention import FullAttention

QUIET = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
TRAINER = {"accelerator": "cpu", **QUIET}


def load(directory, **changes):
    return InformerModel.from_pretrained(directory, pl_trainer_kwargs=TRAINER, **changes)


@pytest.fixture
def saved(tiny_model, waves, tmp_path):
    """Fit a model on one series, save it, and give both the model and the directory."""

    def save(series=None, clean=False, given=None, **options):
        model = tiny_model(**options).fit(series or waves(), **(given or {}))
        model.save_pretrained(tmp_path / "model", clean=clean)
        return model, tmp_path / "model"

    return save


ENCODERS = {
    "cyclic": {"past": ["hour"], "future": ["dayofweek"]},
    "datetime_attribute": {"future": ["day"]},
    "position": {"past": ["relative"]},
    "tz": "CET",
}
CASES = {
    "plain": {},
    "quantiles": {"likelihood": QuantileRegression([0.2, 0.5, 0.8])},
    "gaussian with a prior": {"likelihood": GaussianLikelihood(prior_mu=1.0, beta_nll=0.5)},
    "full, stacks, patches": {
        "attention": "full",
        "num_encoder_stacks": 2,
        "patch_length": 3,
        "start_token_length": 5,
    },
    "affine norm": {"use_reversible_instance_norm": {"affine": True}},
    "shifted": {"output_chunk_shift": 2},
    "encoders": {"add_encoders": ENCODERS},
    "scaled encoders": {"add_encoders": {**ENCODERS, "transformer": Scaler()}},
    "standard encoders": {"add_encoders": {**ENCODERS, "transformer": Scaler(StandardScaler())}},
    "robust encoders": {
        "add_encoders": {**ENCODERS, "transformer": Scaler(RobustScaler(), global_fit=True)}
    },
    "mixed precision": {"trainer": {"precision": "bf16-mixed"}},
    "losses and optimizers": {
        "loss_fn": torch.nn.HuberLoss(delta=0.3),
        "optimizer_cls": torch.optim.AdamW,
        "optimizer_kwargs": {"lr": np.float64(1e-2), "betas": (0.9, 0.99)},
        "lr_scheduler_cls": torch.optim.lr_scheduler.StepLR,
        "lr_scheduler_kwargs": {"step_size": 2},
    },
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_the_forecast_is_equal_to_the_last_bit(saved, options):
    """Without a series, as the model knows that of its training; and of every parameter."""
    model, directory = saved(**options)
    loaded = load(directory)
    given = {"predict_likelihood_parameters": model.likelihood is not None}
    assert loaded.predict(4, **given) == model.predict(4, **given)
    same = [k for k in model.model_params if k not in ("pl_trainer_kwargs", "loss_fn")]
    for name in same:
        if name != "add_encoders":
            assert loaded.model_params[name] == model.model_params[name], name
    assert loaded.trainer_params["precision"] == model.trainer_params["precision"]
    assert repr(loaded.model.criterion) == repr(model.model.criterion)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index", ["range", "datetime"])
def test_covariates_of_every_kind_come_back(saved, waves, index, dtype):
    static = pd.DataFrame({"area": [1.5, 2.0], "height": [3, 4]})
    series = waves(40, 2, index=index, dtype=dtype, static=static)
    given = {
        "past_covariates": waves(60, seed=1, index=index, dtype=dtype),
        "future_covariates": waves(60, seed=2, index=index, dtype=dtype),
    }
    model, directory = saved(series=series, given=given, channel_independent=True)
    loaded = load(directory)
    assert loaded.training_series == series
    assert loaded.training_series.dtype == dtype
    assert loaded.predict(7) == model.predict(7)
    assert loaded.predict(7, series[:-3], **given) == model.predict(7, series[:-3], **given)
    assert loaded.historical_forecasts(series, retrain=False, **given) == (
        model.historical_forecasts(series, retrain=False, **given)
    )


def test_a_model_of_several_series_needs_one_at_prediction(saved, waves):
    """As after Darts' own fit on several: which should be forecast is not known."""
    statics = [pd.DataFrame({"store": [float(i)]}) for i in range(2)]
    series = [waves(40, seed=i, static=static) for i, static in enumerate(statics)]
    model, directory = saved(series=series)
    loaded = load(directory)
    assert loaded.predict(4, series) == model.predict(4, series)
    with pytest.raises(ValueError, match="series"):
        loaded.predict(4)
    assert not (directory / "series.safetensors").exists()


def test_a_clean_directory_holds_no_series(saved, waves):
    model, directory = saved(clean=True)
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "model.safetensors"]
    loaded = load(directory)
    assert loaded.training_series is None
    assert loaded.predict(4, waves()) == model.predict(4, waves())


def test_a_series_comes_back_whole(saved):
    """Months of uneven length, several names, and what the user wrote about the series."""
    times = pd.date_range("2001-01-01", periods=30, freq="MS", unit="s")
    values = np.random.default_rng(0).normal(size=(30, 3))
    described = {
        "components": ["all", "north", "south"],
        "hierarchy": {"north": ["all"], "south": ["all"]},
        "metadata": {"source": "a station", "heights": [1, 2.5]},
        "static_covariates": pd.DataFrame({"name": ["a", "b", "c"], "size": [1.0, 2.0, 3.0]}),
    }
    series = TimeSeries(times, values, **described)
    _, directory = saved(series=series, use_static_covariates=False)
    back = load(directory).training_series
    assert back == series
    assert back.metadata == series.metadata
    assert back.freq_str == series.freq_str


def test_training_goes_on(saved, waves):
    """With other settings too, where the weights do not depend on them."""
    model, directory = saved(add_encoders={**ENCODERS, "transformer": Scaler()})
    changes = {"n_epochs": 2, "batch_size": 4, "early_stopping_patience": None}
    loaded = load(directory, optimizer_kwargs={"lr": 0.1}, **changes)
    assert {name: loaded.model_params[name] for name in changes} == changes
    before = loaded.predict(4, waves())
    loaded.fit(waves())
    assert loaded.epochs_trained == 2
    assert loaded.predict(4, waves()) != before == model.predict(4, waves())
    again = load(directory)
    assert again.untrained_model().fit(waves()).predict(4) != before


@pytest.fixture
def no_pickle(monkeypatch):
    """Raise as soon as anything is unpickled."""

    def refuse(*args, **kwargs):  # noqa: ARG001 - whatever it is called with
        raise AssertionError("something is unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)


@pytest.mark.usefixtures("no_pickle")
def test_nothing_is_unpickled(saved):
    model, directory = saved(add_encoders={**ENCODERS, "transformer": Scaler()})
    with pytest.raises(AssertionError, match="unpickled"):
        pickle.loads(b"")
    assert load(directory).predict(4) == model.predict(4)


def test_a_registered_attention_is_saved_by_its_name(tiny_model, waves, tmp_path, monkeypatch):
    """What it computes is code, which whoever loads the model registers."""
    monkeypatch.setattr(registry, "_FACTORIES", {})
    register_attention("mine", lambda _config, causal, dropout: FullAttention(causal, dropout))
    model = tiny_model(attention="mine").fit(waves())
    model.save_pretrained(tmp_path / "model")
    assert load(tmp_path / "model").predict(4) == model.predict(4)
    registry._FACTORIES.clear()
    with pytest.raises(ValueError, match=r"`attention` must be .*'mine'"):
        load(tmp_path / "model")
