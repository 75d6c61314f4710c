"""Private: a Darts model whose files are written whole, and opened only if they are intact."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from darts.models.forecasting.torch_forecasting_model import (
    INIT_MODEL_NAME,
    MixedCovariatesTorchModel,
    TorchForecastingModel,
    _get_checkpoint_fname,
    _get_checkpoint_folder,
    _get_runs_folder,
)
from darts.utils.serialization import safe_globals
from darts.utils.serialization.base import UnpicklingError
from darts.utils.serialization.torch import _DartsCheckpointIO
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ._darts_module import _InformerModule
from ._one_at_a_time import alone
from ._sealed_files import beside, check_seal, read_seal, seal
from .time_features import TimeFeatures

# What the files of this package may hold besides the classes that Darts knows; the tables of static
# covariates are not among them in Darts 0.48.0.
SAFE_GLOBALS: list[Any] = [_InformerModule, TimeFeatures, pd.DataFrame, pd.Series]


class SealedFilesModel(MixedCovariatesTorchModel):
    """A Darts model that saves all or nothing, and loads nothing that has changed since."""

    trainer: Any  # Darts leaves it without a type

    def save(self, path: str | None = None, clean: bool = False) -> None:
        """Save the model; parameters as in Darts.

        Both files are written beside the old ones first, so that an interrupted save leaves a whole
        model: the old one or the new one.
        """
        path = path or f"{self._default_save_path()}.pt"
        new, new_weights, weights = beside(path), Path(f"{beside(path)}.ckpt"), Path(f"{path}.ckpt")
        for leftover in (new, new_weights):
            leftover.unlink(missing_ok=True)
        if self.model is not None and self.trainer is None and self.load_ckpt_path is None:
            # Darts would leave the weights of a loaded model out.
            self.trainer = self._init_trainer(self.trainer_params, max_epochs=0)
            self.trainer.strategy.connect(self.model)
        super().save(str(new), clean)
        if new_weights.exists():
            seal(new, "model", partner=_seal_weights(new_weights))
            new_weights.replace(weights)
        else:
            seal(new, "model")
            weights.unlink(missing_ok=True)
        new.replace(path)

    @staticmethod
    def load(
        path: str,
        pl_trainer_kwargs: dict[str, Any] | None = None,
        trusted: bool = False,
        **kwargs: Any,
    ) -> TorchForecastingModel:
        """Load a model that :meth:`save` wrote; parameters as in Darts.

        Raises
        ------
        ValueError
            If a file is damaged, is not of this package or holds strange classes, or if the two
            files are not of one model.
        """
        _check_pair(path, trusted)
        with _safe_loading(path):
            return TorchForecastingModel.load(path, pl_trainer_kwargs, trusted, **kwargs)

    @staticmethod
    def load_from_checkpoint(
        model_name: str,
        work_dir: str | None = None,
        file_name: str | None = None,
        best: bool = True,
        trusted: bool = False,
        **kwargs: Any,
    ) -> TorchForecastingModel:
        """Load a model from an automatically saved checkpoint; parameters as in Darts.

        A `fit` that follows goes on where the checkpoint was made, and with as many `epochs` in all
        ends with the weights of a training that was never interrupted.

        Raises
        ------
        ValueError
            If a file is damaged, is not of this package or holds strange classes.
        """
        folder = _work_dir(work_dir)
        path = os.path.join(_get_runs_folder(folder, model_name), INIT_MODEL_NAME)  # noqa: PTH118
        check_seal(path, "model", trusted=trusted)
        with _safe_loading(path):
            return TorchForecastingModel.load_from_checkpoint(
                model_name, work_dir, file_name, best, trusted, **kwargs
            )

    def load_weights_from_checkpoint(
        self,
        model_name: str | None = None,
        work_dir: str | None = None,
        file_name: str | None = None,
        best: bool = True,
        *args: Any,
        trusted: bool = False,
        **kwargs: Any,
    ) -> None:
        """Load only the weights of a saved model or checkpoint; parameters as in Darts.

        The weights move to another input length, output length, start token or dropout. The linear
        map of `lookback_skip` keeps what it knows of each distance from the first forecast step,
        and is zero where it knows nothing.

        Raises
        ------
        ValueError
            If a file is damaged, is not of this package or holds strange classes, or if the weights
            do not fit.
        """
        name, folder = model_name or self.model_name, _work_dir(work_dir)
        file_name = file_name or _get_checkpoint_fname(folder, name, best=best)
        if file_name.startswith(("last-", "best-")):
            check_seal(
                Path(_get_runs_folder(folder, name), INIT_MODEL_NAME), "model", trusted=trusted
            )
            weights = Path(_get_checkpoint_folder(folder, name), file_name)
            check_seal(weights, "weights", trusted=trusted)
        else:
            _check_pair(file_name.removesuffix(".ckpt"), trusted)
        with _safe_loading(file_name):
            super().load_weights_from_checkpoint(
                model_name, work_dir, file_name, best, *args, trusted=trusted, **kwargs
            )

    def _load_from_checkpoint(self, file_path: str, trusted: bool = False, **kwargs: Any) -> Any:
        # Every loader of Darts comes here, those of ensembles too.
        check_seal(file_path, "weights", trusted=trusted)
        return super()._load_from_checkpoint(file_path, trusted=trusted, **kwargs)

    @staticmethod
    def _init_trainer(trainer_params: dict[str, Any], max_epochs: int | None = None) -> Any:
        plugins = trainer_params.get("plugins") or []
        plugins = list(plugins) if isinstance(plugins, list | tuple) else [plugins]
        if not any(isinstance(plugin, TorchCheckpointIO) for plugin in plugins):
            plugins.append(_SealedCheckpointIO())
        return TorchForecastingModel._init_trainer(
            {**trainer_params, "plugins": plugins}, max_epochs
        )


class _SealedCheckpointIO(_DartsCheckpointIO):
    """What Lightning writes and reads its checkpoints with."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint beside ``path``, seal it and rename it."""
        new = beside(path)
        super().save_checkpoint(checkpoint, new, storage_options)
        _seal_weights(new)
        new.replace(path)

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> Any:
        """Read a checkpoint if it is intact."""
        check_seal(path, "weights")
        return super().load_checkpoint(path, *args, **kwargs)


