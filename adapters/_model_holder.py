"""Private: a Darts model that survives pickle and deepcopy, for :class:`InformerForecaster`.

Imported by the sktime adapter when a network is first needed, as Darts and Lightning are slow to
import. Arrays go in and arrays come out; the letters of their shapes are those of the network.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from darts import TimeSeries
from darts.utils.likelihood_models.torch import QuantileRegression
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from informer_forecaster._training.best_weights import KeepBestWeights

from ._one_at_a_time import one_at_a_time
from ._sktime_parameters import nearest
from .darts import InformerModel

if TYPE_CHECKING:
    from informer_forecaster.explain import Explanation

FloatArray = npt.NDArray[np.float32]

_FORMAT = 1
_LOGGERS = ("darts", "pytorch_lightning", "lightning.pytorch", "lightning.fabric")
_CHATTY = r"pytorch_lightning|lightning_fabric|torch\.utils\.data"
_PATIENCE = 3.0  # seconds after which a training shows how far it is


class Sample(NamedTuple):
    """One series in the network's units; all arrays start at the same step.

    ``target`` is ``(T, C)``; ``past`` and ``future``, where there are such covariates, are
    ``(T, X)`` and ``(T + n, F)`` to forecast ``n`` steps.
    """

    target: FloatArray
    past: FloatArray | None = None
    future: FloatArray | None = None

    def rows(self, start: int, stop: int) -> Sample:
        """Cut out the rows from ``start`` to before ``stop``."""
        return Sample(*(None if array is None else array[start:stop] for array in self))  # type: ignore[arg-type]


class Progress(pl.Callback):
    """One bar for a whole training, shown once it takes more than a few seconds."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Count the batches of all epochs."""
        batches = trainer.estimated_stepping_batches
        total = int(batches) if np.isfinite(batches) else None
        self.bar = tqdm(total=total, desc="fit", unit="batch", delay=_PATIENCE, leave=False)

    def on_train_batch_end(self, *_: object) -> None:
        """Count a batch."""
        self.bar.update()

    def on_train_end(self, *_: object) -> None:
        """Clear the line."""
        self.bar.close()

    def on_exception(self, *_: object) -> None:
        """Clear the line."""
        if hasattr(self, "bar"):
            self.bar.close()


