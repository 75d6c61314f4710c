"""Which room of the package may import which: read from the sources, without running them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
NETWORK = "informer_forecaster._network"
ADAPTERS = "informer_forecaster.adapters"
CALENDAR = f"{ADAPTERS}.time_features"
VALIDATION = f"{ADAPTERS}._validation"
DARTS_ARGUMENTS = f"{ADAPTERS}._darts_arguments"
LOCK = f"{ADAPTERS}._one_at_a_time"
SAMPLE_PATHS = f"{ADAPTERS}._sample_paths"
DARTS = f"{ADAPTERS}.darts"
ARROW_DATASET = f"{ADAPTERS}.arrow_dataset"
ARROW_FILES = f"{ADAPTERS}.arrow_files"
PRETRAINED = f"{ADAPTERS}._pretrained"
PRETRAINED_FILES = f"{ADAPTERS}._pretrained_files"
PLAIN_SERIES = f"{ADAPTERS}._plain_series"
PLAIN_VALUES = f"{ADAPTERS}._plain_values"
LINEAR_START = f"{ADAPTERS}._linear_start"
BEST_WEIGHTS = f"{ADAPTERS}._best_weights"
DARTS_TRAINING = f"{ADAPTERS}._darts_training"
DARTS_MODULE = f"{ADAPTERS}._darts_module"
DARTS_FILES = f"{ADAPTERS}._darts_files"
SEALED_FILES = f"{ADAPTERS}._sealed_files"
SKTIME = f"{ADAPTERS}.sktime"
GLOBAL_MODEL = f"{ADAPTERS}._global_model"
MODEL_HOLDER = f"{ADAPTERS}._model_holder"
SKTIME_DATA = f"{ADAPTERS}._sktime_data"
SKTIME_LAYOUT = f"{ADAPTERS}._sktime_layout"
SKTIME_TABLES = f"{ADAPTERS}._sktime_tables"
SKTIME_FILES = f"{ADAPTERS}._sktime_files"
SKTIME_HORIZON = f"{ADAPTERS}._sktime_horizon"
SKTIME_INDEX = f"{ADAPTERS}._sktime_index"
SKTIME_PARAMETERS = f"{ADAPTERS}._sktime_parameters"
SKTIME_EXPLANATION = f"{ADAPTERS}._sktime_explanation"
EXPLAIN = "informer_forecaster.explain"
ATTENTION_MAP = f"{EXPLAIN}.attention_map"
TOKENS = f"{EXPLAIN}.tokens"
CHECKS = f"{EXPLAIN}.checks"
PLOTS = f"{EXPLAIN}.plots"
EXPLANATION = f"{EXPLAIN}.explanation"
IMPORTANCE = f"{EXPLAIN}.importance"
WINDOWS = f"{EXPLAIN}.windows"
RESULT = f"{EXPLAIN}.result"
EXPLAINER = f"{EXPLAIN}.explainer"
ATTENTION = f"{EXPLAIN}.attention"


class Room(NamedTuple):
    """What a module may import besides the standard library, submodules included.

    ``top`` holds for the statements that run at import; ``later`` is allowed in addition inside a
    function, or for type checkers only.
    """

    top: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


# docs/architecture.md states the same table; a test below compares them.
ROOMS = {
    "informer_forecaster": Room(top=(NETWORK,), later=(DARTS, SKTIME)),
    NETWORK: Room(top=("torch", NETWORK)),
    ADAPTERS: Room(),
    CALENDAR: Room(top=("numpy", "pandas")),
    VALIDATION: Room(top=("numpy", "pandas", "darts")),
    DARTS_ARGUMENTS: Room(top=("darts", NETWORK)),
    LINEAR_START: Room(top=("torch", "darts", NETWORK)),
    BEST_WEIGHTS: Room(top=("torch", "pytorch_lightning")),
    DARTS_TRAINING: Room(top=("torch", "pytorch_lightning", "darts", BEST_WEIGHTS)),
    DARTS_MODULE: Room(top=("torch", "darts", NETWORK, DARTS_TRAINING, LINEAR_START)),
    PRETRAINED: Room(
        top=("numpy", "pandas", "torch", "darts", PLAIN_SERIES, PLAIN_VALUES, PRETRAINED_FILES)
    ),
    PRETRAINED_FILES: Room(top=("torch", "safetensors")),
    PLAIN_SERIES: Room(top=("numpy", "pandas", "torch", "darts", PLAIN_VALUES)),
    PLAIN_VALUES: Room(top=("numpy", "sklearn", "torch", "darts", CALENDAR)),
    SEALED_FILES: Room(),
    LOCK: Room(),
    SAMPLE_PATHS: Room(top=("numpy", "torch")),
    DARTS_FILES: Room(
        top=("pandas", "pytorch_lightning", "darts", CALENDAR, DARTS_MODULE, LOCK, SEALED_FILES)
    ),
    DARTS: Room(
        top=(
            "torch",
            "darts",
            NETWORK,
            CALENDAR,
            DARTS_ARGUMENTS,
            VALIDATION,
            DARTS_MODULE,
            LINEAR_START,
            DARTS_FILES,
            LOCK,
            PRETRAINED,
            SAMPLE_PATHS,
        )
    ),
    ARROW_DATASET: Room(top=("numpy", "pyarrow", "darts", NETWORK, ARROW_FILES)),
    ARROW_FILES: Room(top=("numpy", "pandas", "pyarrow", NETWORK)),
    SKTIME: Room(
        top=(
            *("numpy", "pandas", "sktime", NETWORK),
            *(GLOBAL_MODEL, LOCK, SKTIME_DATA, SKTIME_FILES, SKTIME_HORIZON, SKTIME_INDEX),
            *(SKTIME_LAYOUT, SKTIME_PARAMETERS, SKTIME_TABLES),
        ),
        later=("torch", "pytorch_lightning", "darts"),
    ),
    GLOBAL_MODEL: Room(
        top=(
            *("numpy", SKTIME_DATA, SKTIME_EXPLANATION),
            *(SKTIME_INDEX, SKTIME_LAYOUT, SKTIME_TABLES),
        ),
        later=(MODEL_HOLDER, EXPLAIN),
    ),
    MODEL_HOLDER: Room(
        top=("numpy", "torch", "pytorch_lightning", "darts", BEST_WEIGHTS, DARTS, LOCK),
        later=(EXPLAIN,),
    ),
    SKTIME_EXPLANATION: Room(top=("pandas", SKTIME_DATA, SKTIME_LAYOUT), later=(EXPLAIN,)),
    SKTIME_DATA: Room(top=("numpy", "pandas", SKTIME_INDEX, SKTIME_TABLES)),
    SKTIME_LAYOUT: Room(
        top=("numpy", "pandas", SKTIME_DATA, SKTIME_INDEX, SKTIME_TABLES, CALENDAR)
    ),
    SKTIME_TABLES: Room(top=("numpy", "pandas", NETWORK, SKTIME_INDEX)),
    SKTIME_FILES: Room(top=(SEALED_FILES,), later=("torch", "darts")),
    SKTIME_HORIZON: Room(top=("numpy", "pandas", "sktime", SKTIME_DATA, SKTIME_INDEX)),
    SKTIME_INDEX: Room(top=("numpy", "pandas")),
    SKTIME_PARAMETERS: Room(top=("numpy", NETWORK)),
    EXPLAIN: Room(top=(ATTENTION_MAP, EXPLAINER, EXPLANATION, RESULT)),
    TOKENS: Room(top=("numpy", "pandas")),
    ATTENTION_MAP: Room(top=("numpy", "pandas")),
    ATTENTION: Room(top=("pandas", "torch", NETWORK, ATTENTION_MAP, TOKENS)),
    IMPORTANCE: Room(
        top=("numpy", "pandas", "torch", "darts", NETWORK, ATTENTION, ATTENTION_MAP),
    ),
    WINDOWS: Room(top=("numpy", "torch", "darts", DARTS, IMPORTANCE)),
    CHECKS: Room(top=(NETWORK, VALIDATION)),
    PLOTS: Room(top=("numpy", "pandas", "matplotlib", ATTENTION_MAP)),
    EXPLANATION: Room(top=("numpy", "pandas", "matplotlib", NETWORK, ATTENTION_MAP, PLOTS)),
    RESULT: Room(top=("darts", EXPLANATION)),
    EXPLAINER: Room(
        top=(
            *("pandas", "darts", NETWORK, DARTS, VALIDATION),
            *(CHECKS, EXPLANATION, IMPORTANCE, RESULT, WINDOWS),
        )
    ),
}


class Import(NamedTuple):
    """One imported module, and whether the statement runs when its file is imported."""

    module: str
    at_import: bool


def sources() -> dict[str, Path]:
    """Map the name of every module of the package to its file."""
    found = {}
    for folder, prefix in (("informer_forecaster", ""), ("adapters", "informer_forecaster.")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = path.relative_to(ROOT)
            # The link: its files are listed under adapters/.
            if relative.parts[:2] == ("informer_forecaster", "adapters"):
                continue
            parts = relative.with_suffix("").parts
            found[prefix + ".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_type_checking(test: ast.expr) -> bool:
    """Tell whether an ``if`` holds for type checkers only."""
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


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


def imports(tree: ast.AST, package: str, at_import: bool = True) -> list[Import]:
    """List the imports below ``tree``, with whether they run at import."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found += [Import(name, at_import) for name in imported(node, package)]
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            found += imports(ast.Module(node.body, []), package, at_import=False)
            found += imports(ast.Module(node.orelse, []), package, at_import)
        else:
            function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            found += imports(node, package, at_import and not function)
    return found


