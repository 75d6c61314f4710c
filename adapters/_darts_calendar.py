"""Private: calendar features as encoders of Darts that the user never sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from darts import TimeSeries
from darts.dataprocessing.encoders import SequentialEncoder
from darts.dataprocessing.encoders.encoder_base import (
    FutureCovariatesIndexGenerator,
    PastCovariatesIndexGenerator,
)
from darts.typing import TimeIndex, TimeSeriesLike
from darts.utils.utils import generate_index

from ._darts_series import as_list, label
from .time_features import TimeFeatures, informative_features


def suitable_features(
    series: Sequence[TimeSeries], wish: bool | Literal["all"]
) -> TimeFeatures | None:
    """Choose the features that suit all series of a training, or none for an integer index."""
    if not wish:
        return None
    names, *others = (_names(one) for one in series)
    differing = next((i for i, other in enumerate(others, start=1) if other != names), None)
    if differing is not None:
        raise ValueError(
            "`series` must have one kind of time index for `time_features`; got steps of "
            f"{series[0].freq_str} and, in series[{differing}], {series[differing].freq_str}. "
            "Resample them, or choose `time_features=False`."
        )
    if names and wish is True:
        span = max(one.end_time() + one.freq - one.start_time() for one in series)
        names = informative_features(series[0].freq, span)
    return TimeFeatures(names) if names else None


def check_calendar(name: str, given: TimeSeriesLike, features: TimeFeatures | None) -> None:
    """Raise unless series have steps that the features of the training tell apart."""
    if features is None:
        return
    for position, one in enumerate(as_list(given)):
        # The longest cycles come last: a short training left these out.
        if features.names != _names(one)[: len(features.names)]:
            raise ValueError(
                f"{label(name, given, position)} must have the calendar features that the weights "
                f"were trained with, {features}; got steps of {one.freq_str}. Train a new model, "
                "or, for weights that suit every step, train them with `time_features=False`."
            )


def make_encoders(
    given: dict[str, Any] | None,
    features: TimeFeatures | None,
    input_chunk_length: int,
    output_chunk_length: int,
) -> SequentialEncoder:
    """Make the user's encoders, and calendar features as a further one."""
    every = dict(given or {})
    if features is not None:
        custom = dict(every.get("custom") or {})
        every["custom"] = {**custom, "future": [*custom.get("future", []), features]}
    encoders = SequentialEncoder(
        every,
        input_chunk_length=input_chunk_length,
        output_chunk_length=output_chunk_length,
        takes_past_covariates=True,
        takes_future_covariates=True,
    )
    fit_lengths(encoders, input_chunk_length, output_chunk_length)
    return encoders


def fit_lengths(
    encoders: SequentialEncoder, input_chunk_length: int, output_chunk_length: int
) -> None:
    """Let encoders, of a saved model for example, encode windows of these lengths."""
    for encoder in encoders.past_encoders:
        encoder.index_generator = _PastStamps(input_chunk_length, output_chunk_length)
    for encoder in encoders.future_encoders:
        encoder.index_generator = _FutureStamps(input_chunk_length, output_chunk_length)


class _OwnStamps:
    """Time stamps of covariates under the names that they have in the target.

    Darts counts back from its end, and business hours from 9:00 to 17:00 of the day before.
    """

    def generate_inference_idx(
        self, n: int, target: TimeSeries, covariates: TimeSeries | None = None
    ) -> tuple[TimeIndex, object]:
        """Generate the stamps of a forecast's window."""
        index, end = super().generate_inference_idx(n, target, covariates)  # type: ignore[misc]
        if covariates is None and target.has_datetime_index:
            first = target.time_index[target.time_index >= index[0]][0]
            index = generate_index(first, length=len(index), freq=target.freq)
        return index, end


class _PastStamps(_OwnStamps, PastCovariatesIndexGenerator):
    pass


class _FutureStamps(_OwnStamps, FutureCovariatesIndexGenerator):
    pass


def _names(series: TimeSeries) -> tuple[str, ...]:
    return informative_features(series.freq) if series.has_datetime_index else ()


CALENDAR_CLASSES = [_PastStamps, _FutureStamps]  # in the files of a model
