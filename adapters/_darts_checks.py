"""Private: what is checked at the public doors of :class:`InformerModel`, before Darts works."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.typing import TimeSeriesLike
from darts.utils.data import (
    SequentialTorchInferenceDataset,
    TorchInferenceDataset,
    TorchTrainingDataset,
)
from darts.utils.likelihood_models.base import Likelihood

from informer_forecaster._network.config import LARGEST_VALUE, check_integer, check_switch

from ._darts_calendar import check_calendar
from ._darts_columns import Orders, check_columns, order_of, put_in_order
from ._darts_series import (
    INPUTS,
    as_list,
    check_inputs,
    check_length,
    check_lists,
    check_one_path,
    check_static_covariates,
    check_type,
    check_weights,
)
from .time_features import TimeFeatures

if TYPE_CHECKING:
    from .darts import InformerModel

Arguments = dict[str, Any]
_PACKAGE = __name__.partition(".")[0]


def arguments_of(method: Callable[..., object], *args: object, **kwargs: object) -> Arguments:
    """The arguments of a call by name; a TypeError, as from the call, if they do not fit."""
    signature = inspect.signature(method)
    arguments = signature.bind(*args, **kwargs).arguments
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(name, {}))
    return arguments


# The constructor


def check_arguments(arguments: Arguments) -> None:
    """Raise if an argument of the model, but not of the network, is outside its range.

    Numpy's integers and booleans become Python's, in place.
    """
    time_features = arguments["time_features"]
    if not isinstance(time_features, bool) and time_features != "all":
        raise ValueError(f"`time_features` must be True, False or 'all'; got {time_features!r}.")
    _check_encoders(arguments.get("add_encoders"))
    for name in ("use_static_covariates", "compile_network"):
        arguments[name] = check_switch(name, arguments[name])
    norm = arguments["use_reversible_instance_norm"]
    if norm is not None and not (
        isinstance(norm, bool) or (isinstance(norm, dict) and norm.keys() <= {"affine", "eps"})
    ):
        raise ValueError(
            "`use_reversible_instance_norm` must be True, False, None, or a dictionary with the "
            f"keys 'affine' and 'eps'; got {norm!r}."
        )
    for name, minimum in (("output_chunk_shift", 0), ("batch_size", 1), ("n_epochs", 0)):
        if name in arguments:
            arguments[name] = check_integer(name, arguments[name], minimum)
    patience = arguments["early_stopping_patience"]
    if patience is not None:
        arguments["early_stopping_patience"] = check_integer("early_stopping_patience", patience, 1)
    _check_training(arguments)
    likelihood = arguments.get("likelihood")
    if likelihood is not None and not isinstance(likelihood, Likelihood):
        raise ValueError(
            "`likelihood` must be an object of `darts.utils.likelihood_models.torch` or None; got "
            f"{likelihood!r}. Give for example `QuantileRegression()`."
        )


def _check_training(arguments: Arguments) -> None:
    """Raise unless loss, optimizer and trainer are given as Darts takes them."""
    loss = arguments.get("loss_fn", callable)
    if isinstance(loss, type) or not callable(loss):
        raise ValueError(
            f"`loss_fn` must be a torch loss module; got {loss!r}. Give for example "
            "`torch.nn.L1Loss()`."
        )
    for name in ("optimizer_kwargs", "pl_trainer_kwargs"):
        if not isinstance(arguments.get(name) or {}, dict):
            raise ValueError(f"`{name}` must be a dictionary or None; got {arguments[name]!r}.")


def _check_encoders(encoders: object) -> None:
    """Raise unless the user's own encoders are in lists, which calendar features can join."""
    own = encoders.get("custom") if isinstance(encoders, dict) else encoders
    are_lists = isinstance(own, dict) and isinstance(own.get("future", []), list | tuple)
    if own is not None and not (are_lists and isinstance(encoders, dict)):
        raise ValueError(
            "`add_encoders` must be None or a dictionary, with encoders of one's own in lists, as "
            f"{{'custom': {{'future': [function]}}}}; got {encoders!r}."
        )


