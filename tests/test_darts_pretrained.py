"""Models as JSON and safetensors: what comes back, what is refused; nothing is unpickled."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries
from darts.utils.likelihood_models import torch as likelihoods
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression

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

    def save(series=None, given=None, **options):
        model = tiny_model(**options).fit(series or waves(), **(given or {}))
        model.save_pretrained(tmp_path / "model")
        return model, tmp_path / "model"

    return save


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
    "mixed precision": {"trainer": {"precision": "bf16-mixed"}},
    "half precision": {"trainer": {"precision": "bf16-true"}},
    "numpy's numbers": {"batch_size": np.int64(4), "dropout": np.float32(0.25)},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_the_forecast_is_equal_to_the_last_bit(saved, waves, options):
    """And so is every parameter that the forecast depends on."""
    model, directory = saved(**options)
    loaded = load(directory)
    given = {"predict_likelihood_parameters": model.likelihood is not None}
    assert loaded.predict(4, waves(), **given) == model.predict(4, waves(), **given)
    apart = ("pl_trainer_kwargs", "random_state", "add_encoders")
    same = [name for name in model.model_params if name not in apart]
    assert {n: loaded.model_params[n] for n in same} == {n: model.model_params[n] for n in same}
    assert loaded.trainer_params["precision"] == model.trainer_params["precision"]
    assert loaded.add_encoders == model.add_encoders


LIKELIHOODS = [
    one
    for one in vars(likelihoods).values()
    if isinstance(one, type)
    and issubclass(one, likelihoods.TorchLikelihood)
    and one is not likelihoods.TorchLikelihood
]


# Values that suit a likelihood; the others take whole numbers above 0.
SUPPORTED = {
    "BernoulliLikelihood": lambda x: np.float64(x > 10),
    "BetaLikelihood": lambda x: x / 40,
    "ContinuousBernoulliLikelihood": lambda x: x / 40,
    "DirichletLikelihood": lambda x: x / x.sum(axis=1, keepdims=True),
}


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda one: one.__name__)
def test_every_likelihood_of_darts_comes_back(tiny_model, waves, tmp_path, likelihood):
    series = waves(components=2).map(SUPPORTED.get(likelihood.__name__, lambda x: np.round(x)))
    model = tiny_model(likelihood=likelihood(), channel_independent=False).fit(series)
    model.save_pretrained(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.likelihood == model.likelihood
    given = {"predict_likelihood_parameters": True}
    assert loaded.predict(4, series, **given) == model.predict(4, series, **given)


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
    assert loaded.predict(7, series, **given) == model.predict(7, series, **given)
    assert loaded.predict(7, series[:-3], **given) == model.predict(7, series[:-3], **given)
    assert loaded.historical_forecasts(series, retrain=False, **given) == (
        model.historical_forecasts(series, retrain=False, **given)
    )
    with pytest.raises(ValueError, match="past"):
        loaded.predict(7, series)


def test_a_directory_holds_no_series(saved, waves):
    """What is handed on must not carry the data; a forecast then asks for a series."""
    series = waves().with_values(np.full((40, 1), 1234.5678))
    model, directory = saved(series=series)
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "model.safetensors"]
    assert np.float64(1234.5678).tobytes() not in (directory / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="`series` must be provided"):
        load(directory).predict(4)
    assert load(directory).predict(4, series) == model.predict(4, series)


@pytest.mark.parametrize(
    "frequency",
    [
        pd.offsets.CustomBusinessDay(holidays=["2024-03-05", "2024-04-08", "2024-04-09"]),
        pd.offsets.CustomBusinessDay(weekmask="Mon Wed Fri"),
        pd.offsets.Week(weekday=2),
        pd.offsets.BQuarterEnd(startingMonth=2),
    ],
    ids=str,
)
def test_the_dates_of_a_forecast_are_those_before_it_was_saved(tiny_model, tmp_path, frequency):
    """Holidays, the days of a week and the first month are parameters that an alias leaves out."""
    times = pd.date_range("2024-02-27", periods=30, freq=frequency)
    series = TimeSeries(times, np.sin(np.arange(30.0)), freq=frequency)
    model = tiny_model().fit(series)
    model.save_pretrained(tmp_path / "model")
    forecast = load(tmp_path / "model").predict(6, series)
    assert list(forecast.time_index) == list(model.predict(6).time_index)
    assert forecast == model.predict(6)


def test_training_goes_on(saved, waves):
    """With other settings too, where the weights do not depend on them."""
    model, directory = saved()
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
def test_nothing_is_unpickled(saved, waves):
    model, directory = saved()
    with pytest.raises(AssertionError, match="unpickled"):
        pickle.loads(b"")
    assert load(directory).predict(4, waves()) == model.predict(4, waves())


def test_a_registered_attention_is_saved_by_its_name(tiny_model, waves, tmp_path, monkeypatch):
    """What it computes is code, which whoever loads the model registers."""
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    register_attention("mine", lambda _config, causal, dropout: FullAttention(causal, dropout))
    model = tiny_model(attention="mine").fit(waves())
    model.save_pretrained(tmp_path / "model")
    assert load(tmp_path / "model").predict(4, waves()) == model.predict(4, waves())
    del registry._FACTORIES["mine"]
    with pytest.raises(ValueError, match=r"`attention` must be .*'mine'"):
        load(tmp_path / "model")
