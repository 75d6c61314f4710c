"""How a defect is put in: a function is replaced, or a text of the sources.

A defect of a line is ``replace(number, name, test, old, new)``. The line is found by its text,
wherever its file has gone; a text that is there twice, or no longer, is an error of the check.
"""

from __future__ import annotations

import functools
import gc
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from pytest import MonkeyPatch  # noqa: PT013 - named in every annotation

import informer_forecaster


class Mutation(NamedTuple):
    """A defect: its number, what it is, its tests, and how to make it.

    Numbers up to 12 are those of the known defects of other implementations.
    """

    number: int
    name: str
    tests: str
    put_in: Callable[[MonkeyPatch], None]
    text: str | None = None


MUTATIONS: list[Mutation] = []


def mutation(number: int, name: str, tests: str) -> Callable[[Any], Any]:
    """Register the function that puts a defect in."""

    def register(put_in: Callable[[MonkeyPatch], None]) -> Callable[[MonkeyPatch], None]:
        MUTATIONS.append(Mutation(number, name, tests, put_in))
        return put_in

    return register


def wrap(patch: MonkeyPatch, owner: Any, name: str, change: Callable[..., Any]) -> None:
    """Replace ``owner.name`` by a function that is given the original as its first argument."""
    original = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **kwargs: change(original, *args, **kwargs))


@functools.cache
def modules() -> tuple[ModuleType, ...]:
    """Import every module of the package."""
    root = informer_forecaster
    names = [one.name for one in pkgutil.walk_packages(root.__path__, f"{root.__name__}.")]
    return root, *map(importlib.import_module, names)


@functools.cache
def sources() -> dict[Path, tuple[str, str]]:
    """Read the file of every module; the link to the adapters gives no file a second name."""
    files = {Path(module.__file__).resolve(): module.__file__ for module in modules()}
    return {path: (file, path.read_text(encoding="utf-8")) for path, file in files.items()}


def find(text: str) -> tuple[str, str]:
    """Give the file that holds a text, and all that stands in it."""
    places = [place for place in sources().values() if text in place[1]]
    count = sum(source.count(text) for _, source in places)
    if count != 1:
        raise AttributeError(f"the text is in the sources {count} times, not once: {text!r}")
    return places[0]


def functions_of(code: CodeType) -> Iterator[CodeType]:
    """Give a code object, and those of the functions and classes in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from functions_of(one)


def replace_text(old: str, new: str) -> None:
    """Change a text of the sources in the running process, in whichever file it is.

    The functions around it get the code that the changed file would give them, so that it does not
    matter who has imported or wrapped them. It cannot be taken back: the process has to be a fork.
    """
    file, source = find(old)
    changed = source.replace(old, new)
    if changed.count("\n") != source.count("\n"):
        raise AttributeError(f"the replacement has another number of lines: {new!r}")
    before, after = (
        functions_of(compile(text, file, "exec", dont_inherit=True)) for text in (source, changed)
    )
    codes = {one: other for one, other in zip(before, after, strict=True) if one != other}
    # Equal code objects need not be identical: the running ones were compiled at the import.
    running = [
        one for one in gc.get_objects() if isinstance(one, FunctionType) and one.__code__ in codes
    ]
    if not running:
        raise AttributeError(f"no function holds the text: {old!r}")
    for function in running:
        function.__code__ = codes[function.__code__]


def replace(number: int, name: str, tests: str, old: str, new: str) -> None:
    """Register a defect of a line or of a few."""
    MUTATIONS.append(Mutation(number, name, tests, lambda _: replace_text(old, new), old))
