"""Put each known defect into this package, and see the tests fail.

    python tests/mutation_check.py [DEFECT ...]

A defect replaces a function or a line while its tests run, in a fork of a process that has imported
Darts and sktime once. A replacement whose target is gone, or whose tests pass, ends the run with an
error; so does a test that fails without the defect. What counts as caught is a failed assertion, or
an error or a warning that did not come: a replacement that merely breaks something is not taken for
one that a test noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

# The sources beside these tests, whatever the interpreter has installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

import line_mutations  # noqa: F401 - registers its defects
import mutations  # noqa: F401
from mutating import MUTATIONS, Mutation, find

TESTS = Path(__file__).parent
NOTICED = (AssertionError, pytest.fail.Exception)


class Outcome:
    """A pytest plugin that counts the tests that passed, and those whose assertion failed."""

    def __init__(self) -> None:
        self.passed = self.failed = self.broken = 0
        self.names: list[str] = []  # of those that failed or broke

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo) -> None:
        """Count one phase of a test."""
        if call.excinfo is None:
            self.passed += call.when == "call"
            return
        self.names.append(f"{item.nodeid}: {call.excinfo.exconly()[:300]}")
        if call.when == "call" and call.excinfo.errisinstance(NOTICED):
            self.failed += 1
        else:
            self.broken += 1


def run(tests: list[str], put_in: Callable[[pytest.MonkeyPatch], None] | None = None) -> Outcome:
    """Run tests in a fork, with a defect or without."""
    outcome = Outcome()
    with TemporaryDirectory() as folder:
        result = Path(folder, "result")
        child = os.fork()
        if child == 0:
            try:
                _run_here(tests, put_in, outcome, Path(folder, "output"))
                result.write_text(json.dumps(vars(outcome)))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        if not result.exists():
            raise SystemExit(f"this could not be put in: {Path(folder, 'output').read_text()}")
        vars(outcome).update(json.loads(result.read_text()))
    return outcome


def _run_here(
    tests: list[str],
    put_in: Callable[[pytest.MonkeyPatch], None] | None,
    outcome: Outcome,
    output: Path,
) -> None:
    """Run tests in this process, which ends afterwards; what they print goes to a file."""
    descriptor = os.open(output, os.O_CREAT | os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())
    with pytest.MonkeyPatch.context() as patch:
        if put_in is not None:
            try:
                put_in(patch)
            except Exception as error:
                print(error, file=sys.stderr, flush=True)  # noqa: T201
                raise
        arguments = ["-q", "-p", "no:cacheprovider", "--rootdir", str(TESTS.parent)]
        pytest.main([*arguments, *(str(TESTS / test) for test in tests)], [outcome])


def missing(each: Mutation) -> str | None:
    """Say what is gone that a mutation needs: its place, or its test."""
    file, _, test = each.tests.partition("::")
    path = TESTS / file
    if not path.exists() or f"def {test.partition('[')[0]}" not in path.read_text("utf-8"):
        return f"no such test: {each.tests}"
    try:
        if each.text is not None:
            find(each.text)
        else:
            with pytest.MonkeyPatch.context() as patch:
                each.put_in(patch)
    except AttributeError as error:
        return str(error)
    return None


def check(numbers: list[int]) -> int:
    """Run the mutations of these defects, or all, and return how many of them no test caught."""
    gone = [f"{one.number} {one.name}: {what}" for one in MUTATIONS if (what := missing(one))]
    if gone:
        raise SystemExit("\n".join(gone))
    chosen = [one for one in MUTATIONS if not numbers or one.number in numbers]
    sound = run(sorted({mutation.tests for mutation in chosen}))
    if sound.failed or sound.broken or not sound.passed:
        raise SystemExit(f"without a defect the tests must pass; got {vars(sound)}")
    missed = 0
    for each in chosen:
        outcome = run([each.tests], each.put_in)
        missed += outcome.failed == 0
        verdict = "caught" if outcome.failed else "MISSED"
        line = f"{each.number:2} {verdict} by {outcome.failed} of {each.tests}: {each.name}"
        print(line, flush=True)  # noqa: T201
    print(f"{len(chosen) - missed} of {len(chosen)} caught")  # noqa: T201
    return missed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("defects", nargs="*", type=int, help="numbers; all if none is given")
    sys.exit(check(parser.parse_args().defects) > 0)
