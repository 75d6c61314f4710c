"""Private: the directory of a pretrained model, written whole or not at all, and read with care."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

CONFIG, WEIGHTS, SERIES = "config.json", "model.safetensors", "series.safetensors"
FORMAT, VERSION = "informer-forecaster", 1

Tensors = dict[str, torch.Tensor]


def write_directory(
    directory: str | os.PathLike[str], config: dict[str, Any], weights: Tensors, series: Tensors
) -> None:
    """Write the files of a model; ``directory`` holds all of the new ones or all of the old ones.

    Raises
    ------
    ValueError
        If ``directory`` is a file or holds anything that this function did not write.
    """
    target = Path(directory).resolve()
    fresh, old = _beside(target, "new"), _beside(target, "old")
    for path in (target, fresh, old):
        _check_replaceable(path)
    _put_back(old, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    # What a process left that was killed here.
    for path in (fresh, old):
        if path.exists():
            shutil.rmtree(path)
    fresh.mkdir()
    try:
        _write_files(fresh, config, {WEIGHTS: weights, SERIES: series})
        # On one file system, so that only names change, each at once.
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    except BaseException:
        _put_back(old, target)
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def read_directory(directory: str | os.PathLike[str]) -> tuple[dict[str, Any], Tensors, Tensors]:
    """Read what :func:`write_directory` wrote: the configuration, the weights, the series.

    Raises
    ------
    ValueError
        If a file is missing, damaged, or of a version that this one does not know.
    """
    folder = Path(directory)
    if not folder.exists() and _beside(folder, "old").exists():
        # Its writer was killed between two renamings, and will not come back.
        folder = _beside(folder, "old")
    config = _read_config(folder / CONFIG)
    checksums = config.get("checksums")
    if not isinstance(checksums, dict) or WEIGHTS not in checksums:
        raise ValueError(f"{folder / CONFIG} is damaged: it names no weights. {_REMEDY}")
    weights, series = (
        _read_tensors(folder / name, checksums[name]) if name in checksums else {}
        for name in (WEIGHTS, SERIES)
    )
    return config, weights, series


_REMEDY = "Save the model again with `save_pretrained`, or copy the whole directory again."


def _check_replaceable(target: Path) -> None:
    if target.is_dir():
        foreign = sorted({path.name for path in target.iterdir()} - {CONFIG, WEIGHTS, SERIES})
        if not foreign:
            return
        reason = f"it holds {foreign[0]!r}, which is no file of a pretrained model"
    elif target.exists():
        reason = "it is a file"
    else:
        return
    raise ValueError(
        f"`directory` must be new, empty, or that of a pretrained model; got {target}: {reason}. "
        "Choose another one."
    )


def _beside(target: Path, which: str) -> Path:
    """Name the directory that is written first, or that is given up last; hidden, beside it."""
    return target.with_name(f".{target.name}.{which}")


def _put_back(old: Path, target: Path) -> None:
    if old.exists() and not target.exists():
        old.rename(target)


def _write_files(folder: Path, config: dict[str, Any], files: dict[str, Tensors]) -> None:
    """Write the files of a model and bring them to the disk."""
    checksums = {}
    for name, tensors in files.items():
        if tensors:
            packed = {key: one.detach().cpu().contiguous() for key, one in tensors.items()}
            save_file(packed, folder / name, metadata={"format": "pt"})
            checksums[name] = _checksum(folder / name)
    content = {"format": FORMAT, "format_version": VERSION, **config, "checksums": checksums}
    content["config_checksum"] = config_checksum(content)
    text = json.dumps(content, indent=2, allow_nan=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(
            f"{path.parent} holds no {path.name}: it is no directory of a pretrained model. Give "
            "the one that `save_pretrained` wrote."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}. {_REMEDY}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"{path} is not of a pretrained model of informer-forecaster. {_REMEDY}")
    if config.get("format_version") != VERSION:
        raise ValueError(
            f"{path} has the format version {config.get('format_version')!r}; this release reads "
            f"version {VERSION}. Install the release of informer-forecaster that wrote it: "
            f"{config.get('library_versions')}."
        )
    if config.get("config_checksum") != config_checksum(config):
        raise ValueError(f"{path} is damaged: it is not what was saved. {_REMEDY}")
    return config


def config_checksum(config: dict[str, Any]) -> str:
    """The checksum of all entries but itself: a number that changed may still be a valid one."""
    entries = {name: entry for name, entry in config.items() if name != "config_checksum"}
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _read_tensors(path: Path, checksum: object) -> Tensors:
    if not path.is_file():
        raise ValueError(f"{path} is missing. {_REMEDY}")
    if _checksum(path) != checksum:
        raise ValueError(f"{path} is not the file that was saved: its checksum differs. {_REMEDY}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}. {_REMEDY}") from error


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
