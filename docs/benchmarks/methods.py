"""What the accuracy benchmark compares: each method's model, look-back and training.

``METHODS`` is the table of recipes, one for all data sets and horizons.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import darts.models
from darts.utils.likelihood_models.torch import GaussianLikelihood
from protocol import dataset_of

from informer_forecaster import InformerModel

Arguments = dict[str, Any]

# Shared by all networks that are trained here; the weights of the best validation epoch are kept.
TRAINING: Arguments = {"n_epochs": 10, "batch_size": 32}
PATIENCE = 2
# The default's look-back is 512 but here, as DLinear's: of the start's mean validation errors at
# the four horizons, 0.618 and 0.616, this is the smaller.
LOOK_BACKS = {"ETTm1": 336}
POINTWISE = 96  # look-back of the networks whose tokens are single steps, as in the literature
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
    output_chunk_length : int, optional
        Steps forecast at once, and rolled out to the horizon; all by default.
    look_backs : dict of str to int
        Look-backs on data sets where they differ.
    as_stated : bool
        Whether look-back and start token are those of the paper where it forecasts the same.
    stride : int
        Steps between the windows of the training.
    strides : dict of str to int
        Strides on data sets where they differ.
    daily : bool
        Whether ``steps`` of the model are a day of the data set.
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
    look_backs: dict[str, int] = field(default_factory=dict)
    as_stated: bool = False
    stride: int = 1
    strides: dict[str, int] = field(default_factory=dict)
    daily: bool = False

    def on(self, dataset: str, features: str, horizon: int) -> Method:
        """Give the recipe with its lengths and stride at a cell of the tables."""
        known = dataset_of(dataset)
        here = replace(self, stride=self.strides.get(dataset, self.stride))
        if self.daily:
            here = replace(here, arguments={"steps": known.day, **self.arguments})
        stated = known.lengths(features, horizon)
        if not self.as_stated or stated is None:
            return replace(here, look_back=self.look_backs.get(dataset, self.look_back))
        arguments = {"start_token_length": stated.start_token, **self.arguments}
        return replace(here, look_back=stated.look_back, arguments=arguments)

    def build(self, horizon: int, environment: Arguments) -> Any:
        """Make the model for a horizon; ``environment`` is what no result depends on."""
        chunk = self.output_chunk_length or horizon
        return self.make(self.look_back, chunk, **self.arguments, **environment)


def is_installed(method: Method) -> bool:
    """Tell whether the package that a method needs is there."""
    return method.needs is None or importlib.util.find_spec(method.needs) is not None


def _trained(name: str) -> Callable[..., Any]:
    def make(look_back: int, horizon: int, **arguments: Any) -> Any:
        cls = getattr(darts.models, name)
        return cls(look_back, horizon, **{**TRAINING, **arguments})

    return make


def _informer(look_back: int, horizon: int, **arguments: Any) -> Any:
    stopping = {"early_stopping_patience": PATIENCE}
    return InformerModel(look_back, horizon, **{**TRAINING, **stopping, **arguments})


OURS = (_informer, InformerModel.paper)


def _recurrent(look_back: int, _: int, **arguments: Any) -> Any:
    length = {"training_length": look_back + 24}
    return darts.models.RNNModel(look_back, **{**TRAINING, **length, **arguments})


def _naive(_: int, __: int, *, steps: int, **environment: Any) -> Any:
    return darts.models.GlobalNaiveSeasonal(steps, 1, **environment)


def _refitted(name: str) -> Callable[..., Any]:
    def make(_: int, __: int, **arguments: Any) -> Any:
        return getattr(darts.models, name)(**arguments)

    return make


def _peer(name: str, *, stamps: bool, **sizes: Any) -> Method:
    """Make the recipe of one of NeuralForecast's networks; ``stamps`` is whether it takes time."""

    def make(look_back: int, horizon: int, **arguments: Any) -> Any:
        cls = darts.models.NeuralForecastModel
        return cls(look_back, horizon, model=name, **{**TRAINING, **arguments})

    arguments: Arguments = {"model_kwargs": sizes, "optimizer_kwargs": {"lr": 5e-4}}
    if stamps:
        arguments["add_encoders"] = {"cyclic": {"future": ["hour", "dayofweek"]}}
    look_back = POINTWISE if stamps else 336
    return Method(f"{name}, NeuralForecast's", make, look_back, arguments, needs="neuralforecast")


