"""The prose of the pages: no paragraph that a reader has to read twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 90  # words
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/accuracy/*.md")])
FENCE = re.compile(r"^ *(```|:::).*?^ *\1 *$", re.M | re.S)
NO_PROSE = re.compile(r"<!--.*?-->|^#+ .*?$", re.M | re.S)
# What begins a paragraph of its own without an empty line before it.
BEGINS = re.compile(r"^ *(?:[-*+>]|\d+\.) +", re.M)


def name_of(page: Path) -> str:
    """Name a page by its path below the root."""
    return page.relative_to(ROOT).as_posix()


def paragraphs(text: str) -> list[str]:
    """List paragraphs and items of lists; headings, tables and code are none."""
    text = NO_PROSE.sub("\n", FENCE.sub("\n", text))
    parts = [part.strip() for block in re.split(r"\n\s*\n", text) for part in BEGINS.split(block)]
    return [part for part in parts if part and not part.startswith("|")]


def words(paragraph: str) -> int:
    """Count words; a link counts by its text."""
    return len(re.sub(r"\]\([^)]*\)", "]", paragraph).split())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_paragraph_is_too_long(page):
    found = paragraphs(page.read_text(encoding="utf-8"))
    long = {f"{one[:60]}...": words(one) for one in found if words(one) > LONGEST}
    assert not long


def test_paragraphs_are_told_apart():
    text = (
        "# A\none two\n\n| a | b |\n\n- three\n  four\n- five\n\n```py\nsix\n```\n[seven](x y) z\n"
    )
    assert [words(one) for one in paragraphs(text)] == [2, 2, 1, 2]
