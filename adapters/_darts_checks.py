"""Private: what is checked at the public doors of :class:`InformerModel`, before Darts works."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from darts.typing import TimeSeriesLike
from darts.utils.data import (
    SequentialTorchInferenceDataset,
    TorchInferenceDataset,
    TorchTrainingDataset,
)

from informer_forecaster._checks import (
    LARGEST_VALUE,
    Arguments,
    check_recipe,
    check_seed,
)
from informer_forecaster._training.runs import lacks_device
from informer_forecaster.time_features import TimeFeatures

from ._darts_series import INPUTS, Columns, as_list, check_calendar, check_columns
from ._darts_values import (
    check_inputs,
    check_length,
    check_lists,
    check_one_path,
    check_static_covariates,
    check_type,
    check_weights,
)

if TYPE_CHECKING:
    from .darts import InformerModel

_PACKAGE = __name__.partition(".")[0]


# A training


def check_training(
    model: InformerModel, given: Arguments, calendar: TimeFeatures | None, columns: Columns
) -> None:
    """Raise unless a model can be trained, and validated, on the arguments of a call."""
    check_recipe(given)
    check_device(model, given)
    before, after = model.window_lengths
    trained = None  # steps at the end of each series that windows are cut from: all
    if given.get("max_samples_per_ts") is not None:
        others = (given["max_samples_per_ts"] - 1) * (given.get("stride") or 1)
        trained = before + after + int(others)
    largest = largest_value(model, given["series"], given.get("trainer"))
    static = model.considers_static_covariates
    for prefix in ("", "val_"):
        inputs = {f"{prefix}{name}": given.get(f"{prefix}{name}") for name in INPUTS}
        target = inputs[f"{prefix}series"]
        check_weights(f"{prefix}sample_weight", given.get(f"{prefix}sample_weight"))
        if target is None:
            continue
        if static:
            check_static_covariates(f"{prefix}series", target, largest)
        _check_like_training(inputs, prefix, columns, calendar, static=static)
        check_inputs(inputs, (0, -after, 0), largest, trained=trained)
        check_length(
            f"{prefix}series",
            target,
            before + after,
            "input_chunk_length + output_chunk_shift + output_chunk_length",
        )


def _check_like_training(
    inputs: Mapping[str, TimeSeriesLike | None],
    prefix: str,
    columns: Columns,
    calendar: TimeFeatures | None,
    *,
    static: bool,
    stored: Sequence[TimeSeriesLike | None] = (None, None),
) -> None:
    """Raise unless series have the calendar, the covariates and the columns of the training.

    Whatever trains, validates, is forecast or is explained passes here; covariates that are
    ``stored`` need not be given.
    """
    check_lists(inputs)
    target, _, future = inputs
    check_calendar(target, inputs[target], calendar)
    if calendar is not None:
        check_one_path(future, inputs[future])
    for name, known in zip(INPUTS[1:], stored, strict=True):
        learnt, found = name in columns, inputs[f"{prefix}{name}"]
        if (learnt and found is None and known is None) or (
            columns and not learnt and found is not None
        ):
            # Darts looks after it added the calendar's.
            raise ValueError(
                f"`{prefix}{name}` must be {'given' if learnt else 'left out'}, as the model is "
                f"trained with{'' if learnt else 'out'} them; got {type(found).__name__}. Pass the "
                "series that continue those of the training, and no others."
            )
    check_columns(inputs, columns, static=static, prefix=prefix)


def check_training_data(model: InformerModel, given: Arguments) -> None:
    """Raise unless data sets have the lengths of the model, and the columns that it knows."""
    check_recipe(given)
    check_device(model, given)
    for name in ("train_dataset", "val_dataset"):
        data = given.get(name)
        _check_columns_of(name, data, model)
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


def _check_columns_of(name: str, dataset: object, model: InformerModel) -> None:
    """Raise unless the series of a data set have the calendar and columns of the training."""
    check_calendar(f"{name}.series", getattr(dataset, "series", None), model._calendar)
    given = {f"{name}.{each}": getattr(dataset, each, None) for each in INPUTS}
    check_columns(given, model._columns, static=False, prefix=f"{name}.", encoded=True)


def check_device(model: InformerModel, given: Arguments) -> None:
    """Raise if the model's own trainer would ask for a device that this machine lacks."""
    if given.get("trainer") is None and lacks_device(model.trainer_params):
        raise ValueError(
            "`pl_trainer_kwargs` asks for accelerator="
            f"{model.trainer_params['accelerator']!r}, and there is no such "
            "device on this machine. Leave out `accelerator` or use 'cpu' or 'auto'; for a model "
            "that was trained elsewhere, call `to_cpu()` or give `pl_trainer_kwargs` to `load`."
        )


