"""Directories of pretrained models that are damaged or no models, and saves that cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from darts.utils.likelihood_models.torch import QuantileRegression
from safetensors.torch import load_file, save_file

from informer_forecaster import InformerModel

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


def edit(directory, change=None, weights=None):
    """Change the configuration or the weights, and the checksum with them, as a forger would."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    del config["checksum"]
    if change is not None:
        change(config)
    if weights is not None:
        tensors = load_file(directory / "model.safetensors")
        weights(tensors)
        save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    content = json.dumps(config, sort_keys=True).encode()
    content += (directory / "model.safetensors").read_bytes()
    config["checksum"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(config))


def entry(**changes):
    return lambda directory: edit(directory, lambda config: config.update(changes))


def argument(**changes):
    return lambda directory: edit(directory, lambda config: config["arguments"].update(changes))


def weight(change):
    return lambda directory: edit(directory, weights=change)


def flip_a_byte(directory):
    content = bytearray((directory / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (directory / "model.safetensors").write_bytes(content)


def truncate(directory, name):
    path = directory / name
    path.write_bytes(path.read_bytes()[:-20])


NAME = "network.projection.weight"
DAMAGES = {
    "nothing there": (
        lambda d: (d / "config.json").unlink(),
        "`directory` must .* config.json; got",
    ),
    "another program's": (entry(format="other"), "damaged or of another package"),
    "newer": (entry(format_version=2), "format version 2; this release reads version 1"),
    "no version": (entry(format_version=None), "format version None"),
    "half a config": (lambda d: truncate(d, "config.json"), "config.json is damaged"),
    "a list": (lambda d: (d / "config.json").write_text("[]"), "damaged or of another package"),
    "brackets": (lambda d: (d / "config.json").write_text("[" * 10**6), "damaged or of another"),
    "entries lost": (entry(sample_shapes={}), "is damaged"),
    "another class": (entry(**{"class": "Other"}), "of the class Other"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "not those of one save"),
    "half the weights": (lambda d: truncate(d, "model.safetensors"), "not those of one save"),
    "one bit": (flip_a_byte, "not those of one save"),
    "other width": (argument(d_model=16), r"must be torch.float64 of the shape \(16"),
    "other lengths": (argument(input_chunk_length=6), r"must be torch.float64 .*\(1, 0, 4, 8\)"),
    "a weight less": (weight(lambda w: w.pop(NAME)), f"{NAME}.*the file has absent"),
    "a weight more": (weight(lambda w: w.update(extra=torch.zeros(1))), "'extra' must be absent"),
    "a weight of another type": (
        weight(lambda w: w.update({NAME: w[NAME].float()})),
        "torch.float64 of.*the file has torch.float32",
    ),
    "a weight that is no number": (weight(lambda w: w[NAME].fill_(torch.nan)), "must be finite"),
    "no likelihood": (entry(likelihood={"class": "Tensor"}), "names Tensor"),
    "a function": (entry(likelihood={"class": "os.system"}), "names os.system"),
    "bad argument": (argument(nhead=3), "`d_model` must be divisible"),
    "unknown argument": (argument(width=3), "width"),
    "no dtype": (entry(weights_dtype="serialization"), "`weights_dtype` must be one of"),
    "no sample": (entry(sample_dtype="V9999999999"), "`sample_dtype` must be one of"),
    # Each of these would ask for terabytes, or make layers for days.
    "a wide network": (argument(d_model=2**22), "must be torch.float64 of the shape"),
    "a network of no end": (argument(d_model=2 * 10**30), "is damaged"),
    "many layers": (argument(num_encoder_layers=10**9), "`num_encoder_layers` must fit"),
    "many stacks": (argument(num_encoder_stacks=10**9), "`num_encoder_stacks` must fit"),
    "a long look-back": (argument(input_chunk_length=10**12), "must be torch.float64"),
    "a long look-back without a map": (
        lambda d: edit(
            d,
            lambda c: c["arguments"].update(
                input_chunk_length=10**12, lookback_skip=False, patch_length=1
            ),
            lambda w: [
                w.pop(name)
                for name in list(w)
                if "lookback_skip" in name or name.startswith(("effects", "share"))
            ],
        ),
        "position code is too large",
    ),
    "many components": (
        lambda d: edit(d, lambda c: c["sample_shapes"].update({"static_covariates": [1, 10**15]})),
        "must be",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_or_forged_directory_is_refused(copied, damage, message):
    """Before memory is taken for what it asks for."""
    damage(copied)
    with pytest.raises(ValueError, match=message):
        load(copied)


def test_a_file_does_not_decide_where_this_machine_writes(copied, tmp_path):
    """A directory of logs that is reset by loading would be a way to delete files."""
    victim = tmp_path / "logs" / "kept" / "checkpoints"
    victim.mkdir(parents=True)
    (victim / "mine.ckpt").touch()
    place = {"work_dir": str(tmp_path / "logs"), "model_name": "kept", "force_reset": True}
    argument(**place, save_checkpoints=True, pl_trainer_kwargs={"logger": True})(copied)
    loaded = load(copied)
    assert (victim / "mine.ckpt").exists()
    assert loaded.work_dir != place["work_dir"]


class OwnLikelihood(QuantileRegression):
    """A class that no other machine has."""


def steps(index):
    return np.arange(len(index))


REFUSED = {
    "encoders": ({"add_encoders": {"cyclic": {"future": ["hour"]}}}, "`add_encoders`.*'cyclic'"),
    "a function": ({"add_encoders": {"custom": {"past": [steps]}}}, "`add_encoders`.*'custom'"),
    "an own likelihood": ({"likelihood": OwnLikelihood()}, "`likelihood` cannot be saved"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_data_is_refused_by_its_name(tiny_model, waves, tmp_path, options, message):
    model = tiny_model(**options).fit(waves())
    with pytest.raises(ValueError, match=rf"{message}.*`save`"):
        model.save_pretrained(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_an_unfitted_model_is_refused(tiny_model, tmp_path):
    with pytest.raises(ValueError, match="call `fit` first"):
        tiny_model().save_pretrained(tmp_path / "model")


def test_another_models_directory_is_replaced(copied, tiny_model, waves):
    """What else lies there, as in a repository of models, stays."""
    (copied / "README.md").write_text("mine")
    other = tiny_model(d_model=16).fit(waves(seed=3))
    other.save_pretrained(copied)
    assert load(copied).predict(4, waves()) == other.predict(4, waves())
    assert sorted(path.name for path in copied.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def plant_file(target):
    target.write_text("mine")


def plant_folder_of_another_program(target):
    target.mkdir()
    (target / "config.json").write_text('{"model_type": "bert"}')
    (target / "model.safetensors").write_bytes(b"mine")


def plant_weights(target):
    target.mkdir()
    (target / "model.safetensors").write_bytes(b"mine")


def plant_link_to_folder(target):
    (target.parent / "elsewhere").mkdir()
    target.symlink_to(target.parent / "elsewhere")


def plant_link_to_file(target):
    target.mkdir()
    (target.parent / "elsewhere").write_text("mine")
    (target / "config.json").symlink_to(target.parent / "elsewhere")


def plant_dangling_link(target):
    target.mkdir()
    (target / "model.safetensors").symlink_to(target.parent / "nowhere")


PLANTED = [
    plant_file,
    plant_folder_of_another_program,
    plant_weights,
    plant_link_to_folder,
    plant_link_to_file,
    plant_dangling_link,
]


def everything(folder):
    """All that lies below a folder, with the content of files and the targets of links."""
    return {
        path: path.readlink()
        if path.is_symlink()
        else (path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("plant", PLANTED)
def test_what_this_package_did_not_write_is_left_alone(pristine, tmp_path, plant):
    plant(tmp_path / "mine")
    before = everything(tmp_path)
    with pytest.raises(ValueError, match="`directory` must be new or"):
        load(pristine).save_pretrained(tmp_path / "mine")
    assert everything(tmp_path) == before


def test_a_link_under_a_hidden_name_is_not_followed(copied, pristine):
    victim = copied.parent / "victim"
    victim.write_text("mine")
    for name in ("config.json", "model.safetensors"):
        (copied / f".{name}.new").symlink_to(victim)
    load(pristine).save_pretrained(copied)
    assert victim.read_text() == "mine"
    assert sorted(path.name for path in copied.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize(
    ("owner", "name"), [(os, "fsync"), (Path, "replace"), (Path, "open")], ids=lambda one: str(one)
)
def test_a_failure_on_the_way_leaves_the_older_model(
    copied, tiny_model, waves, monkeypatch, owner, name, is_new
):
    """A full disk must not cost the model that was there, nor leave half a one."""
    other = tiny_model(d_model=16).fit(waves())
    before = everything(copied.parent)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            other.save_pretrained(copied.with_name("new") if is_new else copied)
    assert everything(copied.parent) == before


@pytest.mark.parametrize("steps", range(4))
def test_a_save_that_is_killed_leaves_a_whole_model(copied, tiny_model, waves, monkeypatch, steps):
    """Either of the two; the steps are two files brought to the disk, and two names."""
    old, new = load(copied), tiny_model(d_model=16).fit(waves())
    child = os.fork()
    if child == 0:
        done = iter(range(steps))

        def ending(function):
            return lambda *given: os._exit(9) if next(done, None) is None else function(*given)

        try:
            monkeypatch.setattr(os, "fsync", ending(os.fsync))
            monkeypatch.setattr(Path, "replace", ending(Path.replace))
            new.save_pretrained(copied)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    expected = new if steps == 3 else old
    try:
        forecast = load(copied).predict(4, waves())
    except ValueError as error:
        forecast = str(error)
    assert forecast == expected.predict(4, waves())
    new.save_pretrained(copied)
    assert load(copied).predict(4, waves()) == new.predict(4, waves())
    assert sorted(path.name for path in copied.iterdir()) == ["config.json", "model.safetensors"]


def test_a_changed_argument_of_the_weights_is_refused(copied):
    with pytest.raises(ValueError, match="`d_model` is fixed in a trained model"):
        load(copied, d_model=16)
