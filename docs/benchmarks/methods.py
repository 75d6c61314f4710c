"""What the accuracy benchmark compares: each method's model, look-back and training.

``METHODS`` is the table of recipes, one for all data sets and horizons. A name may carry changes in
brackets, ``informer-points[distil=false,look_back=720]``: arguments of the model, or ``look_back``
and ``output_chunk_length``. ``ABLATIONS`` are lists of such names.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import darts.models
from attention_variants import VARIANTS
from darts.utils.likelihood_models.torch import GaussianLikelihood

from informer_forecaster import InformerModel

Arguments = dict[str, Any]

# Shared by all networks that are trained here; the weights of the best validation epoch are kept.
TRAINING: Arguments = {"n_epochs": 10, "batch_size": 32}
PATIENCE = 3
SLOW = 256  # test windows of a method that decodes step by step with attention or samples
REFITTED = 32  # test windows of a method that is fitted anew at each


@dataclass(frozen=True)
class Method:
    """A recipe.

    Parameters
    ----------
    title : str
        Name in the tables.
    make : callable
        Makes the model from look-back, output length and further arguments.
    look_back : int
        Steps that the model sees; for a refitted one, steps it is fitted to.
    arguments : dict
        Arguments of the model.
    kind : {"network", "naive", "refitted"}
        Trained once, not at all, or at every window.
    apart : bool
        Whether the columns are series of their own for a model that would mix them.
    windows : int, optional
        About how many windows of validation and test are scored; all by default.
    samples : int
        Sample paths, whose mean is the forecast.
    needs : str, optional
        Package of the ``benchmarks`` extra.
    """

    title: str
    make: Callable[..., Any]
    look_back: int = 336
    arguments: Arguments = field(default_factory=dict)
    kind: Literal["network", "naive", "refitted"] = "network"
    apart: bool = False
    windows: int | None = None
    samples: int = 1
    needs: str | None = None
    output_chunk_length: int | None = None

    def build(self, horizon: int, environment: Arguments) -> Any:
        """Make the model for a horizon; ``environment`` is what no result depends on."""
        chunk = self.output_chunk_length or horizon
        return self.make(self.look_back, chunk, **self.arguments, **environment)


def _trained(name: str) -> Callable[..., Any]:
    def make(look_back: int, horizon: int, **arguments: Any) -> Any:
        cls = getattr(darts.models, name)
        return cls(look_back, horizon, **{**TRAINING, **arguments})

    return make


def _informer(look_back: int, horizon: int, **arguments: Any) -> Any:
    return InformerModel(look_back, horizon, **{**TRAINING, **arguments})


def _recurrent(look_back: int, _: int, **arguments: Any) -> Any:
    length = {"training_length": look_back + 24}
    return darts.models.RNNModel(look_back, **{**TRAINING, **length, **arguments})


def _naive(_: int, __: int, *, steps: int, **environment: Any) -> Any:
    return darts.models.GlobalNaiveSeasonal(steps, 1, **environment)


def _refitted(name: str) -> Callable[..., Any]:
    def make(_: int, __: int, **arguments: Any) -> Any:
        return getattr(darts.models, name)(**arguments)

    return make


FULL = {"attention": "full"}
NO_DISTILLING = {"attention": "full", "distil": False}
STACK = {"num_encoder_layers": 3, "num_encoder_stacks": 3}
PATCHES = {"patch_length": 12}
POINTS = {"patch_length": 1, "channel_independent": False}
LINEAR = {"shared_weights": True, "optimizer_kwargs": {"lr": 5e-4}}
NORMALISED = {"use_reversible_instance_norm": True, "optimizer_kwargs": {"lr": 5e-4}}
SMALL = {"d_model": 64, "dim_feedforward": 256, "num_encoder_layers": 2, "num_decoder_layers": 1}
RECURRENT = {"hidden_dim": 64, "n_rnn_layers": 2, "dropout": 0.1}


def _variants(name: str, title: str, look_back: int, arguments: Arguments) -> dict[str, Method]:
    """The Informer of the literature's tables and its variants, from one recipe."""
    make = InformerModel.paper if name == "paper" else _informer
    changes: dict[str, Arguments] = {"": {}, "-full": FULL, "-full-nodistil": NO_DISTILLING}
    changes["-stack"] = STACK
    marks = {"": "", "-full": "†", "-full-nodistil": "‡", "-stack": "Stack"}
    return {
        name + suffix: Method(
            title.format(marks[suffix]), make, look_back, {**arguments, **changes[suffix]}
        )
        for suffix in changes
    }


METHODS: dict[str, Method] = {
    **_variants("informer", "Informer{}", 336, PATCHES),
    **_variants("informer-points", "Informer{}, point tokens", 96, POINTS),
    **_variants("paper", "Informer{}, the paper's", 96, {}),
    # Darts' own trains with the true values and decodes step by step: the canonical Transformer.
    "transformer": Method(
        "Transformer, step by step", _trained("TransformerModel"), 96, SMALL, windows=SLOW
    ),
    "rnn": Method("RNN, step by step", _recurrent, 96, {"model": "RNN", **RECURRENT}),
    "gru": Method("GRU, step by step", _recurrent, 96, {"model": "GRU", **RECURRENT}),
    "lstm": Method("LSTM, step by step", _recurrent, 96, {"model": "LSTM", **RECURRENT}),
    "lstm-direct": Method(
        "LSTM, direct", _trained("BlockRNNModel"), 96, {"model": "LSTM", **RECURRENT}
    ),
    "lstm-attention": Method(
        "LSTM with attention (TFT)",
        _trained("TFTModel"),
        96,
        {"add_relative_index": True, "likelihood": None},
    ),
    "deepar": Method(
        "DeepAR",
        _recurrent,
        96,
        {"model": "LSTM", **RECURRENT, "likelihood": GaussianLikelihood()},
        windows=SLOW,
        samples=20,
    ),
    "arima": Method(
        "ARIMA",
        _refitted("ARIMA"),
        720,
        {"p": 2, "d": 1, "q": 2},
        kind="refitted",
        windows=REFITTED,
    ),
    "prophet": Method(
        "Prophet",
        _refitted("Prophet"),
        1440,
        kind="refitted",
        windows=REFITTED,
        needs="prophet",
    ),
    "dlinear": Method("DLinear", _trained("DLinearModel"), 336, LINEAR),
    "nlinear": Method("NLinear", _trained("NLinearModel"), 336, LINEAR),
    "tide": Method("TiDE", _trained("TiDEModel"), 336, NORMALISED, apart=True),
    "tsmixer": Method("TSMixer", _trained("TSMixerModel"), 336, NORMALISED),
    "nhits": Method("N-HiTS", _trained("NHiTSModel"), 336, NORMALISED, apart=True),
    "repeat-last": Method("Repeat the last value", _naive, 336, {"steps": 1}, kind="naive"),
    "repeat-day": Method("Repeat the last day", _naive, 336, {"steps": 24}, kind="naive"),
}

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


def find(name: str) -> Method:
    """Look up a method and apply the changes in its brackets.

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
    if method.needs and importlib.util.find_spec(method.needs) is None:
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
