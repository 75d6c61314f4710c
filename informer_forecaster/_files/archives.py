"""Zip archives, as torch and sktime write them: whole, marked, and checked before they are opened.

They carry a checksum of each entry, which torch does not look at. They are pickles: who loads one
runs what its writer put in.
"""

from __future__ import annotations

import os
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
