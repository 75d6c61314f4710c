"""Private: series that are explained, as tensors of a window and of a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from darts import TimeSeries
from darts.utils.data import SequentialTorchInferenceDataset
from torch import Tensor

from informer_forecaster._network.inputs import Inputs
from informer_forecaster.adapters._darts_series import as_list
from informer_forecaster.adapters.darts import InformerModel, calendar_names

FloatArray = npt.NDArray[np.float64]


class Given(NamedTuple):
    """Series and their covariates, lists of equal length; ``None`` for what is not given."""

    series: list[TimeSeries]
    past_covariates: list[TimeSeries] | None = None
    future_covariates: list[TimeSeries] | None = None

    @classmethod
    def of(cls, *given: Any) -> Given:
        """Make lists of single series."""
        return cls(*(None if one is None else as_list(one) for one in given))  # type: ignore[arg-type]

    def encoded(self, model: InformerModel) -> Given:
        """Add the encodings of the model, calendar features among them, over the horizon too."""
        if model.encoders is None or not model.encoders.encoding_available:
            return self
        return Given(
            self.series, *model.generate_fit_predict_encodings(model.output_chunk_length, *self)
        )

    def without_encodings(self, model: InformerModel) -> Given:
        """Take the encodings away, which Darts keeps with the covariates of the fit."""
        if model.encoders is None or not model.encoders.encoding_available:
            return self
        encodings = model.encoders.past_components, model.encoders.future_components
        kept = (_drop(each, names) for each, names in zip(self[1:], encodings, strict=True))
        return Given(self.series, *kept)

    def one(self, position: int) -> Given:
        """The series at ``position``, and its covariates."""
        return Given.of(*(None if each is None else each[position] for each in self))


def _drop(series: list[TimeSeries] | None, names: Any) -> list[TimeSeries] | None:
    """Drop components by their names; none if none are left."""
    if series is None:
        return None
    kept = [name for name in series[0].components if name not in names]
    return [one[kept] for one in series] if kept else None


def window_of(model: InformerModel, given: Given) -> Inputs:
    """The last window of the one series in ``given``, encoded, a batch of one in float64."""
    dataset = SequentialTorchInferenceDataset(
        *given,
        n=model.output_chunk_length,
        input_chunk_length=model.input_chunk_length,
        output_chunk_length=model.output_chunk_length,
        output_chunk_shift=model.output_chunk_shift,
        use_static_covariates=model.uses_static_covariates,
    )
    sample = dataset[0]
    future = None
    if sample.future_covariates is not None:
        future = np.concatenate([sample.historic_future_covariates, sample.future_covariates])
    return _as_inputs(
        model, sample.past_target, sample.past_covariates, future, sample.static_covariates
    )


def means_of(model: InformerModel, given: Given) -> Inputs:
    """Mean of every input over the steps of all series in ``given``, encoded, as a window."""
    tables = [one.static_covariates for one in given.series] if model.uses_static_covariates else []
    static = np.mean([one.to_numpy() for one in tables], axis=0) if tables else None
    steps = model.input_chunk_length
    lengths = steps, steps, steps + model.output_chunk_length
    means = (
        None if list_ is None else np.tile(_mean(list_), (length, 1))
        for list_, length in zip(given, lengths, strict=True)
    )
    return _as_inputs(model, *means, static)


def _mean(series: Sequence[TimeSeries]) -> FloatArray:
    """Mean of each component over all steps and sample paths."""
    values = [one.all_values(copy=False).mean(axis=2) for one in series]
    mean: FloatArray = np.concatenate(values).mean(axis=0, dtype=np.float64)
    return mean


def _as_inputs(model: InformerModel, *arrays: Any) -> Inputs:
    """Target, past and future covariates, and static ones ``(C or 1, Z)``, as the network's."""
    target, past, future, static = (
        None if array is None else torch.tensor(array, dtype=torch.float64).unsqueeze(0)
        for array in arrays
    )
    assert target is not None
    if static is not None:
        own = model.model.network.config.channel_independent
        static = static.expand(-1, target.shape[2], -1) if own else static.flatten(1)
    return Inputs(target, past, future, static)


def names_of(model: InformerModel, given: Given) -> dict[str, list[str]]:
    """Names of the inputs by kind; calendar features, the last future covariates, by their own."""
    target, past, future = (
        [] if each is None else [str(name) for name in each[0].components] for each in given
    )
    calendar = calendar_names(model)
    table = given.series[0].static_covariates if model.uses_static_covariates else None
    return {
        "target": target,
        "pastcov": past,
        "futcov": [*future[: len(future) - len(calendar)], *calendar],
        "statcov": [] if table is None else [str(name) for name in table.columns],
    }


def arrays_by_kind(
    model: InformerModel, added: Inputs, series: TimeSeries
) -> dict[str, FloatArray]:
    """Arrays ``(h, O, ...)`` by kind; of static covariates ``(h, O, C or 1, Z)``."""
    kinds = {
        "target": added.target,
        "pastcov": added.past,
        "futcov": added.future,
        "statcov": added.static,
    }
    arrays = {kind: one.numpy() for kind, one in kinds.items() if isinstance(one, Tensor)}
    if model.uses_static_covariates:
        rows, columns = series.static_covariates.shape
        static = arrays["statcov"].reshape(*arrays["target"].shape[:2], -1, columns)
        # One row that every component reads, each by itself, is one input.
        arrays["statcov"] = static.sum(axis=2, keepdims=True) if rows == 1 else static
    return arrays
