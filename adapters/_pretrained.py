"""Private: a fitted model as data, and a fitted model from data. Nothing is pickled."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd
import torch
from darts.utils.data.torch_datasets.utils import TorchTrainingSample

from ._plain_series import series_from_json, series_to_json
from ._plain_values import JSON, from_json, to_json
from ._pretrained_files import Tensors, read_directory, write_directory

# Arguments of the machine and of the run. A file must not decide where this one writes or deletes.
RUNNING = frozenset(
    {
        "pl_trainer_kwargs",
        "work_dir",
        "model_name",
        "log_tensorboard",
        "save_checkpoints",
        "force_reset",
        "show_warnings",
        "torch_metrics",
        "nr_epochs_val_period",
    }
)
# Arguments of the training to come, which the weights do not depend on.
TRAINING = frozenset(
    {
        "batch_size",
        "n_epochs",
        "loss_fn",
        "optimizer_cls",
        "optimizer_kwargs",
        "lr_scheduler_cls",
        "lr_scheduler_kwargs",
        "random_state",
        "early_stopping_patience",
        "enable_finetuning",
        "compile_network",
    }
)
_SERIES = ("training_series", "past_covariate_series", "future_covariate_series")
_LIBRARIES = ("informer-forecaster", "darts", "torch", "scikit-learn", "safetensors")


def save_model(model: Any, directory: str | os.PathLike[str], clean: bool) -> None:
    """Write a fitted ``InformerModel`` as JSON and safetensors; without its series if ``clean``."""
    if model.model is None or not model._fit_called:
        raise ValueError("`save_pretrained` needs a fitted model: call `fit` first.")
    arguments = {k: v for k, v in model.model_params.items() if k not in RUNNING}
    precision = (model.model_params.get("pl_trainer_kwargs") or {}).get("precision")
    tensors: Tensors = {}
    series = {}
    for name in _SERIES:
        one = getattr(model, name)
        series[name] = None if clean or one is None else series_to_json(one, name, tensors)
    config = {
        "library_versions": _library_versions(),
        "class": type(model).__name__,
        "arguments": {name: to_json(value, name) for name, value in arguments.items()},
        "precision": to_json(precision, "pl_trainer_kwargs['precision']"),
        "weights_dtype": str(model.model.dtype).removeprefix("torch."),
        "sample_dtype": str(model.train_sample.past_target.dtype),
        "sample_shapes": {
            name: shape and list(shape)
            for name, shape in model.train_sample.sample_shapes().items()
        },
        "add_encoders": to_json(model.add_encoders, "add_encoders"),
        "encoders": _encoders_to_json(model.encoders),
        "series": series,
    }
    write_directory(directory, config, model.model.state_dict(), tensors)


def load_model(cls: Any, directory: str | os.PathLike[str], changes: dict[str, Any]) -> Any:
    """Make the model that :func:`save_model` wrote, with ``changes`` to how it runs and trains."""
    unknown = sorted(changes.keys() - RUNNING - TRAINING)
    if unknown:
        raise ValueError(
            f"`{unknown[0]}` is fixed in a trained model and cannot be changed by loading it. What "
            f"can be: {', '.join(sorted(RUNNING | TRAINING))}."
        )
    config, weights, tensors = read_directory(directory)
    if config.get("class") != cls.__name__:
        raise ValueError(
            f"{directory} holds a model of the class {config.get('class')}; got "
            f"{cls.__name__}. Call `from_pretrained` of that class."
        )
    try:
        model = cls(**_arguments(config, changes))
        _restore_data(model, config, tensors)
        module = _make_network(model, config)
        _match_maps(module.network, weights)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f"the config.json of {directory} is damaged or of other versions of the libraries than "
            f"{config.get('library_versions')}: {error!r}. Save the model again."
        ) from error
    _check_shapes(module.state_dict(), weights, directory)
    module.load_state_dict(weights)
    model.model = module
    model._fit_called = True
    model._update_covariates_use()
    return model


def _library_versions() -> dict[str, str]:
    """Versions of what is installed; a checkout on the path may not be."""
    installed = {name.lower() for one in metadata.distributions() if (name := one.name)}
    return {name: metadata.version(name) for name in _LIBRARIES if name in installed}


def _arguments(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments: those of the file that it may hold, and the changes."""
    saved = {k: from_json(v) for k, v in config["arguments"].items() if k not in RUNNING}
    arguments = {**saved, **changes}
    if config["precision"] is not None:
        trainer = {"precision": config["precision"], **(changes.get("pl_trainer_kwargs") or {})}
        arguments["pl_trainer_kwargs"] = trainer
    return arguments


