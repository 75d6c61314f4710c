"""A damaged file is refused, or harmless: it never yields another forecast."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from darts.models import NLinearModel
from sktime.base import load

from informer_forecaster import InformerForecaster, InformerModel

PLACE = {"model_name": "kept", "work_dir": "."}
QUIET = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
TRAINER = {"accelerator": "cpu", **QUIET}

# How each kind of file is opened by a user; paths are those that the fixture writes.
OPENERS = {
    **dict.fromkeys(["model.pt", "model.pt.ckpt"], lambda: InformerModel.load("model.pt")),
    **dict.fromkeys(
        ["kept/_model.pth.tar", "kept/checkpoints/last-epoch=0.ckpt"],
        lambda: InformerModel.load_from_checkpoint(**PLACE, best=False),
    ),
    **dict.fromkeys(
        ["pretrained/config.json", "pretrained/model.safetensors"],
        lambda: InformerModel.from_pretrained("pretrained", pl_trainer_kwargs=TRAINER),
    ),
    "forecaster.zip": lambda: InformerForecaster.load_from_path("forecaster.zip"),
}
# Of these every bit counts; the others have times of writing and gaps between their entries.
EVERY_BIT = [name for name in OPENERS if name.startswith("pretrained")]


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
        forecaster = InformerForecaster(**InformerForecaster.get_test_params()[0])
        forecaster.fit(pd.Series(np.sin(np.arange(24.0))), fh=[1, 2]).save("forecaster")
    return folder


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


def forecast(model, waves):
    """Forecast by whatever was opened."""
    if isinstance(model, InformerModel):
        return model.predict(4, waves()).values().tolist()
    return model.predict().tolist()


def differs_in_spaces(one: bytes, other: bytes) -> bool:
    """Whether two files are of one content: JSON may lose spaces between its entries."""
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def count_harmless(
    name: str, change: Callable[[bytes, int], bytes], seeds: range, waves: Callable[..., object]
) -> int:
    """Change a file once for each seed; count the times when no other forecast came out of it."""
    whole, count, refused = Path(name).read_bytes(), 0, 0
    expected = forecast(OPENERS[name](), waves)
    for seed in seeds:
        damaged = change(whole, seed)
        Path(name).write_bytes(damaged)
        before = digests()
        try:
            count += forecast(OPENERS[name](), waves) == expected
        except ValueError:
            count += 1
            refused += 1
        else:
            assert name not in EVERY_BIT or differs_in_spaces(damaged, whole)
        assert digests() == before
    Path(name).write_bytes(whole)
    # The gaps between the entries of an archive hold nothing, and carry no checksum.
    assert refused >= len(seeds) // 2
    return count


@pytest.mark.parametrize("change", [flip, damage])
@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.usefixtures("files")
def test_a_damaged_file_gives_no_other_forecast(name, change, waves):
    assert count_harmless(name, change, range(1000, 1005), waves) == 5


@pytest.mark.slow
@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.usefixtures("files")
def test_a_file_damaged_in_many_places_gives_no_other_forecast(name, waves, record_cases):
    counts = [count_harmless(name, change, range(1000, 1200), waves) for change in (flip, damage)]
    file = name.removeprefix("kept/")
    for fault, count in zip(("one bit flipped in", "other damage to"), counts, strict=True):
        assert count == 200
        record_cases(f"{fault} `{file}`", 200, count, "pytest tests/test_damaged_files.py")


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"PK\x03\x04"])
@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.usefixtures("files")
def test_what_is_no_such_file_is_refused(name, content):
    Path(name).write_bytes(content)
    with pytest.raises(ValueError, match=r"another copy|Save the model again"):
        OPENERS[name]()


@pytest.mark.parametrize("name", ["model.pt.ckpt", "kept/checkpoints/last-epoch=0.ckpt"])
@pytest.mark.usefixtures("files")
def test_a_weight_that_changed_is_found(name):
    """What torch itself loads without a word."""
    weight = OPENERS[name]().model.state_dict()["network.projection.weight"].numpy().tobytes()
    content = Path(name).read_bytes()
    assert weight in content
    Path(name).write_bytes(content.replace(weight, bytes([weight[0] ^ 1]) + weight[1:]))
    with pytest.raises(ValueError, match=r"the checksum of .* differs"):
        OPENERS[name]()


@pytest.mark.usefixtures("files")
def test_the_weights_of_another_model_are_refused():
    shutil.copy("other.pt.ckpt", "model.pt.ckpt")
    for open_it in (InformerModel.load, InformerModel(8, 4).load_weights):
        with pytest.raises(ValueError, match="another save"):
            open_it("model.pt")


@pytest.mark.usefixtures("files")
def test_a_model_of_darts_is_opened_as_darts_would():
    """`load` is Darts' own and returns what is in the file."""
    NLinearModel(8, 4, pl_trainer_kwargs=TRAINER).save("nlinear.pt")
    assert type(InformerModel.load("nlinear.pt")) is NLinearModel


@pytest.mark.usefixtures("files")
def test_sktime_refuses_a_damaged_archive():
    """Its own function reads the archive first, so the error may be that of Python's reader."""
    whole = Path("forecaster.zip").read_bytes()
    for seed in (0, 1, 2, 5, 6, 7):  # what is added after the end does no harm
        Path("forecaster.zip").write_bytes(damage(whole, seed))
        with pytest.raises(Exception):  # noqa: B017, PT011 - zip files break in many ways
            load("forecaster")