def room_of(module: str) -> str | None:
    """Find the row of the table that a module belongs to."""
    if module in ROOMS:
        return module
    # The files of the network share a row; elsewhere a new file needs one of its own.
    return NETWORK if module.startswith(f"{NETWORK}.") else None


def forbidden(source: str, module: str, package: str) -> list[str]:
    """List the imports of ``source`` that the room of ``module`` does not allow."""
    room = ROOMS[room_of(module)]

    def allowed(item: Import) -> bool:
        names = room.top if item.at_import else room.top + room.later
        if item.module.split(".")[0] in sys.stdlib_module_names:
            return True
        return any(item.module == name or item.module.startswith(f"{name}.") for name in names)

    return [item.module for item in imports(ast.parse(source), package) if not allowed(item)]


@pytest.mark.parametrize(("module", "path"), sources().items(), ids=sources().keys())
def test_imports_stay_in_their_room(module, path):
    assert room_of(module) is not None, f"{module} has no row in ROOMS: add one, here and in docs"
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    assert forbidden(path.read_text(encoding="utf-8"), module, package) == []


@pytest.mark.parametrize(
    ("module", "source", "culprit"),
    [
        (f"{NETWORK}.encoder", "import numpy", "numpy"),
        (f"{NETWORK}.encoder", "def f():\n    import darts.utils", "darts.utils"),
        (f"{NETWORK}.encoder", "from ..adapters import darts", DARTS),
        (DARTS, "from informer_forecaster.adapters import sktime", SKTIME),
        (DARTS, "try:\n    import sktime\nexcept ImportError:\n    pass", "sktime"),
        (SKTIME, "import torch", "torch"),
        (SKTIME, "class A:\n    from darts import TimeSeries", "darts.TimeSeries"),
    ],
)
def test_a_breach_is_seen(module, source, culprit):
    # Without these a scanner that finds no import at all would pass every module.
    assert forbidden(source, module, module.rpartition(".")[0]) == [culprit]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (f"{NETWORK}.encoder", "import math\nfrom torch import nn\nfrom .attention import Full"),
        (SKTIME, "def fit():\n    import torch\n    from darts import TimeSeries"),
        (SKTIME, "if TYPE_CHECKING:\n    from darts import TimeSeries"),
        ("informer_forecaster", f"if TYPE_CHECKING:\n    from {DARTS} import InformerModel"),
    ],
)
def test_what_is_allowed_passes(module, source):
    assert forbidden(source, module, module.rpartition(".")[0]) == []


def row(name: str) -> str:
    """Write a row of ROOMS the way docs/architecture.md does."""
    package = "informer_forecaster."
    cells = [
        ", ".join(f"`{item.removeprefix(package)}`" for item in cell) or "-"
        for cell in ((name,), *ROOMS[name])
    ]
    return f"| {' | '.join(cells)} |"


def test_the_architecture_page_states_this_table():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = page.splitlines()
    missing = [row(name) for name in ROOMS if row(name) not in lines]
    assert not missing, "docs/architecture.md lacks:\n" + "\n".join(missing)
