"""Private: the tensors of a window, and those that stand for a background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from darts import TimeSeries

from informer_forecaster.adapters.darts import InformerModel, calendar_names

from .importance import Inputs

FloatArray = npt.NDArray[np.float64]


def tensors_of(sample: Any) -> Inputs:
    """The tensors of one of Darts' samples, a batch of one, in double precision."""
    names = ("past_target", "past_covariates", "historic_future_covariates", "future_covariates")
    found = {name: getattr(sample, name) for name in (*names, "static_covariates")}
    return {
        name: torch.tensor(array, dtype=torch.float64).unsqueeze(0)
        for name, array in found.items()
        if array is not None
    }


def background_means(
    model: InformerModel,
    series: Sequence[TimeSeries],
    past: Sequence[TimeSeries] | None,
    future: Sequence[TimeSeries] | None,
) -> Inputs:
    """Mean of every input over the background, shaped to be expanded to a window."""
    if model.encoders is not None and model.encoders.encoding_available:
        past, future = model.generate_fit_predict_encodings(
            model.output_chunk_length, series, past, future
        )
    means = {
        "past_target": _mean(series),
        "past_covariates": _mean(past),
        "historic_future_covariates": _mean(future),
        "future_covariates": _mean(future),
    }
    if model.uses_static_covariates:
        tables = [one.static_covariates.to_numpy() for one in series]
        means["static_covariates"] = torch.from_numpy(np.mean(tables, axis=0, dtype=np.float64))
    return {name: mean for name, mean in means.items() if mean is not None}


def _mean(series: Sequence[TimeSeries] | None) -> torch.Tensor | None:
    """Mean ``(C,)`` of each component over all steps of all series."""
    if series is None:
        return None
    values = np.concatenate([one.all_values(copy=False).mean(axis=2) for one in series])
    return torch.from_numpy(values.mean(0, dtype=np.float64))


def names_of(model: InformerModel, dataset: Any) -> dict[str, list[str]]:
    """Names of the inputs by kind; calendar features, the last future covariates, by their own."""

    def components(series: list[TimeSeries] | None) -> list[str]:
        return [] if series is None else [str(name) for name in series[0].components]

    future, calendar = components(dataset.future_covariates), calendar_names(model)
    table = dataset.series[0].static_covariates if model.uses_static_covariates else None
    return {
        "target": components(dataset.series),
        "pastcov": components(dataset.past_covariates),
        "futcov": [*future[: len(future) - len(calendar)], *calendar],
        "statcov": [] if table is None else [str(name) for name in table.columns],
    }


def arrays_by_kind(tensors: Inputs) -> dict[str, FloatArray]:
    """Arrays ``(h, O, ...)`` by kind; those of future covariates over look-back and horizon."""
    arrays: dict[str, FloatArray] = {name: tensor.numpy() for name, tensor in tensors.items()}
    names = ("historic_future_covariates", "future_covariates")
    future = [arrays[name] for name in names if name in arrays]
    kinds = {
        "target": arrays["past_target"],
        "pastcov": arrays.get("past_covariates"),
        "futcov": np.concatenate(future, axis=2) if future else None,
        "statcov": arrays.get("static_covariates"),
    }
    return {kind: array for kind, array in kinds.items() if array is not None}
