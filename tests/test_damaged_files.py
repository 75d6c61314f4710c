"""A file that is not what was written is refused before anything of it is used."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from darts.models import NLinearModel
from darts.utils.serialization import safe_globals
from pytorch_lightning.callbacks import Callback
from sktime.base import load

from informer_forecaster import InformerForecaster, InformerModel
from informer_forecaster.adapters import _sealed_files as sealed_files

PLACE = {"model_name": "kept", "work_dir": "."}

# How each kind of file is opened by a user; paths are those that the fixture writes.
OPENERS = {
    "model.pt": lambda: InformerModel.load("model.pt"),
    "model.pt.ckpt": lambda: InformerModel.load("model.pt"),
    "kept/_model.pth.tar": lambda: InformerModel.load_from_checkpoint(**PLACE, best=False),
    "kept/checkpoints/last-epoch=0.ckpt": lambda: InformerModel.load_from_checkpoint(
        **PLACE, best=False
    ),
    **dict.fromkeys(
        ["pretrained/config.json", "pretrained/model.safetensors", "pretrained/series.safetensors"],
        lambda: InformerModel.from_pretrained("pretrained"),
    ),
    "forecaster.zip": lambda: InformerForecaster.load_from_path("forecaster.zip"),
}
SEALED = [name for name in OPENERS if not name.startswith("pretrained")]
REFUSED = "Take (another|a) copy|Save the model again|Install the release"


@pytest.fixture(scope="module")
def written(tiny_model, waves, tmp_path_factory):
    """Write one file of every kind."""
    folder = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        model = tiny_model().fit(waves())
        model.save("model.pt")
        model.save_pretrained("pretrained")
        tiny_model(random_state=1).fit(waves()).save("other.pt")
        tiny_model(save_checkpoints=True, **PLACE).fit(waves())
        make_forecaster().fit(table(), fh=[1, 2]).save("forecaster")
    return folder


def make_forecaster(**arguments):
    """Make the smallest of the forecasters that sktime's checks use."""
    return InformerForecaster(**{**InformerForecaster.get_test_params()[0], **arguments})


def table(index=None):
    """Make a series of 24 steps."""
    values = np.sin(np.arange(24.0))
    return pd.Series(values, pd.RangeIndex(24) if index is None else index)