def check_unknown(cls: type, given: Iterable[str]) -> None:
    """Raise if no class that ``cls`` is made of has an argument of that name."""
    known = set(inspect.signature(PLForecastingModule.__init__).parameters)
    for base in inspect.getmro(cls)[:-1]:
        known.update(inspect.signature(vars(base).get("__init__", object)).parameters)
    known -= {"self", "args", "kwargs"}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"Did you mean `{near[0]}`?" if near else "Leave it out."
            raise ValueError(f"`{name}` is no argument of `{cls.__name__}`. {remedy}")


# A training


def check_training(model: InformerModel, given: Arguments, calendar: TimeFeatures | None) -> None:
    """Raise unless a model can be trained, and validated, on the arguments of a call."""
    check_device(model, given)
    check_calendar("series", given["series"], calendar)
    before, after = model.window_lengths
    trained = None  # steps at the end of each series that windows are cut from: all
    if given.get("max_samples_per_ts") is not None:
        others = (given["max_samples_per_ts"] - 1) * (given.get("stride") or 1)
        trained = before + after + int(others)
    largest = largest_value(model, given["series"], given.get("trainer"))
    for prefix in ("", "val_"):
        target, past, future = (given.get(f"{prefix}{name}") for name in INPUTS)
        check_inputs(
            target,
            past,
            future,
            largest=largest,
            prefix=prefix,
            past_steps_ahead=-after,
            trained=trained,
        )
        check_length(
            f"{prefix}series",
            target,
            before + after,
            "input_chunk_length + output_chunk_shift + output_chunk_length",
        )
        if calendar is not None:
            check_one_path(f"{prefix}future_covariates", future)
        check_weights(f"{prefix}sample_weight", given.get(f"{prefix}sample_weight"))
        if model.considers_static_covariates:
            check_static_covariates(f"{prefix}series", target, largest)


def check_training_data(model: InformerModel, given: Arguments) -> None:
    """Raise unless data sets have the lengths of the model, and the columns that it knows."""
    check_device(model, given)
    for name in ("train_dataset", "val_dataset"):
        data = given.get(name)
        check_columns(name, data, model._columns)
        if not isinstance(data, TorchTrainingDataset) or not len(data):
            continue  # Darts names what it is
        sample = data[0]
        for argument, found in (
            ("input_chunk_length", sample.past_target),
            ("output_chunk_length", sample.future_target),
        ):
            expected = getattr(model, argument)
            if found is not None and len(found) != expected:
                raise ValueError(
                    f"`{name}` must have the `{argument}` of the model, {expected}; got "
                    f"{len(found)}. Make it, or the model, with the lengths of the other."
                )


def check_device(model: InformerModel, given: Arguments) -> None:
    """Raise if the model's own trainer would ask for a device that this machine lacks."""
    if given.get("trainer") is None and lacks_device(model.trainer_params):
        raise ValueError(
            "`pl_trainer_kwargs` asks for accelerator="
            f"{model.trainer_params['accelerator']!r}, and there is no such "
            "device on this machine. Leave out `accelerator` or use 'cpu' or 'auto'; for a model "
            "that was trained elsewhere, call `to_cpu()` or give `pl_trainer_kwargs` to `load`."
        )


