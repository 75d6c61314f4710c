"""Private: a Darts model whose files are written whole, and opened only if they are intact."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from darts.models.forecasting.torch_forecasting_model import (
    CHECKPOINTS_FOLDER,
    DEFAULT_DARTS_FOLDER,
    INIT_MODEL_NAME,
    MixedCovariatesTorchModel,
    TorchForecastingModel,
)

from informer_forecaster._checks import Arguments, arguments_of
from informer_forecaster._files.archives import check_archive, check_pair, written_pair

from ._darts_private import default_path, newest_checkpoint

# Torch keeps for all threads which classes a file may hold: one load would refuse those of another.
_loading = threading.RLock()


class SavedWholeModel(MixedCovariatesTorchModel):
    """A Darts model that saves all or nothing, and loads no damaged file."""

    trainer: Any  # Darts leaves it without a type

    def save(self, path: str | None = None, clean: bool = False) -> None:
        """Save the model; parameters as in Darts.

        Both files are written beside the old ones first: after an interrupted save the old model or
        the new one is there.
        """
        path = path or f"{default_path(self)}.pt"
        with written_pair(path, f"{path}.ckpt") as new:
            self._write(str(new), clean)

    def _write(self, path: str, clean: bool) -> None:
        """Let Darts write; it leaves out the weights of a model that was loaded and not used."""
        lends_trainer = self.model is not None and self.trainer is None
        if lends_trainer and not Path(self.load_ckpt_path or "").is_file():
            self.trainer = pl.Trainer(
                accelerator="cpu",
                max_epochs=0,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
            )
            self.trainer.strategy.connect(self.model)
        try:
            super().save(path, clean)
        finally:
            if lends_trainer:
                self.trainer = None

    @staticmethod
    def load(path: str, *args: Any, **kwargs: Any) -> TorchForecastingModel:
        """Load a model that :meth:`save` wrote; parameters as in Darts.

        Raises
        ------
        ValueError
            If a file is damaged, or the two files are not of one save.
        """
        check_pair(path, f"{path}.ckpt")
        with _refusals_of(path):
            return TorchForecastingModel.load(path, *args, **kwargs)

    @staticmethod
    def load_from_checkpoint(model_name: str, *args: Any, **kwargs: Any) -> TorchForecastingModel:
        """Load a model from an automatically saved checkpoint; parameters as in Darts.

        A `fit` that follows goes on where the checkpoint was made, and with as many `epochs` in all
        ends with the weights of a training that was never interrupted.

        Raises
        ------
        ValueError
            If a file is damaged.
        """
        load = TorchForecastingModel.load_from_checkpoint
        given = arguments_of(load, model_name, *args, **kwargs)
        _check_checkpoint(given)
        with _refusals_of(model_name):
            return load(**given)

    def load_weights_from_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Load only the weights of a saved model or checkpoint; parameters as in Darts.

        The weights move to another input length, output length, start token or dropout. The linear
        map of `lookback_skip` keeps what it knows of each distance from the first forecast step,
        and is zero where it knows nothing.

        Raises
        ------
        ValueError
            If a file is damaged, or the weights do not fit.
        """
        given = arguments_of(super().load_weights_from_checkpoint, *args, **kwargs)
        given["model_name"] = given.get("model_name") or self.model_name
        file_name = given.get("file_name")
        if file_name is None or file_name.startswith(("last-", "best-")):
            _check_checkpoint(given)
        else:
            path = file_name.removesuffix(".ckpt")
            check_pair(path, f"{path}.ckpt")
        with _refusals_of(file_name or given["model_name"]):
            super().load_weights_from_checkpoint(**given)


def _check_checkpoint(given: Arguments) -> None:
    """Raise if the file of a run's model or of its checkpoint is damaged."""
    work_dir = given.get("work_dir") or str(Path.cwd() / DEFAULT_DARTS_FOLDER)
    model_name, best = given["model_name"], given.get("best", True)
    run = Path(work_dir, model_name)
    check_archive(run / INIT_MODEL_NAME)
    name = given.get("file_name") or newest_checkpoint(work_dir, model_name, best=best)
    check_archive(run / CHECKPOINTS_FOLDER / name)


@contextmanager
def _refusals_of(name: str) -> Iterator[None]:
    """Name the file that torch cannot read, or in which Darts found a strange class."""
    try:
        with _loading:
            yield
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{name!r} cannot be loaded: {error}") from error
