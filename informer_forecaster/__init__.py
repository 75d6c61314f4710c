"""The Informer for long-sequence time-series forecasting, in PyTorch, for Darts and for sktime.

=============================  =====================================================================
:class:`InformerModel`         the Darts model (``pip install "informer-forecaster[darts]"``)
:class:`InformerForecaster`    the sktime estimator (``pip install "informer-forecaster[sktime]"``)
:class:`Informer`              the network, a ``torch.nn.Module``
:class:`InformerConfig`        the sizes and architecture of a network
:func:`load_original_weights`  the network with weights that the original code trained
:func:`register_attention`     lets ``attention=`` name a self-attention of your own
=============================  =====================================================================

The first two are imported at first use, so that this package needs neither framework.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from informer_forecaster._network import (
    Informer,
    InformerConfig,
    load_original_weights,
    register_attention,
)

if TYPE_CHECKING:
    from informer_forecaster.adapters.darts import InformerModel
    from informer_forecaster.adapters.sktime import InformerForecaster

__all__ = [
    "Informer",
    "InformerConfig",
    "InformerForecaster",
    "InformerModel",
    "__version__",
    "load_original_weights",
    "register_attention",
]

try:
    __version__ = metadata.version("informer-forecaster")
except metadata.PackageNotFoundError:
    # A checkout on the path without an install has no metadata to read the number from.
    __version__ = "0+unknown"

# public name -> the module that defines it, and the framework and extra (one name) that it needs
_LAZY: Final = {
    "InformerModel": ("informer_forecaster.adapters.darts", "darts"),
    "InformerForecaster": ("informer_forecaster.adapters.sktime", "sktime"),
}
# What the extras install and the adapters import. A missing module of any other name is a fault.
_FRAMEWORKS: Final = frozenset(
    {"darts", "pandas", "pytorch_lightning", "safetensors", "skbase", "sktime"}
)

if not TYPE_CHECKING:  # type checkers take every name for defined where a module has __getattr__

    def __getattr__(name: str) -> object:
        """Import the adapter that defines ``name``, and keep what it holds."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, framework = _LAZY[name]
        try:
            value = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in _FRAMEWORKS:
                raise
            raise ImportError(
                f"{name} needs {missing}, which is not installed: "
                f'pip install "informer-forecaster[{framework}]"',
                name=missing,
            ) from error
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List what can be had here; ``help`` and others take every name listed, and must not fail."""
    absent = {name for name, (_, framework) in _LAZY.items() if find_spec(framework) is None}
    return sorted((globals().keys() | set(__all__)) - absent)
