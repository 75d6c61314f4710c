"""Private: a forecaster whose files are written whole; and its network as data, unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self
from zipfile import ZipFile

import numpy as np
import pandas as pd

from informer_forecaster._files.archives import FilePath, check_archive, flush
from informer_forecaster._files.directory import (
    JSON,
    Tensors,
    plain,
    read_directory,
    reported,
    write_directory,
)

from ._sktime_columns import Columns
from ._sktime_frames import Instance, Key
from ._sktime_parameters import AFTER_TRAINING, OF_THE_MACHINE, complete_quantiles, given_rate
from ._sktime_private import GuardedForecaster

if TYPE_CHECKING:
    from ._sktime_network import Scales, SharedNetwork


class SavedForecaster(GuardedForecaster):
    """A forecaster that saves all or nothing, and loads no damaged file."""

    _context: dict[Key, Instance]

    def save(self, path: str | Path | None = None, serialization_format: str = "pickle") -> Any:
        """Save to memory, or all or nothing to ``path`` + ``.zip``; parameters as in sktime."""
        if not isinstance(path, str | Path):
            return super().save(path, serialization_format)
        archive = Path(f"{path}.zip")
        with TemporaryDirectory(dir=archive.parent, prefix=".", suffix=".new") as folder:
            super().save(Path(folder, "forecaster"), serialization_format).close()
            flush(Path(folder, "forecaster.zip"))
            Path(folder, "forecaster.zip").replace(archive)
        return ZipFile(archive)

    @classmethod
    def load_from_path(cls, serial: str | Path) -> Self:
        """Load an archive that :meth:`save` wrote, whose ``.zip`` is part of its name.

        Raises
        ------
        ValueError
            If the archive is damaged.
        """
        check_archive(serial)
        loaded: Self = super().load_from_path(serial)
        return loaded

    # Exchange: files that hold data only, and are read without unpickling

    def save_pretrained(self, directory: FilePath) -> None:
        """Write the network as data: config.json and model.safetensors, nothing pickled.

        The parameters, the weights, the columns and the scales go to the files; the series do not.
        A pretrained model that is there is replaced once the new one is on the disk.

        Parameters
        ----------
        directory : str or os.PathLike
            A directory; other files in it are left alone.

        Raises
        ------
        ValueError
            If there is no trained network, a column or a series has a label that is no string or
            number, or `directory` has a file of one of the two names that this package did not
            write.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from sktime.datasets import load_airline
        >>> from informer_forecaster import InformerForecaster
        >>> y = load_airline()
        >>> forecaster = InformerForecaster(24, n_epochs=1, d_model=16, random_state=0)
        >>> y_pred = forecaster.fit(y, fh=range(1, 13)).predict()
        >>> with TemporaryDirectory() as directory:
        ...     forecaster.save_pretrained(directory)
        ...     loaded = InformerForecaster.from_pretrained(directory)
        >>> loaded.fit(y, fh=range(1, 13)).predict().equals(y_pred)
        True
        """
        network = getattr(self, "model_", None) or getattr(self, "pretrained_model_", None)
        if network is None:
            raise ValueError(
                "`save_pretrained` needs a trained network: call `fit` or `pretrain` first."
            )
        scales = network.scales
        if self.is_fitted:
            scales = {key: (one.center, one.scale) for key, one in self._context.items()}
        config = _describe(network, scales)
        parameters = self.get_params(deep=False)
        config["class"] = type(self).__name__
        config["parameters"] = {
            name: plain(name, value)
            for name, value in parameters.items()
            if name not in OF_THE_MACHINE
        }
        write_directory(directory, config, network.model.model.state_dict())

    @classmethod
    def from_pretrained(cls, directory: FilePath, **kwargs: Any) -> Self:
        """Make a forecaster with the network of :meth:`save_pretrained`, unpickling nothing.

        It is in the state after `pretrain`: `fit` takes the network for the series that it is
        given, without training, or fine-tunes it with ``fit_after_pretrain="finetune"``. Series
        under the labels and columns of those that were fitted keep their scale, so that the same
        rows give the same forecast; others are scaled by their own rows. A directory from a
        stranger can at worst hold a bad forecaster.

        Parameters
        ----------
        directory : str or os.PathLike
            Where the files are.
        **kwargs
            Parameters of the constructor that the network does not depend on:
            `fit_after_pretrain`, `update_epochs`, `verbose`, `pl_trainer_kwargs`, `random_state`.

        Returns
        -------
        InformerForecaster
            Pretrained, not fitted.

        Raises
        ------
        ValueError
            If a file is missing, damaged or of an unknown version, the weights do not fit the
            configuration, or an argument belongs to the network.

        Examples
        --------
        See :meth:`save_pretrained`.
        """
        changeable = AFTER_TRAINING | OF_THE_MACHINE
        for name in kwargs.keys() - changeable:
            raise ValueError(
                f"`{name}` is fixed in a trained network; what can change is "
                f"{', '.join(sorted(changeable))}."
            )
        config, tensors = read_directory(directory, cls.__name__)
        with reported(directory):
            saved = {k: v for k, v in config["parameters"].items() if k not in OF_THE_MACHINE}
            saved = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
            forecaster = cls(**{**saved, **kwargs})
            training: dict[str, Any] = {"optimizer_kwargs": given_rate(forecaster.lr)}
            training["random_state"] = forecaster.random_state
            network = _restore(config, tensors, training)
            ours = forecaster.input_chunk_length, complete_quantiles(forecaster.quantiles)
            if ours != (network.input_chunk_length, network.quantiles):
                raise ValueError("the parameters must be those of the network; they are others.")
        forecaster.take_pretrained(network)
        return forecaster


# A network as data


def _describe(network: SharedNetwork, scales: Scales) -> dict[str, JSON]:
    """Write down a network, its columns and the scales of series."""
    # Here, as Darts and Lightning are slow to import.
    from .pretrained import describe

    columns = network.columns
    names = {"y": columns.y, "X past": columns.past, "X future": columns.future}
    every = {f"columns of {name}": labels for name, labels in names.items()}
    every["labels of series"] = [one for key in scales for one in key]
    for name, labels in every.items():
        if bad := [one for one in labels if not isinstance(plain(name, one), str | int | float)]:
            raise ValueError(
                f"`{name}` cannot be saved as data; got {bad[0]!r}. Rename it to a string or a "
                "number, or keep the whole forecaster with `save`."
            )
    exogenous = [one.reindex(columns.exogenous) for one in (columns.center, columns.scale)]
    described = {
        "columns": names,
        "calendar": columns.calendar,
        "step": None if columns.step is None else columns.step.isoformat(),
        "exogenous": [one.to_numpy() for one in exogenous],
        "series": [[key, *scale] for key, scale in scales.items()],
        "epochs_trained": network.epochs_trained,
        "network": describe(network.model),
    }
    return {name: plain(name, one) for name, one in described.items()}


def _restore(
    described: Mapping[str, Any], weights: Tensors, changes: dict[str, Any]
) -> SharedNetwork:
    """Make the network that was written down, with ``changes`` to how it is trained."""
    from ._sktime_network import SharedNetwork
    from .darts import InformerModel
    from .pretrained import restore

    y, past, future = described["columns"].values()
    exogenous = np.array(described["exogenous"], dtype=np.float64)
    scales = {tuple(key): np.array(both, dtype=np.float64) for key, *both in described["series"]}
    for scale, count in [
        (exogenous, len(past) + len(future)),
        *((s, len(y)) for s in scales.values()),
    ]:
        if scale.shape != (2, count) or not np.isfinite(scale).all() or not (scale[1] > 0).all():
            raise ValueError("the scales must be finite, positive, and fit the columns and series.")
    columns = Columns(
        y=y,
        past=past,
        future=future,
        calendar=tuple(described["calendar"]),
        center=pd.Series(exogenous[0], index=[*past, *future]),
        scale=pd.Series(exogenous[1], index=[*past, *future]),
        step=None if described["step"] is None else pd.Timedelta(described["step"]),
    )
    model = restore(InformerModel, described["network"], weights, changes)
    quantiles = None if model.likelihood is None else tuple(model.likelihood.quantiles)
    network = SharedNetwork(columns, quantiles, model)
    network.epochs_trained, network.scales = int(described["epochs_trained"]), scales
    return network
