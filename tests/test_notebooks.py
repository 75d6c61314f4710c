"""The notebooks: the site shows their outputs as they are kept, so the outputs have to be right."""

from __future__ import annotations

import ast
import json
import runpy
from pathlib import Path

import pytest
from printed import assert_prints

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def text_of(cell):
    """What a cell prints; figures and tables of HTML are left out."""
    return "".join(
        "".join(one["text"]) for one in cell["outputs"] if one["output_type"] == "stream"
    )


def calls(cell):
    """Names that a cell calls."""
    tree = ast.parse("".join(cell["source"]))
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {one.id if isinstance(one, ast.Name) else getattr(one, "attr", None) for one in called}


def figures_of(cell):
    """Count the figures of a cell; how its text is cut into streams differs from run to run."""
    return sum(one["output_type"] == "display_data" for one in cell["outputs"])


@each_notebook
def test_a_notebook_shows_all_that_it_prints_and_draws(path):
    cells = code_cells(json.loads(path.read_text(encoding="utf-8")))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [one for cell in cells for one in cell["outputs"]]
    assert {one["output_type"] for one in outputs} <= {"stream", "display_data"}
    for cell in cells:
        assert bool(text_of(cell)) == ("print" in calls(cell)), cell["source"]
    assert any("image/png" in one.get("data", {}) for one in outputs)


def test_the_gallery_has_every_notebook_with_its_picture():
    gallery = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 7
    for path in NOTEBOOKS:
        picture = f"figures/notebook_{path.stem}.png"
        assert f"]({picture})](notebooks/{path.name})" in gallery
        assert (DOCS / picture).exists()


@pytest.mark.slow
@each_notebook
def test_a_notebook_prints_what_it_shows(path):
    again = runpy.run_path(str(DOCS / "notebooks" / "execute.py"))["run"](path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    for now, before in zip(code_cells(again), code_cells(kept), strict=True):
        assert_prints(text_of(now), text_of(before))
        assert figures_of(now) == figures_of(before), now["source"]
