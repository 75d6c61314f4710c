"""Zip archives, as torch and sktime write them: whole, marked, and checked before they are opened.

They carry a checksum of each entry, which torch does not look at. They are pickles: who loads one
runs what its writer put in.
"""

from __future__ import annotations

import os
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile, ZipFile

FilePath = str | os.PathLike[str]


def beside(path: FilePath) -> Path:
    """Name the file that is written first and then renamed to ``path``; hidden, in its folder."""
    path = Path(path)
    return path.with_name(f".{path.name}.new")


@contextmanager
def without_leftovers(*files: Path) -> Iterator[None]:
    """Remove files, or links planted in their place, before the work and after an error."""
    try:
        for file in files:
            file.unlink(missing_ok=True)
        yield
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise


def flush(path: FilePath) -> None:
    """Bring a file to the disk, so that its new name never stands for half of it."""
    with Path(path).open("rb") as file:
        os.fsync(file.fileno())


def mark(path: FilePath, save_id: str) -> None:
    """Write the id of a save into an archive: two files that share it belong together."""
    with ZipFile(path, "a") as archive:
        archive.comment = save_id.encode()
    flush(path)


def mark_of(path: FilePath) -> bytes | None:
    """Read the id of a save; None where the archive is missing or no archive."""
    try:
        with ZipFile(path) as archive:
            return archive.comment
    except (OSError, BadZipFile):
        return None


def finish_save(path: FilePath, partner: FilePath) -> None:
    """Give ``path`` its content where a save was interrupted after ``partner`` had its new one."""
    new, wanted = beside(path), mark_of(partner)
    if wanted and wanted == mark_of(new) and wanted != mark_of(path):
        new.replace(path)


@contextmanager
def written_pair(path: FilePath, partner: FilePath) -> Iterator[Path]:
    """Give the name under which to write a file, and with an ending of ``partner`` its partner.

    Both stand beside the old ones first: after an interrupted save the old pair or the new one is
    there. An old partner goes if the new file has none.

    Raises
    ------
    ValueError
        If one of the two is a directory.
    """
    for target in (path, partner):
        if Path(target).is_dir():
            raise ValueError(f"`path` must name a file; {os.fspath(target)!r} is a directory.")
    new = beside(path)
    new_partner = Path(f"{new}{os.fspath(partner).removeprefix(os.fspath(path))}")
    with without_leftovers(new, new_partner):
        yield new
        save_id = uuid.uuid4().hex
        for file in filter(Path.exists, (new, new_partner)):
            mark(file, save_id)
        has_partner = new_partner.exists()
        if has_partner:
            new_partner.replace(partner)
    new.replace(path)
    if not has_partner:
        Path(partner).unlink(missing_ok=True)


def check_pair(path: FilePath, partner: FilePath) -> None:
    """Raise if one of two files is damaged, or if they are not of one save."""
    finish_save(path, partner)
    for file in (path, partner):
        check_archive(file)
    if Path(partner).exists() and mark_of(path) != mark_of(partner):
        raise ValueError(
            f"{os.fspath(partner)!r} must hold the weights that were saved with "
            f"{os.fspath(path)!r}; got those of another save. Put the two files of one save side "
            "by side."
        )


def check_archive(path: FilePath) -> None:
    """Raise if a file is there and is no archive, or not as it was written.

    Raises
    ------
    ValueError
        If a checksum differs or the archive cannot be read.
    """
    if not Path(path).exists():
        return  # whoever opens the file says that it is missing
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
        reason = f"the checksum of {damaged!r} differs"
    except (BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, zlib.error) as error:
        damaged, reason = "all", str(error)
    if damaged is not None:
        raise ValueError(
            f"{os.fspath(path)!r} must be a whole archive that torch or sktime wrote; {reason}. It "
            "is cut short, damaged or something else: take another copy."
        )