FULL = {"attention": "full"}
NO_DISTILLING = {"attention": "full", "distil": False}
STACK = {"num_encoder_layers": 3, "num_encoder_stacks": 3}
# At the paper's rate of 1e-4, meant for a width of 512, six epochs end at a validation error on
# ETTh1 at 96 of 1.06, against 0.83; a third epoch was not the best at 24 or 96.
PAPER_NORM: Arguments = {
    "d_model": 64,
    "dim_feedforward": 256,
    "use_reversible_instance_norm": True,
    "optimizer_kwargs": {"lr": 5e-4},
    "n_epochs": 2,
}
# Without the linear map, which would hide what the layers do. Nor do they begin at its forecast: at
# the default's rate of 2e-4 ten epochs end at 0.84 and, with point tokens, 1.12, against 0.72 and
# 0.81.
ALONE: Arguments = {"lookback_skip": False, "optimizer_kwargs": {"lr": 1e-3}}
POINTS = {
    **ALONE,
    "d_model": 32,
    "dim_feedforward": 128,
    "patch_length": 1,
    "channel_independent": False,
}
LINEAR = {"shared_weights": True, "optimizer_kwargs": {"lr": 5e-4}}
NORMALISED = {"use_reversible_instance_norm": True, "optimizer_kwargs": {"lr": 5e-4}}
SMALL = {"d_model": 64, "dim_feedforward": 256, "num_encoder_layers": 2, "num_decoder_layers": 1}
RECURRENT = {"hidden_dim": 64, "n_rnn_layers": 2, "dropout": 0.1}


def _variants(
    name: str,
    title: str,
    look_back: int,
    arguments: Arguments,
    look_backs: dict[str, int] | None = None,
) -> dict[str, Method]:
    """The Informer of the literature's tables and its variants, from one recipe."""
    make = InformerModel.paper if name == "paper" else _informer
    changes: dict[str, Arguments] = {"": {}, "-full": FULL, "-full-nodistil": NO_DISTILLING}
    changes["-stack"] = STACK
    marks = {"": "", "-full": "†", "-full-nodistil": "‡", "-stack": "Stack"}
    return {
        name + suffix: Method(
            title.format(marks[suffix]),
            make,
            look_back,
            {**arguments, **changes[suffix]},
            look_backs=look_backs or {},
            as_stated=name == "paper",
        )
        for suffix in changes
    }


METHODS: dict[str, Method] = {
    **_variants("informer", "Informer{}", 512, {}, LOOK_BACKS),
    **_variants("informer-points", "Informer{}, point tokens, no linear map", POINTWISE, POINTS),
    "informer-alone": Method(
        "Informer, no linear map", _informer, 512, ALONE, look_backs=LOOK_BACKS
    ),
    **_variants("paper", "Informer{}, the paper's", POINTWISE, {}),
    # A learning rate of zero: the forecast that training begins at.
    "informer-start": Method(
        "Informer's linear start alone",
        _informer,
        512,
        {"n_epochs": 1, "optimizer_kwargs": {"lr": 0.0}},
        look_backs=LOOK_BACKS,
    ),
    "paper-norm": Method(
        "Informer, the paper's at width 64, instance norm",
        InformerModel.paper,
        POINTWISE,
        PAPER_NORM,
        as_stated=True,
        strides={"ETTm1": 4},
    ),
    # At full width, by the paper's rate; as few epochs as above, as they are long there.
    "paper-norm-512": Method(
        "Informer, the paper's, instance norm",
        InformerModel.paper,
        POINTWISE,
        {"use_reversible_instance_norm": True, "n_epochs": 2},
        as_stated=True,
        strides={"ETTm1": 4},
    ),
    # Darts' own trains with the true values and decodes step by step: the canonical Transformer.
    "transformer": Method(
        "Transformer, step by step", _trained("TransformerModel"), POINTWISE, SMALL, windows=SLOW
    ),
    "rnn": Method("RNN, step by step", _recurrent, POINTWISE, {"model": "RNN", **RECURRENT}),
    "gru": Method("GRU, step by step", _recurrent, POINTWISE, {"model": "GRU", **RECURRENT}),
    "lstm": Method("LSTM, step by step", _recurrent, POINTWISE, {"model": "LSTM", **RECURRENT}),
    "lstm-direct": Method(
        "LSTM, direct", _trained("BlockRNNModel"), POINTWISE, {"model": "LSTM", **RECURRENT}
    ),
    # What the norm of the window alone is worth.
    "lstm-direct-norm": Method(
        "LSTM, direct, instance norm",
        _trained("BlockRNNModel"),
        POINTWISE,
        {"model": "LSTM", **RECURRENT, "use_reversible_instance_norm": True},
    ),
    "lstm-attention": Method(
        "LSTM with attention (TFT)",
        _trained("TFTModel"),
        POINTWISE,
        {"add_relative_index": True, "likelihood": None},
    ),
    "deepar": Method(
        "DeepAR",
        _recurrent,
        POINTWISE,
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
    # Sizes as in their papers for data sets this small.
    "patchtst": _peer(
        "PatchTST",
        stamps=False,
        hidden_size=16,
        n_heads=4,
        linear_hidden_size=128,
        dropout=0.3,
    ),
    "itransformer": _peer("iTransformer", stamps=False, hidden_size=128, d_ff=128, n_heads=8),
    "autoformer": _peer("Autoformer", stamps=True),
    "fedformer": _peer("FEDformer", stamps=True),
    "informer-neuralforecast": _peer("Informer", stamps=True),
    "repeat-last": Method("Repeat the last value", _naive, 336, {"steps": 1}, kind="naive"),
    "repeat-day": Method("Repeat the last day", _naive, 336, kind="naive", daily=True),
}
