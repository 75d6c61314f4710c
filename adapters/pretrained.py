"""Models as data: config.json and model.safetensors, of both adapters. Nothing is unpickled.

A directory holds what a forecast depends on: the arguments of the network, its weights, the names
of what it was trained on, and for sktime the scale of each column. It holds no series.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel
from darts.utils.data.torch_datasets.utils import TorchTrainingSample
from darts.utils.likelihood_models import torch as likelihoods

from informer_forecaster._files.archives import FilePath
from informer_forecaster._files.directory import JSON, Tensors, plain, read_directory, reported
from informer_forecaster._files.weights import check_layers, check_weights
from informer_forecaster.time_features import TimeFeatures

from ._darts_private import declare_fitted, make_network

if TYPE_CHECKING:
    from .darts import InformerModel

Model = TypeVar("Model", bound="InformerModel")

# Arguments of Darts for the machine and the run: they stay behind, as a file must not decide where
# this machine writes or deletes.
RUNNING = {
    name
    for base in (TorchForecastingModel, PLForecastingModule)
    for name in inspect.signature(base.__init__).parameters
} | {"compile_network"}
NETWORK = {"likelihood", "add_encoders", "use_reversible_instance_norm", "output_chunk_shift"}
TRAINING = {"batch_size", "n_epochs", "early_stopping_patience"}
RUNNING -= {"self", "kwargs", "input_chunk_length", "output_chunk_length", *NETWORK, *TRAINING}
CHANGEABLE = RUNNING | TRAINING
WEIGHTS_DTYPES = ("float16", "bfloat16", "float32", "float64")
SAMPLE_DTYPES = ("float16", "float32", "float64")


def load_model(cls: type[Model], directory: FilePath, changes: dict[str, Any]) -> Model:
    """Make the model of ``directory``, with ``changes`` to how it runs and trains."""
    unknown = sorted(changes.keys() - CHANGEABLE)
    if unknown:
        raise ValueError(
            f"`{unknown[0]}` is fixed in a trained model and cannot be changed by loading it. What "
            f"can be: {', '.join(sorted(CHANGEABLE))}."
        )
    config, weights = read_directory(directory, cls.__name__)
    with reported(directory):
        return restore(cls, config, weights, changes)


# Between a Darts model and what is written down of it


def describe(model: InformerModel) -> dict[str, JSON]:
    """Write down what a network is made of.

    Raises
    ------
    ValueError
        If the model is not fitted, has encoders of the user's, or an argument is no data.
    """
    if model.model is None:
        raise ValueError("`save_pretrained` needs a fitted model: call `fit` first.")
    apart = RUNNING | {"likelihood", "add_encoders"}
    arguments = {k: v for k, v in model.model_params.items() if k not in apart}
    trainer = model.model_params.get("pl_trainer_kwargs") or {}
    sample = model.train_sample
    return {
        "class": type(model).__name__,
        "arguments": {name: plain(name, value) for name, value in arguments.items()},
        "likelihood": _describe_likelihood(model.likelihood),
        "precision": plain("precision", trainer.get("precision")),
        "time_features": _describe_calendar(model),
        "calendar_columns": model._own_calendar,
        "columns": {
            name: None if names is None else list(names) for name, names in model._columns.items()
        },
        "weights_dtype": str(model.model.dtype).removeprefix("torch."),
        "sample_dtype": str(sample.past_target.dtype),
        "sample_shapes": {k: v and list(v) for k, v in sample.sample_shapes().items()},
    }


def restore(
    cls: type[Model], config: dict[str, Any], weights: Tensors, changes: dict[str, Any]
) -> Model:
    """Make the model that :func:`describe` wrote down."""
    arguments = {k: v for k, v in config["arguments"].items() if k not in RUNNING}
    check_layers(arguments, weights)
    precision = config["precision"]
    trainer = {} if precision is None else {"precision": precision}
    trainer |= changes.get("pl_trainer_kwargs") or {}
    likelihood = _restore_likelihood(config["likelihood"])
    model = cls(**{**arguments, **changes, "pl_trainer_kwargs": trainer}, likelihood=likelihood)
    if config["time_features"] is not None:
        model._calendar = TimeFeatures(tuple(config["time_features"]))
    model._own_calendar = int(config["calendar_columns"])
    columns = config["columns"].items()
    model._columns = {name: names and tuple(map(str, names)) for name, names in columns}
    model.encoders = model.initialize_encoders()
    model.train_sample = _sample(config)
    model.output_dim = model.train_sample.future_target.shape[1]
    # Once without memory: a file must not ask for more than it brings.
    with torch.device("meta"):
        check_weights(_make_network(model, config), weights)
    network = _make_network(model, config)
    network.load_state_dict(weights)
    declare_fitted(model, network)
    return model


def _describe_calendar(model: InformerModel) -> JSON:
    """Names of the calendar features; encoders of the user's are refused."""
    if model.add_encoders:
        raise ValueError(
            f"`add_encoders` cannot be saved as data; got {model.add_encoders}. Give the model "
            "their values as covariates, or keep the whole model with `save`."
        )
    return None if model._calendar is None else list(model._calendar.names)


def _describe_likelihood(likelihood: likelihoods.TorchLikelihood | None) -> JSON:
    if likelihood is None:
        return None
    name, names = type(likelihood).__name__, inspect.signature(type(likelihood)).parameters
    if getattr(likelihoods, name, None) is not type(likelihood):
        raise ValueError(
            f"`likelihood` cannot be saved as data; got {likelihood!r}, which is none of "
            f"{likelihoods.__name__}. Keep the whole model with `save`."
        )
    arguments = {one: plain(f"likelihood.{one}", getattr(likelihood, one)) for one in names}
    return {"class": name, "arguments": arguments}


def _restore_likelihood(described: dict[str, Any] | None) -> Any:
    if described is None:
        return None
    found = getattr(likelihoods, described["class"], None)
    if not isinstance(found, type) or not issubclass(found, likelihoods.TorchLikelihood):
        raise ValueError(
            f"`likelihood` must be one of Darts'; the file names {described['class']}."
        )
    return found(**described["arguments"])


def _sample(config: dict[str, Any]) -> TorchTrainingSample:
    """Make a training sample of the saved shapes that takes no memory."""
    dtype = _choice("sample_dtype", config, SAMPLE_DTYPES)
    shapes = config["sample_shapes"].items()
    zero = np.zeros((), dtype)
    return TorchTrainingSample(
        **{name: shape and np.broadcast_to(zero, shape) for name, shape in shapes}
    )


def _make_network(model: InformerModel, config: dict[str, Any]) -> Any:
    dtype = _choice("weights_dtype", config, WEIGHTS_DTYPES)
    return make_network(model).to(getattr(torch, dtype))


def _choice(name: str, config: dict[str, Any], choices: tuple[str, ...]) -> str:
    if config[name] not in choices:
        raise ValueError(f"`{name}` must be one of {choices}; the file has {config[name]!r}.")
    return str(config[name])
