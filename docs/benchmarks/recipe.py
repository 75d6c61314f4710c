"""What a recipe of ett.py is: the model, the look-back and the training of a method."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import darts.models
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
    given : bool
        Whether the validation part is given as such. Otherwise it ends the training series.
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
    given: bool = True

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


def trained(name: str) -> Callable[..., Any]:
    """Give what makes a network of Darts with the shared training."""

    def make(look_back: int, horizon: int, **arguments: Any) -> Any:
        cls = getattr(darts.models, name)
        return cls(look_back, horizon, **{**TRAINING, **arguments})

    return make


def make_informer(look_back: int, horizon: int, **arguments: Any) -> Any:
    """Make ours with the shared training."""
    stopping = {"early_stopping_patience": PATIENCE}
    return InformerModel(look_back, horizon, **{**TRAINING, **stopping, **arguments})


OURS = (make_informer, InformerModel.paper)


def make_recurrent(look_back: int, _: int, **arguments: Any) -> Any:
    """Make a recurrent network that forecasts step by step."""
    length = {"training_length": look_back + 24}
    return darts.models.RNNModel(look_back, **{**TRAINING, **length, **arguments})


def make_naive(_: int, __: int, *, steps: int, **environment: Any) -> Any:
    """Make a forecast that repeats the last ``steps``."""
    return darts.models.GlobalNaiveSeasonal(steps, 1, **environment)


def refitted(name: str) -> Callable[..., Any]:
    """Give what makes a model that is fitted anew at each window."""

    def make(_: int, __: int, **arguments: Any) -> Any:
        return getattr(darts.models, name)(**arguments)

    return make


def peer(name: str, *, stamps: bool, **sizes: Any) -> Method:
    """Make the recipe of one of NeuralForecast's networks; ``stamps`` is whether it takes time."""

    def make(look_back: int, horizon: int, **arguments: Any) -> Any:
        cls = darts.models.NeuralForecastModel
        return cls(look_back, horizon, model=name, **{**TRAINING, **arguments})

    arguments: Arguments = {"model_kwargs": sizes, "optimizer_kwargs": {"lr": 5e-4}}
    if stamps:
        arguments["add_encoders"] = {"cyclic": {"future": ["hour", "dayofweek"]}}
    look_back = POINTWISE if stamps else 336
    return Method(f"{name}, NeuralForecast's", make, look_back, arguments, needs="neuralforecast")