@pytest.fixture
def files(written, tmp_path, monkeypatch):
    """Copy the files to a new working directory."""
    shutil.copytree(written, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


def digests():
    """Take the digest of every file below the working directory."""
    paths = [path for path in Path().rglob("*") if path.is_file()]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def flip(content: bytes, seed: int) -> bytes:
    """Flip one random bit of a file."""
    rng = np.random.default_rng(seed)
    flipped = bytearray(content)
    flipped[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    return bytes(flipped)


def damage(content: bytes, seed: int) -> bytes:
    """Change the bytes of a file in one of five ways, at a random place."""
    rng = np.random.default_rng(seed)
    start, stop = sorted(rng.choice(len(content), size=2, replace=False).tolist())
    noise = rng.bytes(stop - start)
    ways = [
        content[:start],
        content[:start] + content[stop:],
        content[:start] + noise + content[stop:],
        content + noise,
        content[:start] + bytes(stop - start) + content[stop:],
    ]
    return ways[seed % len(ways)]


def count_refusals(name: str, change: Callable[[bytes, int], bytes], seeds: range) -> int:
    """Change a file once for each seed, and count how often it is refused and left as it was."""
    whole, count = Path(name).read_bytes(), 0
    for seed in seeds:
        damaged = change(whole, seed)
        if damaged == whole:  # zeros on zeros
            damaged = whole[:-1]
        Path(name).write_bytes(damaged)
        before = digests()
        with pytest.raises(ValueError, match=REFUSED):
            OPENERS[name]()
        assert digests() == before
        count += 1
    Path(name).write_bytes(whole)
    OPENERS[name]()
    return count


@pytest.mark.parametrize("change", [flip, damage])
@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.usefixtures("files")
def test_a_damaged_file_is_refused(name, change):
    assert count_refusals(name, change, range(10)) == 10


@pytest.mark.slow
@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.usefixtures("files")
def test_a_file_damaged_in_many_places_is_refused(name, record_cases):
    counts = [count_refusals(name, change, range(1000, 1200)) for change in (flip, damage)]
    file = name.removeprefix("kept/")
    for fault, count in zip(("one bit flipped in", "other damage to"), counts, strict=True):
        assert count == 200
        record_cases(f"{fault} `{file}`", 200, count, "pytest tests/test_damaged_files.py")


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.usefixtures("files")
def test_an_empty_file_is_refused(name):
    Path(name).write_bytes(b"")
    with pytest.raises(ValueError, match=REFUSED):
        OPENERS[name]()


@pytest.mark.parametrize("name", SEALED)
@pytest.mark.usefixtures("files")
def test_a_file_of_another_format_is_refused(name, monkeypatch):
    monkeypatch.setattr(sealed_files, "FORMAT", sealed_files.FORMAT + 1)
    with pytest.raises(ValueError, match="must have format 2; got format 1"):
        OPENERS[name]()


@pytest.mark.usefixtures("files")
def test_the_weights_of_another_model_are_refused():
    shutil.copy("other.pt.ckpt", "model.pt.ckpt")
    for open_it in (InformerModel.load, InformerModel(8, 4).load_weights):
        with pytest.raises(ValueError, match="another save"):
            open_it("model.pt")


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.usefixtures("files")
def test_a_file_of_another_kind_is_refused(trusted):
    with pytest.raises(ValueError, match="must hold a model; got a weights"):
        InformerModel.load("model.pt.ckpt", trusted=trusted)


@pytest.mark.usefixtures("files")
def test_a_model_of_darts_itself_is_refused():
    NLinearModel(8, 4).save("nlinear.pt")
    with pytest.raises(ValueError, match="written by something else"):
        InformerModel.load("nlinear.pt")


class Intruder:
    """A pickle of it makes a directory when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("intruded",)


def write_pickle(path):
    Path(path).write_bytes(pickle.dumps(Intruder()))


def write_archive(path):
    torch.save(Intruder(), path)


def write_sealed_archive(path):
    """Write what somebody could who knows the format of the seal."""
    partner = sealed_files.read_seal("model.pt.ckpt").digest
    if path.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("_metadata", pickle.dumps(InformerForecaster))
            archive.writestr("_obj", pickle.dumps(Intruder()))
        sealed_files.seal(path, "forecaster")
        return
    write_archive(path)
    kind = "weights" if path.endswith("ckpt") else "model"
    sealed_files.seal(path, kind, partner=partner if kind == "model" else None)


@pytest.mark.parametrize("write", [write_pickle, write_archive, write_sealed_archive])
@pytest.mark.parametrize("name", SEALED)
@pytest.mark.usefixtures("files")
def test_code_in_a_file_is_not_run(name, write):
    write(name)
    with pytest.raises(ValueError, match=r"must (end with|hold)"):
        OPENERS[name]()
    assert not Path("intruded").exists()


@pytest.mark.usefixtures("files")
def test_an_unsealed_file_opens_when_it_is_trusted(waves):
    """As one that an older version wrote, or a trainer of the user's own."""
    expected = InformerModel.load("model.pt").predict(4, waves())
    for name in ("model.pt", "model.pt.ckpt"):
        content = Path(name).read_bytes()
        Path(name).write_bytes(content[:-64] + b"x" * 64)
    with pytest.raises(ValueError, match="trusted=True"):
        InformerModel.load("model.pt")
    assert InformerModel.load("model.pt", trusted=True).predict(4, waves()) == expected


@pytest.mark.usefixtures("files")
def test_a_loaded_model_is_saved_with_its_weights(waves):
    """Darts leaves the weights out of a model that was neither trained nor used since."""
    expected = InformerModel.load("model.pt").predict(4, waves())
    InformerModel.load("model.pt").save("again.pt")
    assert InformerModel.load("again.pt").predict(4, waves()) == expected


@pytest.mark.usefixtures("files")
def test_a_model_without_weights_does_not_take_those_of_its_predecessor():
    InformerModel(8, 4).save("model.pt")
    assert InformerModel.load("model.pt").model is None


@pytest.mark.usefixtures("files")
def test_sktime_refuses_a_damaged_archive():
    """Its own function reads the archive first, so the error may be that of Python's reader."""
    whole = Path("forecaster.zip").read_bytes()
    for seed in range(12):
        Path("forecaster.zip").write_bytes(damage(whole, seed))
        with pytest.raises(Exception):  # noqa: B017, PT011 - zip files break in many ways
            load("forecaster")


ZONED = pd.date_range("2024-01-01", periods=24, freq="h", tz="Europe/Berlin")


@pytest.mark.parametrize(
    "index",
    [
        ZONED,
        ZONED.tz_convert("UTC"),
        pd.date_range("2024-01-01 00:00+02:00", periods=24, freq="h"),
        pd.period_range("2024-01", periods=24, freq="M"),
    ],
    ids=["zone", "UTC", "offset", "period"],
)
@pytest.mark.parametrize("serialization_format", ["pickle", "cloudpickle"])
def test_an_archive_opens_whatever_its_time_axis_is(tmp_path, index, serialization_format):
    """Each kind of axis brings classes of its own, which must be among the safe ones."""
    forecaster = make_forecaster(quantiles=(0.2, 0.8)).fit(table(index), fh=[1, 2])
    forecaster.save(str(tmp_path / "model"), serialization_format)
    pd.testing.assert_series_equal(load(tmp_path / "model.zip").predict(), forecaster.predict())
    assert [file.name for file in tmp_path.iterdir()] == ["model.zip"]


class Stranger(Callback):
    """A class of the user's own."""


@pytest.mark.usefixtures("files")
def test_a_class_of_the_user_is_loaded_if_it_is_trusted():
    trainer = {"accelerator": "cpu", "callbacks": [Stranger()]}
    forecaster = make_forecaster(pl_trainer_kwargs=trainer).fit(table(), fh=[1])
    with pytest.warns(UserWarning, match=r"loading it again will fail: .*Stranger"):
        forecaster.save("strange")
    with pytest.raises(ValueError, match=r"must hold only .*Stranger"):
        load("strange")
    with safe_globals([Stranger]):
        assert len(load("strange").predict()) == 1
    assert len(InformerForecaster.load_from_path("strange.zip", trusted=True).predict()) == 1


@pytest.mark.usefixtures("files")
def test_a_pickle_cannot_borrow_what_an_allowed_class_can_reach():
    """`getattr` is stood in for, and dotted names are compared whole."""
    module = "informer_forecaster.adapters.darts"
    calls = {
        "attributes": b"cbuiltins\ngetattr\n(cbuiltins\nset\nVpop\ntR.",
        f"{module}.wraps": f"c{module}\nwraps\n.".encode(),
    }
    for name, content in calls.items():
        with zipfile.ZipFile("forecaster.zip", "w") as archive:
            archive.writestr("_obj", content)
        sealed_files.seal("forecaster.zip", "forecaster")
        with pytest.raises(ValueError, match=name):
            OPENERS["forecaster.zip"]()


def test_a_save_that_fails_leaves_the_archive_before_it(tmp_path, monkeypatch):
    forecaster = make_forecaster().fit(table(), fh=[1, 2])
    forecaster.save(tmp_path / "model")
    before = (tmp_path / "model.zip").read_bytes()
    for module, name in ((pickle, "dump"), (shutil, "make_archive"), (os, "fsync")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                forecaster.save(tmp_path / "model")
        assert (tmp_path / "model.zip").read_bytes() == before
