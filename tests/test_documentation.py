"""Every example a reader can copy runs, and every link leads somewhere.

A fenced ``python`` block of README.md or docs/ is run, the blocks of a page in order and in one
namespace. A block that needs what no test machine has (a GPU, weights that may not be shipped) is
opened with ``python notest: <reason>`` instead; the reason is required. What a block prints stands
in a ``text`` block right after it.
"""

from __future__ import annotations

import doctest
import functools
import importlib
import io
import re
import runpy
import sys
import tomllib
import types
from pathlib import Path
from typing import NamedTuple

import pytest
from printed import assert_prints

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    if not any(
        part.startswith(("_build", "jupyter_execute", ".")) for part in page.relative_to(ROOT).parts
    )
)
WITH_PYTHON = [page for page in PAGES if "```py" in page.read_text(encoding="utf-8")]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```", re.M | re.S
)
LINK = re.compile(
    r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|<(?:a|img)\b[^>]*?(?:href|src)=\"([^\"]+)\""
)
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:home|root|Users|work|opt|mnt|tmp)/\w")


class Block(NamedTuple):
    """A fenced block: what follows the backticks, its code, and the line of the opening fence.

    ``output`` is a block of text right after it: what the code prints.
    """

    info: str
    code: str
    line: int
    output: str | None = None


def name_of(path: Path) -> str:
    """Name a file by its path below the root."""
    return path.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """Find the fenced blocks of a page."""
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(text):
        code = "".join(
            line.removeprefix(match["indent"]) for line in match["code"].splitlines(keepends=True)
        )
        info = match["info"].strip()
        if info == "text" and found and not text[end : match.start()].strip():
            found[-1] = found[-1]._replace(output=code)
        found.append(Block(info, code, text.count("\n", 0, match.start("code"))))
        end = match.end()
    return found


def is_run(block: Block) -> bool:
    """Tell whether a block is Python to be run; refuse a ``notest`` without its reason."""
    language, _, rest = block.info.partition(" ")
    if language not in {"python", "py", "python3"}:
        return False
    if rest.startswith("notest"):
        assert re.match(r"notest: \S", rest), f"line {block.line}: say why, 'notest: <reason>'"
        return False
    assert not rest, f"line {block.line}: unknown mark {rest!r}"
    return True


def run_blocks(text: str, page: str) -> dict[str, object]:
    """Run the Python blocks of a page in one namespace; errors carry the line of the page."""
    # A module that can be found by its name, for classes and functions that a block pickles.
    module = types.ModuleType("documentation_page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        for block in filter(is_run, blocks(text)):
            source = "\n" * block.line + block.code
            printed = io.StringIO()
            # Not the stream: the progress bars of a training go there too.
            module.__dict__["print"] = functools.partial(print, file=printed)
            exec(compile(source, page, "exec"), module.__dict__)
            assert_prints(printed.getvalue(), block.output or "")
    return module.__dict__


def targets(text: str) -> list[str]:
    """List the relative links of a page, those in code left out."""
    text = re.sub(r"`[^`\n]+`", "", FENCE.sub("", text))
    links = [match[1] or match[2] for match in LINK.finditer(text)]
    outside = re.compile(r"[a-zA-Z][a-zA-Z+.-]*:|#")
    return [link.partition("#")[0] for link in links if not outside.match(link)]


def modules() -> list[str]:
    """Name every module of the package, without importing one."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [
        package if path.stem == "__init__" else f"{package}.{path.stem}"
        for package in setuptools["tool"]["setuptools"]["packages"]
        for path in sorted(ROOT.joinpath(*package.split(".")).glob("*.py"))
    ]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The examples assert by running: whatever one raises fails the test at its line of the page.
    run_blocks(page.read_text(encoding="utf-8"), name_of(page))


@pytest.mark.parametrize("module", modules())
def test_docstring_examples_run(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(importlib.import_module(module), optionflags=flags)
    assert result.failed == 0, "the differences are printed above"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_to_files(page):
    links = targets(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_no_file_names_a_path_of_one_machine():
    files = [ROOT / name for name in ("pyproject.toml", "constraints.txt", "Makefile", ".ci/run")]
    for folder in ("informer_forecaster", "adapters", "tests", "docs", ".ci"):
        files += [
            p
            for p in (ROOT / folder).rglob("*")
            if p.suffix in {".py", ".md", ".ipynb", ".toml", ".sh"}
        ]
    found = [
        f"{name_of(file)}: {line.strip()}"
        for file in [*files, *PAGES]
        for line in file.read_text(encoding="utf-8").splitlines()
        if MACHINE_PATH.search(line)
    ]
    assert found == []


PAGE = """
```python
x = 1
```
```python notest: needs a GPU
raise RuntimeError
```
1. a list
   ```python
   x += 1
   ```
```sh
exit 1
```
"""


def test_blocks_of_a_page_share_a_namespace():
    assert run_blocks(PAGE, "page.md")["x"] == 2


def test_an_error_names_the_line_of_the_page():
    with pytest.raises(ZeroDivisionError) as caught:
        run_blocks("text\n\n```python\nx = 1\nx / 0\n```\n", "page.md")
    assert caught.traceback[-1].lineno + 1 == 5


@pytest.mark.parametrize("shown", ["mae 3.0", "mse 2.01", "mae 2.01 1"])
def test_an_output_that_is_shown_has_to_be_printed(shown):
    page = "```python\nprint('mae', 2.005)\n```\n\n```text\n{}\n```\n"
    run_blocks(page.format("mae 2.01"), "page.md")
    with pytest.raises(AssertionError):
        run_blocks(page.format(shown), "page.md")


def test_what_is_printed_has_to_be_shown():
    with pytest.raises(AssertionError):
        run_blocks("```python\nprint('mae')\n```\n", "page.md")


@pytest.mark.parametrize("mark", ["notest", "notest:", "skip"])
def test_a_block_is_not_left_out_in_silence(mark):
    with pytest.raises(AssertionError, match="line 1"):
        run_blocks(f"```python {mark}\nx = 1\n```\n", "page.md")


def test_links_are_found():
    text = '[a](guide.md#top), [b](https://c.d), <img src="e.png" width=5>, `[f](no.md)`, [g](#h)'
    assert targets(text) == ["guide.md", "e.png"]


def test_a_machine_path_is_seen():
    folder = "home"
    assert MACHINE_PATH.search(f"cd /{folder}/someone")
    assert not MACHINE_PATH.search(f"https://example.org/{folder}/page and ../{folder}/x")


def test_the_page_of_deviations_is_that_of_the_tags():
    """`python docs/deviations.py` writes it; a tag that is not on the page is not documented."""
    namespace = runpy.run_path(str(ROOT / "docs" / "deviations.py"))
    assert len(namespace["deviations"]()) >= 10
    assert namespace["PAGE"].read_text() == namespace["render"]()
