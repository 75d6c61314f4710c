"""Private: what a network is given of series: their columns, calendar features, and windows.

The columns of a forecast are told apart by name, as they were in training. Calendar features are
encoders of Darts that the user never sees. The last windows of each series validate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from darts import TimeSeries
from darts.dataprocessing.encoders import SequentialEncoder
from darts.dataprocessing.encoders.encoder_base import (
    FutureCovariatesIndexGenerator,
    PastCovariatesIndexGenerator,
)
from darts.typing import TimeIndex, TimeSeriesLike
from darts.utils.data import (
    SequentialTorchTrainingDataset,
    ShiftedTorchTrainingDataset,
    TorchTrainingDataset,
)
from darts.utils.data.torch_datasets.utils import TorchTrainingSample
from darts.utils.utils import generate_index

from .time_features import TimeFeatures, informative_features

INPUTS = ("series", "past_covariates", "future_covariates")
# Share of the windows of a series that validate, and of those that have to be left to train on.
SHARE = 0.125
LEAST_TO_TRAIN = 0.5
# By argument, and for static covariates under their own name: `None` where the series of a list
# have names of their own, and columns can only be told apart by their position.
Columns = Mapping[str, tuple[str, ...] | None]
STATIC = "static_covariates"
# For each series of a call, the places that its columns have in training; `None` if the same.
Orders = list[list[int] | None]


def put_training_in_order(given: dict[str, Any], known: Columns, *, static: bool) -> Columns:
    """Put what a training and its validation are given in one order of columns, and return it.

    Parameters
    ----------
    given : dict
        Arguments of the call by name; the series among them are replaced.
    known : Columns
        Those of an earlier training, whose order stays where the names are the same.
    static : bool
        Whether static covariates are used.
    """
    columns = dict(columns_of(given))
    for name, names in columns.items():
        earlier = known.get(name)
        if names and earlier and sorted(names) == sorted(earlier):
            columns[name] = earlier
    put_in_order(given, columns, static=static)
    put_in_order(given, columns, static=static, prefix="val_")
    return columns


def put_in_order(
    given: dict[str, Any], columns: Columns, *, static: bool, prefix: str = ""
) -> None:
    """Put the series of a call in the order of training; sample weights follow their series."""
    target, weight = given.get(f"{prefix}series"), given.get(f"{prefix}sample_weight")
    if target is not None and weight is not None and not isinstance(weight, str):
        orders = order_of(target, columns.get("series"))
        weights = [_inverted(*each) for each in zip(as_list(weight), orders, strict=False)]
        given[f"{prefix}sample_weight"] = weights if isinstance(weight, Sequence) else weights[0]
    for name in INPUTS:
        argument = f"{prefix}{name}"
        if given.get(argument) is not None:
            given[argument] = in_order(argument, given[argument], columns.get(name))
    if static and target is not None:
        argument = f"{prefix}series"
        given[argument] = in_order(argument, given[argument], columns.get(STATIC), static=True)


def check_columns(name: str, dataset: object, columns: Columns) -> None:
    """Raise if the series of a data set, where it shows them, have columns in another order."""
    for each in INPUTS:
        expected = columns.get(each) or ()
        for one in as_list(getattr(dataset, each, None)) if expected else ():
            found = tuple(map(str, one.columns))[: len(expected)]  # encodings come last
            if found != expected and not (each == "series" and len(expected) == 1):
                raise ValueError(
                    f"the {each} of `{name}` must have the columns of the training in their order, "
                    f"{_shown(expected)}; got {_shown(found)}. Take `series[[name, ...]]`."
                )


def columns_of(given: Mapping[str, Any]) -> Columns:
    """Names of the columns of target and covariates, and of the target's static covariates."""
    columns = {}
    for name in INPUTS:
        every = [tuple(map(str, one.columns)) for one in as_list(given.get(name))]
        if every:
            columns[name] = _common(every)
    tables = [one.static_covariates for one in as_list(given.get("series"))]
    static = [tuple(map(str, table.columns)) for table in tables if table is not None]
    if static:
        columns[STATIC] = _common(static)
    return columns