class ModelHolder:
    """An :class:`InformerModel` with state that pickle and deepcopy carry whole.

    Darts drops the network from its own. Weights are stored as bytes on the CPU, whatever device
    they were trained on; each call is told by ``trainer`` where to compute.

    Parameters
    ----------
    quantiles : tuple of float or None
        Quantiles to forecast, with 0.5 and symmetric around it; ``None`` for one value, trained
        on the squared error.
    **arguments
        Those of :class:`InformerModel`.

    Attributes
    ----------
    epochs_trained : int
        Epochs that the last training ran.
    """

    def __init__(self, quantiles: tuple[float, ...] | None, **arguments: Any) -> None:
        self.quantiles = quantiles
        self.epochs_trained = 0
        likelihood = None if quantiles is None else QuantileRegression(list(quantiles))
        self.model = InformerModel(
            likelihood=likelihood, time_features=False, use_static_covariates=False, **arguments
        )

    def train(
        self,
        samples: Sequence[Sample],
        *,
        epochs: int,
        trainer: Mapping[str, Any],
        validation: Sequence[Sample] = (),
        patience: int | None = None,
        progress: bool = False,
    ) -> None:
        """Train from the present weights, and keep the best of them where there is a validation."""
        _check_names(trainer)
        # Callbacks hold state: a second run with the same ones would stop where the first did.
        arguments = copy.deepcopy(dict(trainer))
        if self.epochs_trained:
            arguments = _available(arguments)
        elif _lacks_device(arguments):
            raise ValueError(
                f"`pl_trainer_kwargs` asks for accelerator={arguments['accelerator']!r}, and there "
                "is no GPU on this machine; leave out `accelerator` in `pl_trainer_kwargs` or use "
                "'cpu'."
            )
        if progress:
            arguments["callbacks"] = [*arguments.get("callbacks", ()), Progress()]
        if validation:
            stop = KeepBestWeights(patience or epochs)
            arguments["callbacks"] = [*arguments.get("callbacks", ()), stop]
        val = _as_series(validation)
        with _quiet():
            runner = pl.Trainer(max_epochs=epochs, **arguments)
            self.model.fit(
                **_as_series(samples),
                **{f"val_{name}": series for name, series in val.items() if validation},
                trainer=runner,
                epochs=epochs,
            )
        self.epochs_trained = runner.current_epoch
        self._forget()

    def forecast(
        self, samples: Sequence[Sample], n: int, *, trainer: Mapping[str, Any]
    ) -> list[FloatArray]:
        """Forecast ``n`` steps of each sample: arrays ``(n, C, P)``, quantiles ascending.

        Beyond the output chunk the medians are fed back as if they had been observed.
        """
        middle = 0 if self.quantiles is None else self.quantiles.index(0.5)
        samples, parts = list(samples), []
        arguments = _on_one_device(_available(trainer))
        with _quiet():
            for _ in range(0, n, self.model.output_chunk_length):
                parts.append(self._forecast_chunk(samples, arguments))
                samples = [
                    sample._replace(target=np.concatenate([sample.target, part[..., middle]]))
                    for sample, part in zip(samples, parts[-1], strict=True)
                ]
        return [np.concatenate(chunks)[:n] for chunks in zip(*parts, strict=True)]

    def explain(self, sample: Sample, horizons: Sequence[int]) -> Explanation:
        """Explain the mean or median at steps ahead, against the means of the sample's own rows."""
        # Here, as it imports what draws the plots.
        from informer_forecaster.explain import InformerExplainer

        with _quiet():
            background = _as_series([sample]).values()
            explainer = InformerExplainer(self.model, *background, sort_quantiles=True)
            middle, count = 0, 1
            if self.quantiles is not None:
                middle, count = self.quantiles.index(0.5), len(self.quantiles)
            names = list(explainer.target_components_likelihood)[middle::count]
            result = explainer.explain(horizons=horizons, target_components=names)
        return result.explanations[0]

    def _forecast_chunk(
        self, samples: Sequence[Sample], trainer: Mapping[str, Any]
    ) -> list[FloatArray]:
        """Forecast one output chunk of each sample, ``(H, C, P)``."""
        forecasts = self.model.predict(
            n=self.model.output_chunk_length,
            **_as_series(samples),
            trainer=pl.Trainer(**trainer),
            predict_likelihood_parameters=self.quantiles is not None,
            show_warnings=False,
            random_state=0,
        )
        num_parameters = 1 if self.quantiles is None else len(self.quantiles)
        arrays = [f.values(copy=False).reshape(len(f), -1, num_parameters) for f in forecasts]
        return [np.sort(array, axis=2) for array in arrays]

    def _forget(self) -> None:
        """Drop what a later call does not need: the data, and what training left on the device."""
        model = self.model
        model.training_series = None
        model.past_covariate_series = model.future_covariate_series = None
        model.trainer = None
        model.model.cpu()
        # Lightning's module points to its trainer, and so to the training data.
        model.model.trainer = None

    def __getstate__(self) -> dict[str, Any]:
        buffer = io.BytesIO()
        weights = {k: v.detach().cpu() for k, v in self.model.model.state_dict().items()}
        torch.save(weights, buffer)
        return {
            "format": _FORMAT,
            "quantiles": self.quantiles,
            "epochs_trained": self.epochs_trained,
            "model": self.model,
            "weights": buffer.getvalue(),
        }

    @one_at_a_time
    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["format"] != _FORMAT:
            raise ValueError(
                f"the network was saved in format {state['format']!r}, and this version of "
                f"informer-forecaster reads format {_FORMAT}. Load it with the version that saved "
                "it, or fit again."
            )
        self.quantiles = state["quantiles"]
        self.epochs_trained = state["epochs_trained"]
        self.model = state["model"]
        # The weights drawn here are replaced: they must not move the caller's generator.
        with torch.random.fork_rng(devices=[]), _quiet():
            module = self.model._init_model()
        module.load_state_dict(torch.load(io.BytesIO(state["weights"]), weights_only=True))
        self.model.model = module


def _as_series(samples: Sequence[Sample]) -> dict[str, list[TimeSeries] | None]:
    """Darts series of the samples, each on an axis of its own that counts from 0."""

    def convert(arrays: Sequence[FloatArray | None]) -> list[TimeSeries] | None:
        series = [TimeSeries.from_values(array) for array in arrays if array is not None]
        return series or None

    return {
        "series": convert([sample.target for sample in samples]),
        "past_covariates": convert([sample.past for sample in samples]),
        "future_covariates": convert([sample.future for sample in samples]),
    }


def _available(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's arguments, on another device where this machine lacks the one they name.

    So that a network that was trained on a GPU forecasts, and trains on, on any machine.
    """
    if not _lacks_device(trainer):
        return dict(trainer)
    return {**_without(trainer, "strategy", "num_nodes"), "accelerator": "auto", "devices": 1}


def _lacks_device(trainer: Mapping[str, Any]) -> bool:
    """Whether the trainer's arguments name a GPU, and this machine has none of its kind."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    present["gpu"] = any(present.values())
    accelerator = trainer.get("accelerator")
    return isinstance(accelerator, str) and not present.get(accelerator, True)


def _on_one_device(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's arguments for a forecast: the first of its devices, and no callbacks.

    Several devices would each return the forecasts of a share of the series.
    """
    devices = trainer.get("devices")
    first = devices[:1] if isinstance(devices, list | tuple) and devices else 1
    return {**_without(trainer, "callbacks", "strategy", "num_nodes"), "devices": first}


def _without(trainer: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in trainer.items() if name not in names}


def _check_names(trainer: Mapping[str, Any]) -> None:
    """Raise if Lightning's trainer lacks one of the arguments."""
    known = list(inspect.signature(pl.Trainer.__init__).parameters)[1:]
    for name in trainer:
        if name not in known:
            raise ValueError(
                f"`pl_trainer_kwargs` must hold arguments of Lightning's trainer; got {name!r}."
                f"{nearest(name, known)}"
            )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what Darts and Lightning report of every run."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            # On workers, pinned memory and their own deprecations: nothing that a user can act on.
            warnings.filterwarnings("ignore", module=_CHATTY)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