def lacks_device(trainer: Mapping[str, Any]) -> bool:
    """Whether the trainer's arguments name a GPU, and this machine has none of its kind."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    present["gpu"] = any(present.values())
    accelerator = trainer.get("accelerator")
    return isinstance(accelerator, str) and not present.get(accelerator, True)


def largest_value(
    model: InformerModel, series: TimeSeriesLike, trainer: object | None = None
) -> float:
    """Largest value for the number format that the network has, or will have by ``series``."""
    if model.model is not None:
        return LARGEST_VALUE[64 if model.model.dtype == torch.float64 else 32]
    asked = model.trainer_params.get("precision")
    precision = asked if trainer is None else getattr(trainer, "precision", None)
    return LARGEST_VALUE[64 if "64" in str(precision or as_list(series)[0].dtype) else 32]


# A forecast


def prepare_forecast(model: InformerModel, given: Arguments) -> Orders | None:
    """Check the arguments of a forecast and put columns in the order of training.

    Returns the order of each target's own columns, for the forecast to be given in.
    """
    target = given.get("series")
    for name in INPUTS:
        check_type(name, given.get(name), required=name == "series" and target is not None)
    target = model.training_series if target is None else target
    if model.model is None or target is None:
        return None  # Darts names what is missing
    check_lists({name: given.get(name) for name in INPUTS if name != "series"}, target)
    check_length("series", target, model.input_chunk_length, "input_chunk_length")
    check_calendar("series", target, model._calendar)
    if model._calendar is not None:
        check_one_path("future_covariates", given.get("future_covariates"))
    _check_covariates(model, given)
    orders = order_of(target, model._columns.get("series"))
    put_in_order(given, model._columns, static=model.considers_static_covariates)
    return orders


def _check_covariates(model: InformerModel, given: Arguments) -> None:
    """Raise unless covariates are those of training; Darts looks after it added encodings."""
    stored = (model.past_covariate_series, model.future_covariate_series)
    for name, known in zip(INPUTS[1:], stored, strict=True):
        learnt = name in model._columns
        if learnt and given.get(name) is None and known is None:
            raise ValueError(
                f"`{name}` must be given, as the model was trained with them; got None. Pass the "
                "series that continue those of the training."
            )
        if model._columns and not learnt and given.get(name) is not None:
            raise ValueError(
                f"`{name}` must be left out, as the model was trained without them; got "
                f"{as_list(given[name])[0].n_components} components."
            )


def warn_of_equal_paths(model: InformerModel, given: Arguments) -> None:
    """Warn that a model without likelihood draws the same path again and again."""
    count = given.get("num_samples") or 1
    inputs = [model.training_series, *(given.get(name) for name in INPUTS)]
    varies = any(one.is_stochastic for each in inputs for one in as_list(each))
    is_sampled = model.likelihood is not None or given.get("mc_dropout") or varies
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back
    # Conformal models and ensembles ask for samples of any model, and make use of one.
    is_users = frame is None or not frame.f_globals.get("__name__", "").startswith("darts.")
    if count > 1 and is_users and not is_sampled and given.get("show_warnings", True):
        warnings.warn(
            f"`num_samples={count}` gives equal paths, as the model has no `likelihood`. Train it "
            "with one, for example `QuantileRegression()`, or forecast with `mc_dropout=True`.",
            UserWarning,
            stacklevel=4,
        )


def check_windows(model: InformerModel, given: Arguments) -> None:
    """Raise unless the windows of a data set have the columns, steps and values they need."""
    check_device(model, given)
    dataset: TorchInferenceDataset = given["dataset"]
    if model.model is None or not isinstance(dataset, SequentialTorchInferenceDataset):
        return
    check_calendar("dataset", dataset.series, model._calendar)
    check_columns("dataset", dataset, model._columns)
    # Forecasts start at the end of a series, or in a backtest within its bounds, both included.
    spans = [(len(one), len(one)) for one in dataset.series]
    if dataset.bounds is not None:
        spans = [(int(first), int(last)) for first, last in dataset.bounds]
    past_ahead = max(dataset.n - model.output_chunk_length, 0)
    future_ahead = max(dataset.n, model.output_chunk_length) + model.output_chunk_shift
    largest = largest_value(model, dataset.series)
    check_inputs(
        [
            one[first - model.input_chunk_length : last]
            for one, (first, last) in zip(dataset.series, spans, strict=True)
        ],
        dataset.past_covariates,
        dataset.future_covariates,
        largest=largest,
        past_steps_ahead=past_ahead,
        future_steps_ahead=future_ahead,
        remedy=(
            f"To forecast {dataset.n} steps in chunks of {model.output_chunk_length}, past "
            f"covariates are used to {past_ahead} steps after the series' end, future ones to "
            f"{future_ahead}. Give the missing steps, or a smaller `n`."
        ),
    )
    if model.uses_static_covariates:
        check_static_covariates("series", dataset.series, largest)
