"""Write how large the layers of the package are into docs/architecture.md.

    python docs/code_figures.py

Code lines are those without docstrings, comments and empty lines.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- written by docs/code_figures.py -->", "<!-- to here -->"
FOLDERS = (
    "informer_forecaster/_network",
    "informer_forecaster/_training",
    "informer_forecaster/_files",
    "informer_forecaster/explain",
    "adapters",
)
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Figures(NamedTuple):
    """What is counted in a folder."""

    files: int
    code_lines: int
    median_function: int
    p90_function: int
    longest_function: int
    longest_file: int
    bare_any: float
    private_names: int


def trees(folder: Path) -> dict[Path, ast.Module]:
    """Parse the files of a folder."""
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(folder.rglob("*.py"))}


def code_lines(path: Path, tree: ast.AST) -> set[int]:
    """Number the lines of a file that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, Function)) and ast.get_docstring(node):
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def functions(tree: ast.AST) -> list[Function]:
    """List the functions of a file."""
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def annotations(tree: ast.AST) -> Iterator[str]:
    """Give every annotation as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
            yield ast.unparse(node.annotation)
        elif isinstance(node, Function) and node.returns is not None:
            yield ast.unparse(node.returns)


def is_private(name: str) -> bool:
    """Whether a name begins with one underscore."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined(tree: ast.AST) -> Iterator[str]:
    """Give the names that a file defines: functions, classes, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (Function, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def used(tree: ast.AST) -> Iterator[str]:
    """Give the attributes that a file reads, the names it imports, and the words in its texts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def private_names(folder: Path) -> set[str]:
    """Collect the private names of frameworks in a folder: used, and defined nowhere here."""
    package = [tree for each in FOLDERS for tree in trees(ROOT / each).values()]
    ours = {name for tree in package for name in defined(tree)}
    ours |= {path.stem for each in FOLDERS for path in (ROOT / each).rglob("*.py")}
    found = {name for tree in trees(folder).values() for name in used(tree)}
    return {name for name in found if name.isidentifier() and is_private(name)} - ours


def count(folder: str) -> Figures | None:
    """Count a folder; ``None`` if it holds no file."""
    parsed = trees(ROOT / folder)
    if not parsed:
        return None
    lines = {path: code_lines(path, tree) for path, tree in parsed.items()}
    sizes = [
        node.end_lineno - node.lineno + 1 for tree in parsed.values() for node in functions(tree)
    ]
    written = [one for tree in parsed.values() for one in annotations(tree)]
    return Figures(
        files=len(parsed),
        code_lines=sum(map(len, lines.values())),
        median_function=round(median(sizes)),
        p90_function=round(quantiles(sizes, n=10)[-1]),
        longest_function=max(sizes),
        longest_file=max(len(path.read_text("utf-8").splitlines()) for path in parsed),
        bare_any=written.count("Any") / len(written),
        private_names=len(private_names(ROOT / folder)),
    )


def render() -> str:
    """Write the table."""
    counted = {folder: one for folder in FOLDERS if (one := count(folder)) is not None}
    network = counted[FOLDERS[0]].code_lines
    head = [
        *("folder", "files", "code lines", "of the network's", "lines of a function: median, p90"),
        *("longest function", "longest file", "bare `Any`", "private names of frameworks"),
    ]
    rows = [head, ["---"] * len(head)]
    for folder, one in counted.items():
        share, functions = one.code_lines / network, f"{one.median_function}, {one.p90_function}"
        rows.append(
            [
                *(f"`{folder}`", str(one.files), f"{one.code_lines:,}", f"{share:.1f}", functions),
                *(str(one.longest_function), str(one.longest_file)),
                *(f"{one.bare_any:.0%}", str(one.private_names)),
            ]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def figures_of(table: str) -> list[float]:
    """Read the numbers of a table."""
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", table)]


def on_the_page() -> str:
    """Read the table that the page shows."""
    return PAGE.read_text("utf-8").split(BEGIN)[1].split(END)[0].strip() + "\n"


if __name__ == "__main__":
    page = PAGE.read_text("utf-8")
    PAGE.write_text(page.replace(on_the_page(), render()), "utf-8")