def in_order(
    name: str, given: TimeSeriesLike, columns: tuple[str, ...] | None, *, static: bool = False
) -> TimeSeriesLike:
    """Put the components, or static covariates, of series in the order of training.

    Parameters
    ----------
    name : str
        The argument, for the message.
    given : darts.TimeSeries or sequence of them
        What the user passed.
    columns : tuple of str or None
        Names in the order of training; ``None`` to keep any order.
    static : bool
        Whether they are those of the static covariates.

    Raises
    ------
    ValueError
        If the names are others. A target of one component may have any name: a network that was
        trained on one series forecasts others.
    """
    if columns is None:
        return given
    ordered = []
    for position, one in enumerate(as_list(given)):
        table = one.static_covariates if static else one
        found = columns if table is None else tuple(map(str, table.columns))
        free = not static and name.endswith("series") and len(found) == len(columns) == 1
        if sorted(found) != sorted(columns) and not free:
            what = "static covariates" if static else "components"
            raise ValueError(
                f"{label(name, given, position)} must have the {what} of the training, "
                f"{_shown(columns)}; got {_shown(found)}. Give those, or rename them."
            )
        if found != columns and not free:
            turned = table[list(columns)]
            one = one.with_static_covariates(turned) if static else turned
        ordered.append(one)
    return ordered if isinstance(given, Sequence) else ordered[0]


def order_of(given: TimeSeriesLike, columns: tuple[str, ...] | None) -> Orders:
    """For each series the positions in ``columns`` of its own columns; ``None`` if in order."""
    orders: Orders = []
    for one in as_list(given):
        found = tuple(map(str, one.columns))
        differs = columns is not None and found != columns and sorted(found) == sorted(columns)
        orders.append([columns.index(name) for name in found] if columns and differs else None)
    return orders


def in_given_order(result: Any, target: Any, orders: Orders | None) -> Any:
    """Give the forecasts of each target series in the order of its own columns."""
    if orders is None or not any(orders):
        return result
    if isinstance(target, TimeSeries):
        return _reordered(result, orders[0])
    return [_reordered(one, order) for one, order in zip(result, orders, strict=True)]


def _reordered(forecast: Any, order: list[int] | None) -> Any:
    """Take components in ``order``; each stands for as many columns as it has parameters."""
    if order is None:
        return forecast
    if not isinstance(forecast, TimeSeries):
        return [_reordered(one, order) for one in forecast]
    count = forecast.n_components // len(order)
    names = [str(forecast.columns[i * count + j]) for i in order for j in range(count)]
    return forecast[names]


def _inverted(weight: TimeSeries, order: list[int] | None) -> TimeSeries:
    """Weights in the order that their series, whose columns have ``order``, is put in."""
    if order is None or weight.n_components != len(order):
        return weight
    return weight[[str(weight.columns[order.index(i)]) for i in range(len(order))]]


def _common(every: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The names that all have, in the order of the first."""
    return every[0] if all(sorted(one) == sorted(every[0]) for one in every) else None


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


def check_one_path(name: str, given: TimeSeriesLike | None) -> None:
    """Raise if covariates of several sample paths would join calendar features, which are one."""
    for position, one in enumerate(as_list(given)):
        if one.is_stochastic:
            raise ValueError(
                f"{label(name, given, position)} must be one path beside calendar features; "
                f"got {one.n_samples} samples. Give its `mean()` or a quantile, or choose "
                "`time_features=False`."
            )


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
    gap = -(-windows.output_chunk_length // windows.stride) - 1
    training, validation = [], []
    for number, series in enumerate(windows.series):
        first = number * windows.max_samples_per_ts
        available = -(-(len(series) - windows.size_of_both_chunks + 1) // windows.stride)
        # Window 0 is the last. Darts repeats those of a shorter series.
        back = np.arange(windows.max_samples_per_ts) % available
        held = round(SHARE * min(available, windows.max_samples_per_ts))
        validation.append(first + np.flatnonzero(back < held))
        training.append(first + np.flatnonzero(back >= held + gap * (held > 0)))
    left, last = np.concatenate(training), np.concatenate(validation)
    if not len(last) or len(left) < LEAST_TO_TRAIN * len(windows):
        return {}
    return {
        "train_dataset": SomeWindows(windows, left),
        "val_dataset": SomeWindows(windows, last),
    }
