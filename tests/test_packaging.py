"""The installed package: what it holds, what it imports, and what it says when it cannot."""

from __future__ import annotations

import importlib
import os
import pydoc
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import informer_forecaster

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE_DIR = PYPROJECT["tool"]["setuptools"]["package-dir"]
CLASSES = {"darts": "InformerModel", "sktime": "InformerForecaster"}
ADAPTERS = [name for name in CLASSES if (ROOT / "adapters" / f"{name}.py").exists()]


def run_python(code: str, *, path: Path = ROOT) -> str:
    """Run ``code`` in a fresh interpreter with ``path`` first on its import path."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def assert_remedy(*, missing: str, framework: str) -> None:
    """Expect the name of the extra where ``missing`` cannot be imported."""
    # None in sys.modules is what the import system takes for "not to be found".
    code = f"""
import sys
sys.modules[{missing!r}] = None
try:
    from informer_forecaster import {CLASSES[framework]}
except ImportError as error:
    print(error.name, error)
"""
    said = run_python(code)
    assert said.startswith(missing)
    assert f'pip install "informer-forecaster[{framework}]"' in said


def copy_tree(target: Path) -> Path:
    """Copy what a clone would hold, the link to the adapters as a link."""
    skip = shutil.ignore_patterns(
        ".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "build", "dist", "*.egg-info"
    )
    return shutil.copytree(ROOT, target, symlinks=True, ignore=skip)


def packages_on_disk() -> set[str]:
    """Name every directory below the package that has an ``__init__.py``, the link followed."""
    found = set()
    for folder, _, files in os.walk(ROOT / "informer_forecaster", followlinks=True):
        if "__init__.py" in files:
            found.add(".".join(Path(folder).relative_to(ROOT).parts))
    return found


def test_written_package_list_is_what_lies_on_disk():
    # setuptools takes the list as it stands: a package missing from it is missing from the wheel.
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == packages_on_disk()


def test_adapters_install_below_the_package_only():
    link = ROOT / "informer_forecaster" / "adapters"
    assert link.is_symlink()
    assert link.readlink() == Path("..", "adapters")
    assert PACKAGE_DIR == {"informer_forecaster.adapters": "adapters"}


def test_version_is_written_once():
    version = PYPROJECT["project"]["version"]
    assert informer_forecaster.__version__ == metadata.version("informer-forecaster") == version
    sources = [*ROOT.glob("informer_forecaster/**/*.py"), *ROOT.glob("adapters/**/*.py")]
    assert sources
    repeats = [
        p.name for p in sources if re.search(rf"['\"]{re.escape(version)}['\"]", p.read_text())
    ]
    assert repeats == []


def test_core_dependencies_are_torch_and_numpy():
    names = {re.match(r"[\w-]+", line)[0] for line in PYPROJECT["project"]["dependencies"]}
    assert names == {"torch", "numpy"}
    extras = PYPROJECT["project"]["optional-dependencies"]
    assert {"darts", "sktime", "all", "test", "docs"} <= extras.keys()


def test_every_direct_dependency_has_a_tested_version():
    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), "exact public versions only"
    pinned = {normal(pin.split("==")[0]) for pin in pins}
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    wanted = [*PYPROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    names = {normal(re.match(r"[\w.-]+", line)[0]) for line in wanted} - {"informer-forecaster"}
    assert names <= pinned


def test_import_brings_no_framework():
    """Public names are listed before they are imported, and adapters have their installed name."""
    code = """
import sys, informer_forecaster.adapters
print(informer_forecaster.adapters.__name__)
print(*dir(informer_forecaster))
print(*sys.modules)
"""
    name, names, loaded = (line.split() for line in run_python(code).splitlines())
    assert name == ["informer_forecaster.adapters"]
    assert set(informer_forecaster.__all__) <= set(names)
    assert "torch" in loaded
    heavy = {"darts", "sktime", "pandas", "pytorch_lightning", "matplotlib", "adapters"}
    assert heavy.isdisjoint(loaded)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Transformer'"):
        _ = informer_forecaster.Transformer


@pytest.mark.parametrize("framework", ADAPTERS)
def test_lazy_name_is_the_class_of_its_adapter(framework):
    adapter = importlib.import_module(f"informer_forecaster.adapters.{framework}")
    named = getattr(informer_forecaster, CLASSES[framework])
    assert named is getattr(adapter, CLASSES[framework])
    assert named.__module__ == adapter.__name__


@pytest.mark.parametrize("framework", ADAPTERS)
def test_missing_framework_names_the_remedy(framework):
    assert_remedy(missing=framework, framework=framework)


def test_help_works_without_any_framework():
    # help() takes every name that dir() lists, and an ImportError would end it.
    code = """
import pydoc, sys
sys.modules.update(dict.fromkeys(["darts", "sktime"]))
import informer_forecaster
print(pydoc.render_doc(informer_forecaster))
"""
    assert "class InformerConfig" in pydoc.plain(run_python(code))


def test_darts_without_its_torch_extra_names_the_remedy():
    assert_remedy(missing="pytorch_lightning", framework="darts")


def test_fault_in_our_own_code_is_not_taken_for_a_missing_framework(tmp_path):
    shutil.copytree(ROOT / "informer_forecaster", tmp_path / "informer_forecaster")
    broken = tmp_path / "informer_forecaster" / "adapters" / "darts.py"
    broken.write_text("import informer_forecaster._network.no_such_file\n", encoding="utf-8")
    code = """
import informer_forecaster
try:
    informer_forecaster.InformerModel
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run_python(code, path=tmp_path) == "informer_forecaster._network.no_such_file"


def test_checkout_on_the_path_works_without_an_install(tmp_path):
    shutil.copytree(ROOT / "informer_forecaster", tmp_path / "informer_forecaster")
    code = """
from importlib import metadata
version = metadata.version
def without_ours(name):
    if name == "informer-forecaster":
        raise metadata.PackageNotFoundError(name)
    return version(name)
metadata.version = without_ours
import informer_forecaster
print(informer_forecaster.__version__)
"""
    assert run_python(code, path=tmp_path) == "0+unknown"


@pytest.mark.slow
def test_wheel_from_the_sdist_holds_the_package_and_nothing_else(tmp_path):
    tree = copy_tree(tmp_path / "tree")
    # Neither --sdist nor --wheel: build then makes the wheel from the sdist that it has just made.
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", tmp_path / "dist", tree],
        check=True,
        capture_output=True,
    )
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with tarfile.open(sdist) as archive:
        inside = {Path(*Path(name).parts[1:]).as_posix() for name in archive.getnames()}
    assert {"adapters/darts.py", "LICENSE", "README.md", "pyproject.toml"} <= inside
    assert not any(name.startswith("tests/") for name in inside), "a part of them cannot run"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (license_name,) = (name for name in names if name.endswith("LICENSE"))
        assert "Apache License" in archive.read(license_name).decode()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"informer_forecaster"}
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in PYPROJECT["tool"]["setuptools"]["packages"]
        for path in ROOT.joinpath(*package.split(".")).glob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules
    assert "informer_forecaster/py.typed" in names
