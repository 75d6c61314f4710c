"""Private: windows at the end of each series that validate where no series was given for it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from darts.utils.data import (
    SequentialTorchTrainingDataset,
    ShiftedTorchTrainingDataset,
    TorchTrainingDataset,
)
from darts.utils.data.torch_datasets.utils import TorchTrainingSample

# Share of the windows of a series that validate, and of those that have to be left to train on.
SHARE = 0.125
LEAST_TO_TRAIN = 0.5

Indices = npt.NDArray[np.int64]


class SomeWindows(TorchTrainingDataset):
    """Some windows of a data set; the start is fitted to the ``whole`` all the same.

    Parameters
    ----------
    whole : TorchTrainingDataset
        All windows.
    indices : ndarray of int
        Those of this part.
    """

    def __init__(self, whole: TorchTrainingDataset, indices: Indices) -> None:
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
