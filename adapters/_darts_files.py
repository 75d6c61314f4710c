"""Private: a Darts model whose files are written whole, and opened only if they are intact."""

from __future__ import annotations

import copy
import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytorch_lightning as pl
import torch
from darts.models.forecasting.torch_forecasting_model import (
    CHECKPOINTS_FOLDER,
    DEFAULT_DARTS_FOLDER,
    INIT_MODEL_NAME,
    MixedCovariatesTorchModel,
    TorchForecastingModel,
)

from informer_forecaster._checks import Arguments, arguments_of
from informer_forecaster._files.archives import check_archive, check_pair, written_pair
from informer_forecaster._files.directory import write_directory

from ._darts_private import default_path, newest_checkpoint
from .pretrained import describe, load_model

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
        map of `lookback_skip`, and those of past covariates and other components, keep what they
        know of each distance from the first forecast step, and are zero where they know nothing.

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

    # Exchange: files that hold data only, and are read without unpickling

    def to_onnx(self, path: str | None = None, **kwargs: Any) -> None:
        """Export in single precision, as no runtime has a convolution in another one."""
        module = self.model
        if module is None or module.dtype == torch.float32:
            super().to_onnx(path, **kwargs)
            return
        dtype, weights = module.dtype, copy.deepcopy(module.state_dict())
        try:
            module.float()
            super().to_onnx(path, **kwargs)
        finally:
            module.to(dtype).load_state_dict(weights)

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write the network as data: config.json and model.safetensors, nothing pickled.

        What a forecast depends on goes to the files: the weights, the arguments of the network and
        the names of the calendar features. Series, and what only a training needs (loss, optimizer,
        schedule), stay behind: give the loaded model a `series`. A pretrained model that is there
        is replaced once the new one is on the disk.

        Parameters
        ----------
        directory : str or os.PathLike
            A directory; other files in it are left alone.

        Raises
        ------
        ValueError
            If the model is not fitted, has `add_encoders` of yours, or an argument is no data (a
            likelihood of one's own), or if `directory` has a file of one of the two names that this
            package did not write.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from darts.utils.timeseries_generation import sine_timeseries
        >>> from informer_forecaster import InformerModel
        >>> series = sine_timeseries(length=60, freq="h")
        >>> model = InformerModel(24, 12, d_model=8, n_epochs=1)
        >>> model = model.fit(series, verbose=False)
        >>> with TemporaryDirectory() as directory:
        ...     model.save_pretrained(directory)
        ...     loaded = InformerModel.from_pretrained(directory)
        >>> loaded.predict(12, series, verbose=False) == model.predict(12, series, verbose=False)
        True
        """
        write_directory(directory, describe(self), self.model.state_dict())

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str], **kwargs: Any) -> Self:
        """Make the model that :meth:`save_pretrained` wrote, without unpickling anything.

        A directory from a stranger can at worst hold a bad forecaster.

        Parameters
        ----------
        directory : str or os.PathLike
            Where the files are.
        **kwargs
            Arguments of the constructor that the weights do not depend on: how it runs
            (`pl_trainer_kwargs`, `work_dir`, ...) and how it is trained further (`n_epochs`,
            `optimizer_kwargs`, `loss_fn`, ...).

        Raises
        ------
        ValueError
            If a file is missing, damaged or of an unknown version, the weights do not fit the
            configuration, or an argument belongs to the trained model.

        Examples
        --------
        See :meth:`save_pretrained`.
        """
        model: Self = load_model(cls, directory, kwargs)
        return model


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
