"""Private: what a network is given of series: their columns, calendar features, and windows.

The columns of a forecast have the names and the order of the training. Calendar features are
encoders of Darts that the user never sees. The last windows of each series validate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from darts import TimeSeries
from darts.dataprocessing.encoders import SequentialEncoder
from darts.typing import TimeSeriesLike
from darts.utils.data import (
    SequentialTorchTrainingDataset,
    ShiftedTorchTrainingDataset,
    TorchTrainingDataset,
)
from darts.utils.data.torch_datasets.utils import TorchTrainingSample

from informer_forecaster.time_features import TimeFeatures, informative_features

INPUTS = ("series", "past_covariates", "future_covariates")
# Share of the windows of a series that validate, and of those that have to be left to train on.
SHARE = 0.125
LEAST_TO_TRAIN = 0.5
# By argument, and for static covariates under their own name: `None` where the series of a list
# have names of their own, and columns can only be told apart by their position.
Columns = Mapping[str, tuple[str, ...] | None]
STATIC = "static_covariates"


def columns_of(given: Mapping[str, Any], known: Columns) -> Columns:
    """Names of the columns of target and covariates, and of the target's static covariates.

    Those of an earlier training, ``known``, keep their order where the names are the same.
    """
    columns: dict[str, tuple[str, ...] | None] = {}
    for name in INPUTS:
        every = [tuple(map(str, one.columns)) for one in as_list(given.get(name))]
        if every:
            columns[name] = _common(every, known.get(name))
    tables = [one.static_covariates for one in as_list(given.get("series"))]
    static = [tuple(map(str, table.columns)) for table in tables if table is not None]
    if static:
        columns[STATIC] = _common(static[:1], known.get(STATIC))
    return columns


def _common(
    every: Sequence[tuple[str, ...]], known: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """The names that all have, in the order that is known, or of the first."""
    names = sorted(every[0])
    if any(sorted(one) != names for one in every):
        return None
    return known if known and sorted(known) == names else every[0]


def check_columns(
    given: Mapping[str, Any],
    columns: Columns,
    *,
    static: bool,
    prefix: str = "",
    encoded: bool = False,
) -> None:
    """Raise unless series have the columns of the training, in their order.

    Darts reads them by position. A target of one component may have any name: a network that was
    trained on one series forecasts others.

    Parameters
    ----------
    given : mapping
        Series by argument.
    columns : Columns
        Those of the training.
    static : bool
        Whether static covariates are used.
    prefix : str
        What the arguments' names begin with.
    encoded : bool
        Whether covariates of encoders may follow.
    """
    for name, expected in columns.items():
        is_static = name == STATIC
        if expected is None or (is_static and not static):
            continue
        argument = f"{prefix}{'series' if is_static else name}"
        for position, one in enumerate(as_list(given.get(argument))):
            table = one.static_covariates if is_static else one
            found = () if table is None else tuple(map(str, table.columns))
            found = found[: len(expected)] if encoded else found
            is_free = name == "series" and len(found) == len(expected) == 1
            if found != expected and not is_free:
                what = "static covariates" if is_static else "components"
                put = "`series.static_covariates[names]`" if is_static else f"`{argument}[names]`"
                raise ValueError(
                    f"{label(argument, given[argument], position)} must have the {what} of the "
                    f"training in their order, {_shown(expected)}; got {_shown(found)}. Put them "
                    f"in order by {put}, with a list of these names, or rename them."
                )


def _shown(columns: Sequence[str], most: int = 8) -> str:
    """Show the names, the first of them where there are many."""
    rest = f", ... ({len(columns)} in all)" if len(columns) > most else ""
    return f"({', '.join(map(repr, columns[:most]))}{rest})"


def as_list(series: TimeSeriesLike | None) -> list[TimeSeries]:
    """Make a list of one series, of a sequence of them, or of None."""
    if series is None:
        return []
    return list(series) if isinstance(series, Sequence) else [series]


def label(name: str, given: TimeSeriesLike | None, position: int) -> str:
    """Name an argument, and the position in it where it holds several series."""
    return f"`{name}[{position}]`" if len(as_list(given)) > 1 else f"`{name}`"


# The calendar


def suitable_features(
    series: Sequence[TimeSeries], wish: bool | Literal["all"]
) -> TimeFeatures | None:
    """Choose the features that suit the first series, or none for an integer index."""
    names = _names(series[0]) if wish else ()
    if names and wish is True:
        spans = [
            one.end_time() + one.freq - one.start_time() for one in series if one.has_datetime_index
        ]
        names = informative_features(series[0].freq, max(spans))
    return TimeFeatures(names) if names else None


def check_calendar(name: str, given: TimeSeriesLike | None, features: TimeFeatures | None) -> None:
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


def add_calendar(
    given: dict[str, Any] | None, features: TimeFeatures, lengths: tuple[int, int]
) -> SequentialEncoder:
    """Make the user's encoders, and calendar features as a further one."""
    every = given or {}
    custom = every.get("custom") or {}
    return SequentialEncoder(
        {**every, "custom": {**custom, "future": [*custom.get("future", ()), features]}},
        *lengths,
        takes_past_covariates=True,
        takes_future_covariates=True,
    )