def _restore_data(model: Any, config: dict[str, Any], tensors: Tensors) -> None:
    """Give a new model the series and the encoders of the saved one."""
    for name, data in config["series"].items():
        if name in _SERIES and data is not None:
            setattr(model, name, series_from_json(data, name, tensors))
    if model.training_series is not None:
        model.static_covariates = model.training_series.static_covariates
    model.add_encoders = from_json(config["add_encoders"])
    model.encoders = model.initialize_encoders()
    _restore_encoders(model.encoders, config["encoders"])


def _make_network(model: Any, config: dict[str, Any]) -> Any:
    """Make the network in the sizes of the training, as Darts does when it loads weights."""
    dtype = np.dtype(config["sample_dtype"])
    shapes = config["sample_shapes"].items()
    model.train_sample = TorchTrainingSample(
        **{name: None if shape is None else np.zeros(shape, dtype) for name, shape in shapes}
    )
    model.output_dim = model.train_sample.future_target.shape[1]
    return model._init_model().to(getattr(torch, config["weights_dtype"]))


def _match_maps(network: Any, weights: Tensors) -> None:
    """Give every component its own linear map where the saved model has that."""
    saved = weights.get("network.lookback_skip.weight")
    if saved is not None and len(saved) == network.config.num_targets:
        network.lookback_skip.match_components(len(saved))


def _check_shapes(expected: Tensors, got: Tensors, directory: str | os.PathLike[str]) -> None:
    """Raise unless the names and shapes are equal: loading would cut a look-back skip to size."""
    for name in sorted(expected.keys() | got.keys()):
        wanted, given = (
            tuple(ones[name].shape) if name in ones else None for ones in (expected, got)
        )
        if wanted != given:
            raise ValueError(
                f"the weights in {directory} do not fit its config.json: {name!r} must "
                f"{f'have the shape {wanted}' if name in expected else 'not be there'}; got "
                f"{f'the shape {given}' if name in got else 'none'}. Save the model again."
            )


# What Darts' encoders learn: the names of their components, and the state of the transformer.


def _encoders_to_json(encoders: Any) -> JSON:
    if encoders is None or not encoders.encoding_available:
        return None
    state: dict[str, Any] = {"fitted": encoders._fit_called}
    for time in ("past", "future"):
        transformer = getattr(encoders, f"{time}_transformer")
        state[time] = {
            "components": list(getattr(encoders, f"{time}_components")),
            "encoders": [
                {"components": list(one.components), "fitted": one._fit_called}
                for one in getattr(encoders, f"{time}_encoders")
            ],
            "transformer": transformer
            and {
                "fitted": transformer.fit_called,
                "mask": np.asarray(transformer.transform_mask).tolist(),
                "transformer": to_json(transformer.transformer, "add_encoders['transformer']"),
            },
        }
    return state


def _restore_encoders(encoders: Any, state: JSON) -> None:
    if state is None:
        return
    encoders._fit_called = state["fitted"]
    for time in ("past", "future"):
        saved = state[time]
        setattr(encoders, f"_{time}_components", pd.Index(saved["components"]))
        singles = getattr(encoders, f"{time}_encoders")
        for one, its in zip(singles, saved["encoders"], strict=True):
            one._components, one._fit_called = pd.Index(its["components"]), its["fitted"]
        if saved["transformer"] is not None:
            transformer = getattr(encoders, f"{time}_transformer")
            transformer._fit_called = saved["transformer"]["fitted"]
            transformer.transform_mask = np.array(saved["transformer"]["mask"])
            transformer.transformer = from_json(saved["transformer"]["transformer"])
