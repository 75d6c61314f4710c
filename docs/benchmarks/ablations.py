"""Methods by name, with changes in brackets; the ablations are lists of such names.

``informer-points[distil=false,look_back=720]`` is that method with these arguments of its model;
``look_back`` and ``output_chunk_length`` are the recipe's own.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from attention_variants import VARIANTS
from methods import METHODS, Method, is_installed

# Point tokens: with a token of 12 steps every query of these lengths is active.
_BASE = "informer-points"
ABLATIONS: dict[str, list[str]] = {
    "factor": [f"{_BASE}[sampling_factor={c}]" for c in (1, 3, 5, 8)],
    "distilling": [
        f"{_BASE}[distil={distil},look_back={steps}]"
        for steps in (96, 336, 720, 1440)
        for distil in ("true", "false")
    ],
    "decoding": [
        _BASE,
        *(f"{_BASE}[output_chunk_length={steps}]" for steps in (1, 24)),
        "transformer",
        "lstm",
        "lstm-direct",
    ],
    "start-token": [f"{_BASE}[start_token_length={steps}]" for steps in (0, 24, 48, 96)],
    "attention": [
        f"{_BASE}[attention={name}{',decoder_causal=false' if name == 'linformer' else ''}]"
        for name in ("prob", "full", *VARIANTS)
    ],
    "sparsity": [f"{_BASE}[sparsity={name}]" for name in ("sampled", "moment")],
}


def find(name: str, installed: bool = True) -> Method:
    """Look up a method and apply the changes in its brackets; it has to be ``installed`` to run.

    Raises
    ------
    ValueError
        If there is no such method, the brackets cannot be read, or a package is missing.
    """
    match = re.fullmatch(r"([\w-]+)(?:\[(.+)\])?", name)
    if match is None or match[1] not in METHODS:
        raise ValueError(
            f"a method must be one of {', '.join(METHODS)}, or one with changes in brackets like "
            f"informer[distil=false]; got {name!r}."
        )
    method = METHODS[match[1]]
    if installed and not is_installed(method):
        raise ValueError(
            f"{match[1]!r} needs {method.needs}, which is not installed: "
            'pip install -c constraints.txt -e ".[benchmarks]"'
        )
    changes = dict(_read_change(one, name) for one in match[2].split(",")) if match[2] else {}
    fields = {
        key: changes.pop(key) for key in ("look_back", "output_chunk_length") & changes.keys()
    }
    if not changes and not fields:
        return method
    title = f"{method.title}, {match[2].replace(',', ', ')}"
    return replace(method, title=title, arguments={**method.arguments, **changes}, **fields)


def _read_change(text: str, name: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise ValueError(f"changes in brackets are written name=value; got {text!r} in {name!r}.")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value
