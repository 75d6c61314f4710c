"""Settings of the documentation site; ``make docs`` builds it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.util import inspect
from sphinx.writers.html5 import HTML5Translator

from informer_forecaster import __version__

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
project = PYPROJECT["name"]
author = "the informer-forecaster contributors"
release = version = __version__

# myst_nb reads Markdown as well as notebooks.
extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"]
# Folders of scripts and data, and what a build leaves behind.
exclude_patterns = ["_build", "jupyter_execute", "benchmarks", "examples", "figures"]

# docs/notebooks/execute.py keeps the outputs in the notebooks; a test runs and compares them.
nb_execution_mode = "off"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
# Pages that a script fills with tables skip a level.
suppress_warnings = ["myst.header"]

# The frameworks' own documentation is linked by hand: a build fetches nothing.
FOREIGN = (
    r"(torch|darts|sktime|pandas|pd|numpy|npt|matplotlib|os|collections|Any|Figure|FloatArray).*"
)
PRIVATE = (
    r"(TorchForecasting|FilePath|AttentionFactory|Fh\b|Table\b|informer_forecaster\.explain\.).*"
)
nitpick_ignore_regex = [("py:.*", FOREIGN), ("py:class", PRIVATE)]

# The Darts model is documented at its constructor, as Darts' own are.
autoclass_content = "init"
autodoc_inherit_docstrings = False
numpydoc_show_class_members = False
python_maximum_signature_line_length = 88

copybutton_prompt_text = ">>> "
html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = html_favicon = "_static/logo.svg"
myst_html_meta = {"description lang=en": PYPROJECT["description"]}
# Each page links to its source; docs/releasing.md says when the address is filled in.
html_theme_options = {
    "source_repository": PYPROJECT["urls"]["Repository"],
    "source_branch": "main",
    "source_directory": "docs/",
}
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"


def _write_mathml(translator: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write an equation as MathML, which browsers draw without scripts from elsewhere."""
    block = isinstance(node, nodes.math_block)
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=block))
    raise nodes.SkipNode


def _sign_class(
    _app: Sphinx, what: str, _name: str, item: Any, _options: Any, signature: str, result: str
) -> tuple[str, str] | None:
    """Show what a constructor takes where a metaclass (Darts has one) takes anything."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    constructor = inspect.signature(item.__init__, bound_method=True)
    return inspect.stringify_signature(constructor, show_return_annotation=False), result


def setup(app: Sphinx) -> None:
    """Register the renderer of equations, by docutils' own converter, and the signatures."""
    app.add_html_math_renderer("mathml", (_write_mathml, None), (_write_mathml, None))
    app.connect("autodoc-process-signature", _sign_class)
