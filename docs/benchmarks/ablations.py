"""Methods by name, with changes in brackets; the ablations are lists of such names.

``informer-points[distil=false,look_back=720]`` is that method with these arguments of its model;
``look_back``, ``output_chunk_length``, ``stride`` and ``windows`` are the recipe's own.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from attention_lazy import NAME as FIRST_ORDER
from attention_variants import UNMASKED, VARIANTS
from methods import METHODS
from recipe import SLOW, Method, is_installed

OF_THE_RECIPE = {"look_back", "output_chunk_length", "stride", "windows"}

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
        f"{_BASE}[windows={SLOW}]",
        *(f"{_BASE}[output_chunk_length={steps},windows={SLOW}]" for steps in (1, 24)),
        "transformer",
        "lstm",
        "lstm-direct",
    ],
    "start-token": [f"{_BASE}[start_token_length={steps}]" for steps in (0, 24, 48, 96)],
    "attention": [
        # To second order, beside the paper's ProbSparse.
        f"{_BASE}[sparsity=moment]",
        *(
            f"{_BASE}[attention={name}{',decoder_causal=false' if name in UNMASKED else ''}]"
            for name in ("prob", "full", *VARIANTS)
        ),
    ],
    # The paper's architecture: a linear map would hide what attention does.
    "sparsity": [
        f"paper-norm[{change}]"
        for change in (
            "sparsity=sampled",
            "sparsity=moment",
            f"attention={FIRST_ORDER}",
            f"sparsity=moment,attention={FIRST_ORDER}",
            "attention=full",
        )
    ],
    # The same in fewer steps of training, so that seeds and horizons are many.
    "second-order": [
        f"paper-norm[{change},n_epochs=3,stride=4,windows=400]"
        for change in (
            "sparsity=sampled",
            "sparsity=moment",
            "attention=full",
            f"sparsity=moment,attention={FIRST_ORDER}",
        )
    ],
    # Each form at look-backs from 96 to 720; a horizon goes with each: 24, 48, 96, 168.
    "forms": [
        f"paper-norm[{change},look_back={steps},windows=400]"
        for steps in (96, 192, 336, 720)
        for change in ("sparsity=sampled", "sparsity=moment", "attention=full")
    ],
    # What each part of the default is worth: the default without it, and without the linear map,
    # which would hide the others.
    "parts": [
        "informer",
        "informer-alone",
        *(
            f"informer-alone[{change}]"
            for change in (
                "use_reversible_instance_norm=false",
                "channel_independent=false",
                "start_token_length=0",
                "decoder_causal=false",
                "distil=false",
                "attention=full",
                "patch_length=1",
            )
        ),
    ],
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
    fields = {key: changes.pop(key) for key in OF_THE_RECIPE & changes.keys()}
    if "look_back" in fields:
        fields |= {"look_backs": {}, "as_stated": False}
    if not changes and not fields:
        return method
    # The tables state the number of windows themselves.
    stated = [one for one in match[2].split(",") if not one.startswith("windows=")]
    title = ", ".join([method.title, *stated])
    return replace(method, title=title, arguments={**method.arguments, **changes}, **fields)


def _read_change(text: str, name: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise ValueError(f"changes in brackets are written name=value; got {text!r} in {name!r}.")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value
