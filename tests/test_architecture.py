"""Six layers and the calendar, each of which knows only those below it: read from the sources.

network <- training, files, calendar <- Darts adapter <- explanations <- sktime adapter
"""

from __future__ import annotations

import ast
import graphlib
import re
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "informer_forecaster"


class Layer(NamedTuple):
    """A layer: how the names of its modules begin, and which libraries it may use."""

    name: str
    prefixes: tuple[str, ...]
    libraries: frozenset[str]


NETWORK = frozenset({"torch"})
TRAINING = NETWORK | {"pytorch_lightning", "tqdm"}
DARTS = TRAINING | {"darts", "numpy", "pandas", "sklearn"}
# From below to above; of two prefixes the longer one counts.
LAYERS = (
    Layer("network", ("_network",), NETWORK),
    Layer("training", ("_training",), TRAINING),
    Layer("files", ("_files",), NETWORK | {"safetensors"}),
    Layer("calendar", ("time_features",), frozenset({"numpy", "pandas"})),
    Layer("darts", ("adapters",), DARTS),
    Layer("explain", ("explain",), DARTS | {"matplotlib"}),
    Layer(
        "sktime",
        ("adapters.sktime", "adapters._sktime"),
        DARTS | {"sktime", "skbase"},
    ),
)
# What every layer may use: the package's own face, checks of arguments, and locks.
SHARED = (PACKAGE, f"{PACKAGE}._checks", f"{PACKAGE}._threads")


class Import(NamedTuple):
    """One imported module, and whether the statement runs: type checkers read others too."""

    module: str
    runs: bool


def sources() -> dict[str, Path]:
    """Map the name of every module of the package to its file."""
    found = {}
    for folder, prefix in ((PACKAGE, ""), ("adapters", f"{PACKAGE}.")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = path.relative_to(ROOT)
            # The link: its files are listed under adapters/.
            if relative.parts[:2] == (PACKAGE, "adapters"):
                continue
            parts = relative.with_suffix("").parts
            found[prefix + ".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


SOURCES = sources()


def layer_of(module: str) -> Layer | None:
    """Find the layer of a module, or of a name in it; ``None`` if every layer may use it."""
    inside = module.removeprefix(f"{PACKAGE}.")
    fits = [(prefix, layer) for layer in LAYERS for prefix in layer.prefixes]
    fits = [(prefix, layer) for prefix, layer in fits if inside.startswith(prefix)]
    return max(fits, key=lambda fit: len(fit[0]))[1] if fits else None


def imported(node: ast.stmt, package: str) -> list[str]:
    """Name the modules of one import statement, relative ones from ``package``."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parents = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*parents, base]) if base else ".".join(parents)
    # `from package import module` and `from module import name` read alike: keep both readings.
    return [f"{base}.{alias.name}" for alias in node.names]


def imports(tree: ast.AST, package: str, runs: bool = True) -> list[Import]:
    """List the imports below ``tree``, those in functions included."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found += [Import(name, runs) for name in imported(node, package)]
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            found += imports(ast.Module(node.body, []), package, runs=False)
            found += imports(ast.Module(node.orelse, []), package, runs)
        else:
            found += imports(node, package, runs)
    return found


def forbidden(source: str, module: str, package: str) -> list[str]:
    """List the imports of ``source`` that the layer of ``module`` does not allow."""
    layer = layer_of(module)
    lower = LAYERS[: LAYERS.index(layer) + 1] if layer else ()

    def allowed(name: str) -> bool:
        top = name.split(".")[0]
        if top != PACKAGE:
            libraries = layer.libraries if layer else NETWORK
            return top in sys.stdlib_module_names or top in libraries
        # The package's face names the adapters, and imports them when they are asked for.
        return layer_of(name) is None or layer_of(name) in lower or module == PACKAGE

    return [one.module for one in imports(ast.parse(source), package) if not allowed(one.module)]


def package_of(module: str) -> str:
    """Name the package that the relative imports of a module begin at."""
    is_package = SOURCES[module].name == "__init__.py" if module in SOURCES else False
    return module if is_package else module.rpartition(".")[0]


@pytest.mark.parametrize("module", SOURCES)
def test_imports_stay_below(module):
    assert layer_of(module) is not None or module in SHARED, f"{module} belongs to no layer"
    assert forbidden(SOURCES[module].read_text(encoding="utf-8"), module, package_of(module)) == []


@pytest.mark.parametrize(
    ("module", "source", "culprit"),
    [
        ("_network.encoder", "import numpy", "numpy"),
        ("_network.encoder", "def f():\n    import darts.utils", "darts.utils"),
        ("_network.encoder", "from .._training import recipe", f"{PACKAGE}._training.recipe"),
        ("_training.recipe", "import pandas", "pandas"),
        ("_training.recipe", "from ..adapters import darts", f"{PACKAGE}.adapters.darts"),
        ("adapters.darts", "from . import sktime", f"{PACKAGE}.adapters.sktime"),
        ("adapters.darts", "try:\n    import sktime\nexcept ImportError:\n    pass", "sktime"),
        ("adapters.darts", f"from {PACKAGE} import explain", f"{PACKAGE}.explain"),
        ("explain.windows", "from ..adapters import _sktime_x", f"{PACKAGE}.adapters._sktime_x"),
        ("_checks", "import darts", "darts"),
    ],
)
def test_a_breach_is_seen(module, source, culprit):
    # Without these a scanner that finds no import at all would pass every module.
    module = f"{PACKAGE}.{module}"
    assert forbidden(source, module, package_of(module)) == [culprit]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("_network.encoder", "import math\nfrom torch import nn\nfrom .attention import Full"),
        ("_training.recipe", "import pytorch_lightning\nfrom .._network import Informer"),
        ("adapters.sktime", "def fit():\n    from darts import TimeSeries"),
        ("adapters.sktime", f"def explain():\n    from {PACKAGE}.explain import Explanation"),
        ("adapters.sktime", "from .darts import InformerModel"),
        ("explain.windows", f"from {PACKAGE}.adapters.darts import InformerModel"),
        ("adapters.darts", f"from {PACKAGE}._checks import check_choice"),
    ],
)
def test_what_is_allowed_passes(module, source):
    module = f"{PACKAGE}.{module}"
    assert forbidden(source, module, package_of(module)) == []


def test_no_modules_import_each_other():
    """Neither at once nor over others: each can be read after those that it names."""
    graph = {}
    for module, path in SOURCES.items():
        if path.name == "__init__.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = [one.module for one in imports(tree, package_of(module)) if one.runs]
        names = {part for one in named for part in (one, one.rpartition(".")[0])}
        graph[module] = (names & SOURCES.keys()) - {module}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(graph)


def test_the_page_names_files_that_are_there():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:informer_forecaster|adapters)/[\w/]+\.py)`", page)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_page_names_every_room_of_the_adapters():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = page.split("## The rooms of the adapters")[1].split("\n## ")[0]
    files = {path.name for path in (ROOT / "adapters").glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"^\| `(\w+\.py)` \|", rooms, re.M)) == files


def test_the_page_shows_the_figures_of_the_code():
    """`python docs/code_figures.py` writes them; a small change need not write them anew."""
    script = runpy.run_path(str(ROOT / "docs" / "code_figures.py"))
    shown, counted = (script["figures_of"](script[name]()) for name in ("on_the_page", "render"))
    assert shown == pytest.approx(counted, rel=0.15, abs=3)