def fit_lengths(encoders: SequentialEncoder, lengths: tuple[int, int]) -> None:
    """Let encoders of a saved model encode windows of these lengths."""
    for encoder in [*encoders.past_encoders, *encoders.future_encoders]:
        encoder.index_generator = type(encoder.index_generator)(*lengths)


def _names(series: TimeSeries) -> tuple[str, ...]:
    # Darts counts back from the end of a series, and business hours by other names: 9:00 is 17:00
    # of the day before.
    if not series.has_datetime_index or isinstance(series.freq, pd.offsets.BusinessHour):
        return ()
    return informative_features(series.freq)


# Windows that validate where no series was given for it


class SomeWindows(TorchTrainingDataset):
    """Some windows of a data set; the start is fitted to the ``whole`` all the same.

    Parameters
    ----------
    whole : TorchTrainingDataset
        All windows.
    indices : ndarray of int
        Those of this part.
    """

    def __init__(self, whole: TorchTrainingDataset, indices: npt.NDArray[np.int64]) -> None:
        super().__init__()
        self.whole, self.indices = whole, indices

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.indices)

    def __getitem__(self, index: int) -> TorchTrainingSample:
        """Read a window."""
        return self.whole[int(self.indices[index])]


def hold_back(
    windows: object, loading: Mapping[str, object] | None = None
) -> dict[str, TorchTrainingDataset]:
    """Split off the last windows of each series, which validate: arguments of a training.

    A window without weight would validate nothing: those that have weight are split.
    Windows whose horizon overlaps one of them belong to neither part. There is nothing to split
    where too few windows would be left to train on, where it is not known where a series ends, and
    where a sampler that is among the arguments of ``loading`` numbers all of them.
    """
    # Not a subclass: it may number its windows in another way.
    if type(windows) not in (SequentialTorchTrainingDataset, ShiftedTorchTrainingDataset):
        return {}
    assert isinstance(windows, ShiftedTorchTrainingDataset)
    if {"sampler", "batch_sampler"} & set(loading or ()):
        return {}
    weighs = _have_weight(windows)
    gap = -(-windows.output_chunk_length // windows.stride) - 1
    training, validation = [], []
    for number, series in enumerate(windows.series):
        first = number * windows.max_samples_per_ts
        available = -(-(len(series) - windows.size_of_both_chunks + 1) // windows.stride)
        # Window 0 is the last. Darts repeats those of a shorter series.
        back = np.arange(windows.max_samples_per_ts) % available
        has_weight = weighs[first : first + windows.max_samples_per_ts]
        latest = np.flatnonzero(has_weight[:available])
        held = round(SHARE * len(latest))
        before = latest[held - 1] + 1 if held else 0
        validation.append(first + np.flatnonzero(has_weight & (back < before)))
        training.append(first + np.flatnonzero(back >= before + gap * (held > 0)))
    left, last = np.concatenate(training), np.concatenate(validation)
    if not len(last) or weighs[left].sum() < LEAST_TO_TRAIN * weighs.sum():
        return {}
    return {
        "train_dataset": SomeWindows(windows, left),
        "val_dataset": SomeWindows(windows, last),
    }


def _have_weight(windows: ShiftedTorchTrainingDataset) -> npt.NDArray[np.bool_]:
    """Whether a step of its horizon has weight, for each window."""
    if windows.sample_weight is None:
        return np.ones(len(windows), dtype=bool)
    samples = (windows[index] for index in range(len(windows)))
    return np.array([one.sample_weight is None or one.sample_weight.any() for one in samples])
