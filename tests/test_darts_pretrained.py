"""Models as JSON and safetensors: what comes back, what is refused; nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression
from safetensors.torch import load_file, save_file
from sklearn.preprocessing import PowerTransformer, RobustScaler, StandardScaler

from informer_forecaster import InformerModel
from informer_forecaster.adapters import _pretrained_files

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
    loaded = load(directory, n_epochs=2, optimizer_kwargs={"lr": 0.1}, batch_size=4)
    assert (loaded.n_epochs, loaded.batch_size) == (2, 4)
    before = loaded.predict(4, waves())
    loaded.fit(waves())
    assert loaded.epochs_trained == 2
    assert loaded.predict(4, waves()) != before == model.predict(4, waves())
    again = load(directory)
    assert again.untrained_model().fit(waves()).predict(4) != before


def test_a_changed_argument_of_the_weights_is_refused(copied):
    with pytest.raises(ValueError, match="`d_model` is fixed in a trained model"):
        load(copied, d_model=16)


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


@pytest.fixture(scope="module")
def pristine(tiny_model, waves, tmp_path_factory):
    """Save one fitted model, of which tests take copies."""
    directory = tmp_path_factory.mktemp("pristine") / "model"
    tiny_model().fit(waves()).save_pretrained(directory)
    return directory


@pytest.fixture
def copied(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "model")


def edit(directory, **changes):
    """Change entries of the configuration."""
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_argument(directory, **changes):
    arguments = json.loads((directory / "config.json").read_text())["arguments"]
    edit(directory, arguments={**arguments, **changes})


def edit_weights(directory, change):
    """Change the weights, and the checksum with them."""
    path = directory / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    checksums = json.loads((directory / "config.json").read_text())["checksums"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(directory, checksums={**checksums, path.name: digest})


def flip_a_byte(directory):
    content = bytearray((directory / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (directory / "model.safetensors").write_bytes(content)


def truncate(directory, name):
    path = directory / name
    path.write_bytes(path.read_bytes()[:-20])


NAME = "network.projection.weight"
DAMAGES = {
    "nothing there": (lambda d: (d / "config.json").unlink(), "holds no config.json"),
    "another program's": (lambda d: edit(d, format="other"), "not of a pretrained model"),
    "newer": (
        lambda d: edit(d, format_version=2),
        "format version 2; this release reads version 1",
    ),
    "no version": (lambda d: edit(d, format_version=None), "format version None"),
    "half a config": (lambda d: truncate(d, "config.json"), "config.json is damaged"),
    "a list": (lambda d: (d / "config.json").write_text("[]"), "not of a pretrained model"),
    "entries lost": (lambda d: edit(d, sample_shapes={}), "config.json.*is damaged"),
    "no checksums": (lambda d: edit(d, checksums={}), "names no weights"),
    "another class": (lambda d: edit(d, **{"class": "Other"}), "of the class Other"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "model.safetensors is missing"),
    "no series": (lambda d: (d / "series.safetensors").unlink(), "series.safetensors is missing"),
    "half the weights": (lambda d: truncate(d, "model.safetensors"), "its checksum differs"),
    "half the series": (lambda d: truncate(d, "series.safetensors"), "its checksum differs"),
    "one bit": (flip_a_byte, "its checksum differs"),
    "other width": (lambda d: edit_argument(d, d_model=16), r"must have the shape \(16"),
    "other lengths": (
        lambda d: edit_argument(d, input_chunk_length=6),
        "lookback_skip.*must have the shape",
    ),
    "a weight less": (lambda d: edit_weights(d, lambda w: w.pop(NAME)), f"{NAME}.*got none"),
    "a weight more": (
        lambda d: edit_weights(d, lambda w: w.update(extra=torch.zeros(1))),
        "'extra' must not be there",
    ),
    "a function": (lambda d: edit_argument(d, loss_fn={"$loss": "system"}), "names 'system'"),
    "no loss": (lambda d: edit_argument(d, loss_fn={"$loss": "Tensor"}), "names 'Tensor'"),
    "no optimizer": (
        lambda d: edit_argument(d, optimizer_cls={"$optimizer": "lr_scheduler"}),
        "names 'lr_scheduler'",
    ),
    "unknown kind": (lambda d: edit_argument(d, loss_fn={"$call": "eval"}), "kind '\\$call'"),
    "unknown scaler": (
        lambda d: edit_argument(d, loss_fn={"$estimator": "FunctionTransformer"}),
        "FunctionTransformer",
    ),
    "bad argument": (lambda d: edit_argument(d, nhead=3), "`d_model` must be divisible"),
    "unknown argument": (lambda d: edit_argument(d, width=3), "width"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_directory_is_refused(copied, damage, message):
    damage(copied)
    with pytest.raises(ValueError, match=message):
        load(copied)


def test_a_file_does_not_decide_where_this_machine_writes(copied, tmp_path):
    """A directory of logs that is reset by loading would be a way to delete files."""
    victim = tmp_path / "logs" / "kept" / "checkpoints"
    victim.mkdir(parents=True)
    (victim / "mine.ckpt").touch()
    place = {"work_dir": str(tmp_path / "logs"), "model_name": "kept", "force_reset": True}
    edit_argument(copied, **place, save_checkpoints=True, pl_trainer_kwargs={"logger": True})
    loaded = load(copied)
    assert (victim / "mine.ckpt").exists()
    assert loaded.work_dir != place["work_dir"]


class OwnLikelihood(QuantileRegression):
    """A class that no other machine has."""


def steps(index):
    return np.arange(len(index))


REFUSED = {
    "a function": ({"add_encoders": {"custom": {"past": [steps]}}}, r"add_encoders\['custom'\]"),
    "another scaler": (
        {"add_encoders": {**ENCODERS, "transformer": Scaler(PowerTransformer())}},
        "PowerTransformer",
    ),
    "an own likelihood": ({"likelihood": OwnLikelihood()}, "`likelihood` cannot be saved"),
    "not finite": ({"loss_fn": torch.nn.HuberLoss(delta=np.inf)}, r"loss_fn\['delta'\]"),
    "a random generator": ({"random_state": np.random.RandomState(0)}, "`random_state`"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_data_is_refused_by_its_name(tiny_model, waves, tmp_path, options, message):
    model = tiny_model(**{"n_epochs": 0, **options}).fit(waves())
    with pytest.raises(ValueError, match=message):
        model.save_pretrained(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_series_of_an_own_frequency_is_refused(tiny_model, tmp_path):
    """Its name would not give the holidays back."""
    times = pd.bdate_range("2024-12-20", periods=40, freq="C", holidays=["2024-12-25"])
    model = tiny_model().fit(TimeSeries(times, np.arange(40.0)))
    with pytest.raises(ValueError, match=r"`training_series` cannot be saved.*clean=True"):
        model.save_pretrained(tmp_path / "model")
    model.save_pretrained(tmp_path / "model", clean=True)
    series = TimeSeries(times, np.arange(40.0))
    assert load(tmp_path / "model").predict(2, series) == model.predict(2, series)


def test_an_unfitted_model_is_refused(tiny_model, tmp_path):
    with pytest.raises(ValueError, match="call `fit` first"):
        tiny_model().save_pretrained(tmp_path / "model")


def test_another_models_directory_is_replaced(saved, tiny_model, waves):
    _, directory = saved()
    other = tiny_model(d_model=16).fit(waves(seed=3))
    other.save_pretrained(directory, clean=True)
    assert load(directory).predict(4, waves()) == other.predict(4, waves())
    assert sorted(path.name for path in directory.parent.iterdir()) == ["model"]


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_is_no_model_is_not_overwritten(tiny_model, waves, tmp_path, kind):
    target = tmp_path / "mine"
    notes = target if kind == "file" else target / "notes.txt"
    notes.parent.mkdir(exist_ok=True)
    notes.write_text("mine")
    with pytest.raises(ValueError, match="`directory` must be new"):
        tiny_model().fit(waves()).save_pretrained(target)
    assert notes.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("call", ["save_file", "rename", "fsync"])
def test_a_failure_on_the_way_leaves_the_older_model(saved, waves, monkeypatch, call):
    """A full disk or a stopped process must not cost the model that was there."""
    model, directory = saved()
    calls = []

    def fail_late(real):
        def failing(*args, **kwargs):
            calls.append(args)
            if len(calls) == 2:
                raise OSError("no space left")
            return real(*args, **kwargs)

        return failing

    owner, name = {
        "save_file": (_pretrained_files, "save_file"),
        "rename": (_pretrained_files.Path, "rename"),
        "fsync": (_pretrained_files.os, "fsync"),
    }[call]
    monkeypatch.setattr(owner, name, fail_late(getattr(owner, name)))
    other = model.untrained_model().fit(waves(seed=4))
    with pytest.raises(OSError, match="no space left"):
        other.save_pretrained(directory)
    monkeypatch.undo()
    assert load(directory).predict(4) == model.predict(4)
    assert [path.name for path in directory.parent.iterdir()] == ["model"]
