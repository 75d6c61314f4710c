"""What code of the documentation prints, beside what its page shows."""

from __future__ import annotations

import re

import pytest

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def assert_prints(printed: str, shown: str) -> None:
    """Compare what a block printed with what the page shows: words exactly, numbers to a tenth.

    What a network learns differs from processor to processor.
    """
    words, numbers = zip(
        *((NUMBER.split(t), NUMBER.findall(t)) for t in (printed, shown)), strict=True
    )
    assert [w.split() for w in words[0]] == [w.split() for w in words[1]], printed
    got, expected = ([float(one) for one in each] for each in numbers)
    assert got == pytest.approx(expected, rel=0.1, abs=0.02), printed
