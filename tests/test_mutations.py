"""The suite notices when a known defect comes in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mutating import MUTATIONS
from mutation_check import missing

if sys.platform == "win32":
    pytest.skip("needs fork", allow_module_level=True)

SCRIPT = Path(__file__).with_name("mutation_check.py")


def caught() -> str:
    """Put all defects in, and return the last line of the report."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def test_each_defect_has_its_place_and_its_test():
    """A line that has changed, or a test that was renamed; the slow test below puts all in."""
    assert [(one.number, what) for one in MUTATIONS if (what := missing(one))] == []


@pytest.mark.slow
def test_all_defects_are_caught(record_cases):
    count, of, total, _ = caught().split()
    assert (count, of) == (total, "of")
    record_cases("known defect put in", int(total), int(count), "pytest tests/test_mutations.py")