def largest_value(
    model: InformerModel, series: TimeSeriesLike, trainer: object | None = None
) -> float:
    """Largest value for the number format that the network has, or will have by ``series``."""
    if model.model is not None:
        return LARGEST_VALUE[{torch.float64: 64, torch.float16: 16}.get(model.model.dtype, 32)]
    asked = model.trainer_params.get("precision")
    precision = asked if trainer is None else getattr(trainer, "precision", None)
    if precision == "16-true":
        return LARGEST_VALUE[16]
    return LARGEST_VALUE[64 if "64" in str(precision or as_list(series)[0].dtype) else 32]


# A forecast


def check_forecast(model: InformerModel, given: Arguments, prefix: str = "") -> None:
    """Raise unless the arguments of a forecast suit the model and each other.

    Only where their names have no ``prefix`` covariates of the training stand for missing ones.
    """
    check_seed(given.get("random_state"))
    names = [f"{prefix}{name}" for name in INPUTS]
    target = given.get(names[0])
    for name in names:
        check_type(name, given.get(name), required=name == names[0] and target is not None)
    target = model.training_series if target is None else target
    if model.model is None or target is None:
        return  # Darts names what is missing
    stored = (model.past_covariate_series, model.future_covariate_series)
    _check_like_training(
        {**{name: given.get(name) for name in names}, names[0]: target},
        prefix,
        model._columns,
        model._calendar,
        static=model.considers_static_covariates,
        stored=(None, None) if prefix else stored,
    )


def warn_of_equal_paths(model: InformerModel, given: Arguments) -> None:
    """Warn that a model without likelihood draws the same path again and again."""
    count = given.get("num_samples") or 1
    inputs = [model.training_series, *(given.get(name) for name in INPUTS)]
    varies = any(one.is_stochastic for each in inputs for one in as_list(each))
    config = model.model.network.config
    drops = given.get("mc_dropout") and max(config.dropout, config.token_dropout) > 0
    is_sampled = model.likelihood is not None or drops or varies
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back
    # Conformal models and ensembles ask for samples of any model, and make use of one.
    is_users = frame is None or not frame.f_globals.get("__name__", "").startswith("darts.")
    if count > 1 and is_users and not is_sampled and given.get("show_warnings", True):
        warnings.warn(
            f"`num_samples={count}` gives equal paths, as the model has no `likelihood`. Train it "
            "with one, for example `QuantileRegression()`, or train it with `dropout=0.1` and "
            "forecast with `mc_dropout=True`.",
            UserWarning,
            stacklevel=4,
        )


def check_windows(model: InformerModel, given: Arguments) -> None:
    """Raise unless the windows of a data set have the columns, steps and values they need."""
    check_seed(given.get("random_state"))
    check_device(model, given)
    dataset: TorchInferenceDataset = given["dataset"]
    if model.model is None or not isinstance(dataset, SequentialTorchInferenceDataset):
        return
    _check_columns_of("dataset", dataset, model)
    # Forecasts start at the end of a series, or in a backtest within its bounds, both included.
    spans = [(len(one), len(one)) for one in dataset.series]
    if dataset.bounds is not None:
        spans = [(int(first), int(last)) for first, last in dataset.bounds]
    used = [
        one[first - model.input_chunk_length : last]
        for one, (first, last) in zip(dataset.series, spans, strict=True)
    ]
    past_ahead = max(dataset.n - model.output_chunk_length, 0)
    future_ahead = max(dataset.n, model.output_chunk_length) + model.output_chunk_shift
    inputs = {name: getattr(dataset, name) for name in INPUTS}
    largest = largest_value(model, dataset.series)
    check_inputs(
        {**inputs, "series": used},
        (0, past_ahead, future_ahead),
        largest,
        remedy=(
            f"To forecast {dataset.n} steps in chunks of {model.output_chunk_length}, past "
            f"covariates are used to {past_ahead} steps after the series' end, future ones to "
            f"{future_ahead}. Give the missing steps"
            f"{', or a smaller `n`' if dataset.n > model.output_chunk_length else ''}."
        ),
    )
    if model.uses_static_covariates:
        check_static_covariates("series", dataset.series, largest)