def _seal_weights(path: Path) -> str:
    """Seal a checkpoint unless the trainer did, and return its digest."""
    sealed = read_seal(path)
    return seal(path, "weights") if sealed is None else sealed.digest


def _check_pair(path: str, trusted: bool) -> None:
    """Raise unless model and weights are intact and belong together; finish an interrupted save."""
    weights = f"{path}.ckpt"
    if not _belongs(path, weights) and _belongs(beside(path), weights):
        beside(path).replace(path)
    model = check_seal(path, "model", trusted=trusted)
    found = check_seal(weights, "weights", trusted=trusted)
    if model is not None and found is not None and model.partner != found.digest:
        raise ValueError(
            f"{weights!r} must hold the weights that were saved with {path!r}; got those of "
            "another save. Put the two files of one save side by side."
        )


def _belongs(model: str | Path, weights: str | Path) -> bool:
    """Whether both files are intact and of one save."""
    model_seal, weights_seal = read_seal(model), read_seal(weights)
    if model_seal is None or weights_seal is None or not model_seal.intact:
        return False
    return weights_seal.intact and model_seal.partner == weights_seal.digest


def _work_dir(given: str | None) -> str:
    """The folder of the runs, which is Darts' own where none is given."""
    return given or str(Path.cwd() / "darts_logs")


@contextmanager
def _safe_loading(path: str) -> Iterator[None]:
    """Let Darts load the classes of this package, and name the file if it holds strange ones."""
    try:
        with alone(), safe_globals(SAFE_GLOBALS):
            yield
    except (UnpicklingError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path!r} must hold only classes that are known to be safe: {error}"
        ) from error
