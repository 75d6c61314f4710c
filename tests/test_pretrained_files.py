"""Directories of pretrained models that are damaged or no models, and saves that cannot be."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.utils.likelihood_models.torch import QuantileRegression
from safetensors.torch import load_file, save_file
from sklearn.preprocessing import PowerTransformer

from informer_forecaster import InformerModel
from informer_forecaster.adapters import _pretrained_files

QUIET = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)


def load(directory, **changes):
    trainer = {"accelerator": "cpu", **QUIET}
    return InformerModel.from_pretrained(directory, pl_trainer_kwargs=trainer, **changes)


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
    """Change entries of the configuration, and the checksum with them."""
    path = directory / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    checksum = _pretrained_files.config_checksum(config)
    path.write_text(json.dumps({**config, "config_checksum": checksum}))


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
        {"add_encoders": {"transformer": Scaler(PowerTransformer())}},
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


def test_another_models_directory_is_replaced(copied, tiny_model, waves):
    other = tiny_model(d_model=16).fit(waves(seed=3))
    other.save_pretrained(copied, clean=True)
    assert load(copied).predict(4, waves()) == other.predict(4, waves())
    assert sorted(path.name for path in copied.parent.iterdir()) == ["model"]


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
def test_a_failure_on_the_way_leaves_the_older_model(copied, waves, monkeypatch, call):
    """A full disk or a stopped process must not cost the model that was there."""
    model = load(copied)
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
        other.save_pretrained(copied)
    monkeypatch.undo()
    assert load(copied).predict(4) == model.predict(4)
    assert [path.name for path in copied.parent.iterdir()] == ["model"]


def test_a_writer_killed_between_two_names_has_lost_nothing(copied, tiny_model, waves):
    """What a killed process left is found when the model is loaded, and cleared up by the next."""
    model = load(copied)
    remains = {name: copied.with_name(f".model.{name}") for name in ("old", "new")}
    shutil.copytree(copied, remains["new"])
    (remains["new"] / "config.json").unlink()
    copied.rename(remains["old"])
    assert load(copied).predict(4) == model.predict(4)
    other = tiny_model(d_model=16).fit(waves(seed=3))
    other.save_pretrained(copied)
    assert load(copied).predict(4) == other.predict(4)
    assert [path.name for path in copied.parent.iterdir()] == ["model"]


def test_a_changed_argument_of_the_weights_is_refused(copied):
    with pytest.raises(ValueError, match="`d_model` is fixed in a trained model"):
        load(copied, d_model=16)
