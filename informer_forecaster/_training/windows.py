"""The windows that a training begins with, gone through once in their order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from informer_forecaster._network.inputs import Inputs

FOLDS = 5
# The arguments that the fields of `Inputs` come from.
ARGUMENTS = ("series", "past_covariates", "future_covariates", "static_covariates")
# Numbers of the target in a batch, whatever the training's, and windows where these are long: a
# small batch takes as long as a larger one, sums need no more, and covariates take memory.
NUMBERS_AT_ONCE, FEWEST_AT_ONCE = 2**13, 32


class Windows(NamedTuple):
    """A batch of training windows: inputs, the target that follows ``(B, H, C)``, and its weights.

    Weights are ``(B, H, C)``, or ``None`` where all count the same. ``fold`` is a stretch of the
    data set, and holds whole series where there are enough of them.
    """

    fold: int
    inputs: Inputs
    future: Tensor
    weight: Tensor | None = None

    def check(self) -> None:
        """Raise unless all values are finite, and no weight is negative.

        Series are checked before. A data set of one's own shows its values here first.
        """
        given = [*zip(ARGUMENTS, self.inputs, strict=False), ("series", self.future)]
        for name, values in given:
            if values is not None and not bool(values.isfinite().all()):
                raise ValueError(
                    f"the windows of the training must hold finite values; `{name}` has "
                    f"{float(values[~values.isfinite()][0])}. Fill gaps first, for example with "
                    "`darts.utils.missing_values.fill_missing_values`."
                )
        weight = self.weight
        if weight is not None and not bool((weight.isfinite() & (weight >= 0)).all()):
            bad = weight[~(weight.isfinite() & (weight >= 0))]
            raise ValueError(
                "`sample_weight` must hold finite weights of at least 0; a window of the training "
                f"has {float(bad[0])}. Give 0 to steps that are not to count."
            )

    def every(self, step: int) -> Windows:
        """Keep one of so many windows."""
        inputs = Inputs(*(None if each is None else each[::step] for each in self.inputs))  # type: ignore[arg-type]
        weight = None if self.weight is None else self.weight[::step]
        return Windows(self.fold, inputs, self.future[::step], weight)


class Sample(list[Windows]):
    """Windows in memory, in the order of the data set.

    Parameters
    ----------
    batches : list of Windows
        What is held.
    folds_are_apart : bool
        As for :class:`TrainingWindows`.
    stride : int
        As for :class:`TrainingWindows`.
    """

    def __init__(self, batches: list[Windows], folds_are_apart: bool, stride: int) -> None:
        super().__init__(batches)
        self.folds_are_apart, self.stride = folds_are_apart, stride

    @property
    def first(self) -> Windows:
        """A batch, for its sizes."""
        return self[0]

    def thinned(self, most: int) -> Sample:
        """Keep about as many of the windows as ``most``, evenly spaced."""
        every = max(1, sum(len(batch.future) for batch in self) // most)
        thinned = [batch.every(every) for batch in self]
        return Sample(thinned, self.folds_are_apart, self.stride * every)


class TrainingWindows:
    """All windows of one epoch in the order of the data set, as often as they are gone through.

    Parameters
    ----------
    trainer : pytorch_lightning.Trainer
        Of a training that is about to begin.
    read : callable
        Makes :class:`Windows` from a fold and a batch on the device of the weights.
    whole : bool
        Whether windows that are held back to validate are among them.
    """

    def __init__(
        self,
        trainer: Trainer,
        read: Callable[[int, Any], Windows],
        *,
        whole: bool = True,
    ) -> None:
        self._trainer, self._read = trainer, read
        # Making the loaders and drawing the windows must not change what training draws.
        with torch.random.fork_rng(devices=[]):
            trainer.fit_loop.setup_data()
            loader: Any = trainer.train_dataloader
            batches = list(islice(loader.batch_sampler, int(trainer.num_training_batches)))
        self._loader, self._dataset = loader, loader.dataset
        self._indices = sorted(chain.from_iterable(batches))
        self._number_in_whole(trainer, whole)
        self._batch_size = FEWEST_AT_ONCE
        if self._indices:
            first = self.first
            numbers = first.inputs.target.numel() + first.future.numel()
            self._batch_size = max(FEWEST_AT_ONCE, NUMBERS_AT_ONCE // numbers)

    def _number_in_whole(self, trainer: Trainer, takes_all: bool) -> None:
        """Number the windows of a part of a data set by the whole, or take all of these."""
        part, whole = self._dataset, whole_of(self._dataset)
        if whole is None:
            return
        chosen = {int(part.indices[index]) for index in self._indices}
        if trainer.limit_train_batches == 1.0 and takes_all:
            others = sorted(set(range(len(whole))) - set(map(int, part.indices)))
            chosen.update(others[trainer.global_rank :: trainer.world_size])
        self._dataset, self._indices = whole, sorted(chosen)

    def sample(self, most: int) -> Sample:
        """Keep evenly spaced windows, about as many as ``most``, in memory."""
        chosen = copy.copy(self)
        every = _spacing(self._indices, most)
        chosen._indices = self._indices[every // 2 :: every]
        return Sample(list(chosen), self.folds_are_apart, self.stride * every)

    @property
    def first(self) -> Windows:
        """A window, for its sizes."""
        return self.sample(1)[0]

    @property
    def num_series(self) -> int:
        """Series that windows are cut from."""
        return series_in(self._dataset)

    @property
    def stride(self) -> int:
        """Steps from one window to the next."""
        return stride_of(self._dataset)

    @property
    def folds_are_apart(self) -> bool:
        """Whether no two folds have windows of one series."""
        return self.num_series >= FOLDS

    def __iter__(self) -> Iterator[Windows]:
        dataset, loader = self._dataset, self._loader
        size = len(dataset) // self.num_series if self.folds_are_apart else 1
        parts = len(dataset) // size
        batches: list[tuple[int, list[int]]] = []
        for fold, items in groupby(self._indices, lambda index: index // size * FOLDS // parts):
            indices = list(items)
            cuts = range(0, len(indices), self._batch_size)
            batches += [(fold, indices[cut : cut + self._batch_size]) for cut in cuts]
        # One loader for all folds: each starts workers of its own. A single batch needs none.
        with torch.random.fork_rng(devices=[]):
            read = iter(
                DataLoader(
                    dataset,
                    batch_sampler=[indices for _, indices in batches],
                    collate_fn=loader.collate_fn,
                    num_workers=loader.num_workers if len(batches) > 1 else 0,
                )
            )
        for (fold, _), batch in zip(batches, read, strict=True):
            windows = self._read(fold, self._trainer.strategy.batch_to_device(batch))
            windows.check()
            yield windows


def series_in(dataset: Any) -> int:
    """Series that the windows of a data set are cut from; one where it does not tell."""
    per_series = getattr(dataset, "max_samples_per_ts", None)
    return len(dataset) // per_series if per_series else 1


def stride_of(dataset: object) -> int:
    """Steps from one window of a data set to the next; one where it does not tell."""
    return int(getattr(dataset, "stride", 1))


def whole_of(dataset: object) -> Any:
    """The windows among which a data set has some, as where others validate; None for all."""
    return getattr(dataset, "whole", None)


def are_held_back(loader: object) -> bool:
    """Whether the windows of a loader are some of those that the user gave to train on."""
    return whole_of(getattr(loader, "dataset", None)) is not None


def _spacing(indices: list[int], most: int) -> int:
    """Entries from one that is kept to the next, to keep about as many as ``most``."""
    return max(1, len(indices) // max(1, most))
