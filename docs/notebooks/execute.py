"""Run the notebooks, and keep what they print and draw: the site shows it, a test compares it.

    python docs/notebooks/execute.py                # all of them
    python docs/notebooks/execute.py covariates     # one

The last figure of each becomes its picture in the gallery.
"""

from __future__ import annotations

import argparse
import base64
import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))
PICTURES = HERE.parent / "figures"


def run(path: Path) -> NotebookNode:
    """Run a notebook in an empty directory; what libraries log is left out of the outputs."""
    notebook = nbformat.read(path, as_version=4)
    environment = {
        # Networks this small are slower on two threads than on one.
        "OMP_NUM_THREADS": "1",
        **os.environ,
        # Figures go into the notebook, whatever draws in the process that runs it.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    with tempfile.TemporaryDirectory() as directory:
        NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": directory}},
        ).execute(env=environment)
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    notebook.metadata.pop("language_info", None)
    return notebook


def pictures(notebook: NotebookNode) -> list[bytes]:
    """List the figures of a notebook that was run, as PNG."""
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    return [
        base64.b64decode(one["data"]["image/png"])
        for one in outputs
        if "image/png" in one.get("data", {})
    ]


def main() -> None:
    """Run notebooks, and write them and their pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[path.stem for path in NOTEBOOKS])
    for name in parser.parse_args().names:
        start, path = time.perf_counter(), HERE / f"{name}.ipynb"
        notebook = run(path)
        nbformat.write(notebook, path)
        (PICTURES / f"notebook_{name}.png").write_bytes(pictures(notebook)[-1])
        print(f"{name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
