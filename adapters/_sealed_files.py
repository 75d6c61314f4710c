"""Private: files that are written whole or not at all, and refused if a bit of them has changed.

torch and sktime write zip archives. A seal is the comment at the end of one: what kind of file it
is, the format, the digest of the file that belongs to it, and the digest of all that stands before.
It finds accidents; who writes a forged file can write its seal as well.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["model", "weights", "forecaster"]

FORMAT = 1
_DIGEST_LENGTH = 64
_SEAL = re.compile(
    rb"informer-forecaster (?P<kind>[a-z]+) (?P<format>\d{4}) (?P<partner>[0-9a-f]{64}|-{64}) "
    rb"(?P<digest>[0-9a-f]{64})\Z"
)
_LONGEST_SEAL = 256


class Seal(NamedTuple):
    """What a seal says, and whether the file is the one that was sealed."""

    kind: str
    format: int
    partner: str | None
    digest: str
    intact: bool


def beside(path: str | os.PathLike[str]) -> Path:
    """Name the file that is written first and then renamed to ``path``; hidden, in its folder."""
    path = Path(path)
    return path.with_name(f".{path.name}.new")


def seal(path: str | os.PathLike[str], kind: Kind, partner: str | None = None) -> str:
    """Seal a zip archive that has no comment, bring it to the disk, and return its digest.

    Parameters
    ----------
    path : path
        The archive.
    kind : {"model", "weights", "forecaster"}
        What it holds.
    partner : str or None
        Digest of the file that it must be read with.
    """
    head = f"informer-forecaster {kind} {FORMAT:04} {partner or '-' * _DIGEST_LENGTH} ".encode()
    content = Path(path).read_bytes()
    # The last two bytes of an archive without a comment are the length of its comment.
    content = content[:-2] + struct.pack("<H", len(head) + _DIGEST_LENGTH) + head
    digest = hashlib.sha256(content).hexdigest()
    with Path(path).open("wb") as file:
        file.write(content + digest.encode())
        file.flush()
        os.fsync(file.fileno())
    return digest


def read_seal(path: str | os.PathLike[str]) -> Seal | None:
    """Read the seal of a file and compare the file with it; None without file or seal."""
    if not Path(path).is_file():
        return None
    content = Path(path).read_bytes()
    found = _SEAL.search(content[-_LONGEST_SEAL:])
    if found is None:
        return None
    partner, digest = found["partner"].decode(), found["digest"].decode()
    return Seal(
        found["kind"].decode(),
        int(found["format"]),
        None if partner.startswith("-") else partner,
        digest,
        hashlib.sha256(content[:-_DIGEST_LENGTH]).hexdigest() == digest,
    )


def check_seal(path: str | os.PathLike[str], kind: Kind, *, trusted: bool = False) -> Seal | None:
    """Raise unless ``path`` is a sealed file of this kind and as it was written.

    Parameters
    ----------
    path : path
        The file.
    kind : {"model", "weights", "forecaster"}
        What it must hold.
    trusted : bool
        Whether a file without a seal passes.

    Raises
    ------
    ValueError
        If the file is damaged, of another kind or format, or has no seal.
    """
    found = read_seal(path)
    if found is None and (trusted or not Path(path).exists()):
        return None  # whoever opens the file says that it is missing
    if found is None:
        raise ValueError(
            f"{str(path)!r} must end with the seal that informer-forecaster writes; it has none: "
            "it is cut short, damaged, or written by something else. Take a copy that is whole, or "
            "give `trusted=True` where you know that the file is sound."
        )
    if not found.intact:
        raise ValueError(
            f"{str(path)!r} must be as it was written; its content and its seal differ, so it is "
            "damaged. Take another copy."
        )
    if found.format != FORMAT:
        raise ValueError(
            f"{str(path)!r} must have format {FORMAT}; got format {found.format}. Load it with the "
            "version of informer-forecaster that wrote it."
        )
    if found.kind != kind:
        raise ValueError(
            f"{str(path)!r} must hold a {kind}; got a {found.kind}. Give the path of another file."
        )
    return found
