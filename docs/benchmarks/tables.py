"""Markdown that scripts write: tables, and what stands between the marks of a page."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

END = "<!-- to here -->\n"


def make_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Make a Markdown table; numbers get three digits, missing ones none."""
    header = list(header)
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if pd.isna(value):
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def begin(script: str) -> str:
    """Give the line that opens what ``script`` writes."""
    return f"<!-- written by docs/benchmarks/{script}.py -->\n"


def between_marks(text: str, body: str, script: str) -> str:
    """Put ``body`` between the marks of a script in a page."""
    head, mark, rest = text.partition(begin(script))
    _, _, tail = rest.partition(END)
    return f"{head}{mark}\n{body}\n{END}{tail}"
