"""A model as data: a directory with config.json and model.safetensors. Nothing is unpickled."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from .archives import FilePath, beside, flush, without_leftovers

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
Tensors = dict[str, torch.Tensor]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT, VERSION = "informer-forecaster", 1
REMEDY = "Save the model again with `save_pretrained`, or copy the whole directory again."


def plain(name: str, value: object) -> JSON:
    """Turn a value into one that JSON can hold.

    Examples
    --------
    >>> import numpy as np
    >>> from informer_forecaster._files.directory import plain
    >>> plain("quantiles", (np.float64(0.5), {"eps": 1e-5}))
    [0.5, {'eps': 1e-05}]
    """
    try:
        text = json.dumps(value, default=lambda one: one.tolist(), allow_nan=False)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` cannot be saved as data; got {value!r}. Numbers, strings, and lists and "
            "dictionaries of them can. Choose another, or keep the whole model with `save`."
        ) from error
    found: JSON = json.loads(text)
    return found


def write_directory(directory: FilePath, config: dict[str, JSON], tensors: Tensors) -> None:
    """Write both files; after an interruption the old model or the new one is there.

    Raises
    ------
    ValueError
        If a file of one of the two names is there and not of this package.
    """
    folder = Path(directory)
    _check_ours(folder)
    content = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, {"format": "pt"})
    config = {"format": FORMAT, "format_version": VERSION, "libraries": _libraries(), **config}
    config["checksum"] = _checksum(config, content)
    text = json.dumps(config, indent=2, allow_nan=False) + "\n"
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    files = {beside(folder / CONFIG): text.encode(), beside(folder / WEIGHTS): content}
    try:
        with without_leftovers(*files):
            for new, one in files.items():
                with new.open("xb") as file:  # follows no link
                    file.write(one)
                flush(new)
            beside(folder / CONFIG).replace(folder / CONFIG)
    except BaseException:
        if is_new:
            folder.rmdir()
        raise
    # From here on the weights are found under either name.
    beside(folder / WEIGHTS).replace(folder / WEIGHTS)


def read_directory(directory: FilePath, name: str) -> tuple[dict[str, Any], Tensors]:
    """Read the configuration and the tensors of a model of the class ``name``.

    Raises
    ------
    ValueError
        If a file is missing, damaged, or of another class, package or version.
    """
    folder = Path(directory)
    if not (folder / CONFIG).is_file():
        raise ValueError(
            "`directory` must be one that `save_pretrained` wrote, with a file "
            f"{CONFIG}; got {str(directory)!r}, without it. Give the path that was saved to."
        )
    config = _parse((folder / CONFIG).read_bytes())
    if config is None:
        raise ValueError(f"{folder / CONFIG} is damaged or of another package. {REMEDY}")
    if config.get("format_version") != VERSION:
        raise ValueError(
            f"{folder / CONFIG} has the format version {config.get('format_version')!r}; this "
            f"release reads version {VERSION}. Install the release of informer-forecaster that "
            f"wrote it: {config.get('libraries')}."
        )
    for path in (folder / WEIGHTS, beside(folder / WEIGHTS)):
        content = path.read_bytes() if path.is_file() else b""
        if _checksum(config, content) == config.get("checksum"):
            break
    else:
        raise ValueError(f"the files of {folder} are not those of one save, or damaged. {REMEDY}")
    if config.get("class") != name:
        raise ValueError(
            f"{folder} holds a model of the class {config.get('class')}; got {name}. Call "
            "`from_pretrained` of that class."
        )
    with reported(folder):
        return config, load(content)


@contextlib.contextmanager
def reported(directory: FilePath) -> Iterator[None]:
    """Turn what a configuration that no version writes brings about into a ValueError."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{os.fspath(directory)}: {error}") from error
    except (
        *(ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError),
        SafetensorError,
    ) as error:
        raise ValueError(
            f"{os.fspath(directory)} is damaged, or of other versions of the libraries: {error!r}. "
            f"{REMEDY}"
        ) from error


def _check_ours(folder: Path) -> None:
    present = [folder / name for name in (CONFIG, WEIGHTS) if os.path.lexists(folder / name)]
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        reason = "it is a file or a link"
    elif not present:
        return
    elif link := next((file for file in present if file.is_symlink() or not file.is_file()), None):
        reason = f"{link.name} is a link or no file"
    elif present[0].name != CONFIG or _parse(present[0].read_bytes()) is None:
        reason = f"{present[0].name} was not written by this package"
    else:
        return
    raise ValueError(
        f"`directory` must be new or that of a pretrained model; got {folder}: {reason}. Choose "
        "another one."
    )


def _parse(content: bytes) -> dict[str, Any] | None:
    """Read a configuration; None if it is none of ours."""
    try:
        config = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) and config.get("format") == FORMAT else None


def _checksum(config: dict[str, Any], weights: bytes) -> str:
    """The checksum of both files: a number that changed may still be a valid one."""
    entries = {name: entry for name, entry in config.items() if name != "checksum"}
    text = json.dumps(entries, sort_keys=True).encode()
    return hashlib.sha256(text + weights).hexdigest()


def _libraries() -> dict[str, JSON]:
    """Versions of what is installed; a checkout on the path may not be."""
    names = ("informer-forecaster", "darts", "torch", "sktime", "safetensors")
    installed = {name.lower() for one in metadata.distributions() if (name := one.name)}
    return {name: metadata.version(name) for name in names if name in installed}
