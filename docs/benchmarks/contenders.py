"""What covariates.py compares: how a method is fitted to a task, and how it then forecasts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import darts.models
import numpy as np
from darts import TimeSeries, concatenate
from darts.utils.likelihood_models.torch import QuantileRegression
from protocol import validation_windows
from pytorch_lightning.callbacks import EarlyStopping
from task import Array, Covariates, Task

from informer_forecaster import InformerModel

# The default of InformerForecaster; all methods with quantiles are given these.
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
QUIET = {
    "accelerator": "cpu",
    **dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False),
}
# Arguments that say where and how a model is run, not what it is; the rest are its settings.
ENVIRONMENT = ("pl_trainer_kwargs", "work_dir", "model_name", "random_state", "save_checkpoints")


class Run(NamedTuple):
    """How a method is run: seed, learning rate, rows between training windows, most epochs."""

    seed: int = 0
    rate: float | None = None
    stride: int = 1
    epochs: int | None = None


class Fitted(NamedTuple):
    """A fitted method.

    ``forecast`` takes ``validation`` or ``test`` and gives windows, steps, components and, with
    quantiles, those. ``validates`` is whether the validation part was left out of the fit.
    """

    forecast: Callable[[str], Array]
    epochs: int | None = None
    parameters: int | None = None
    validates: bool = True


@dataclass(frozen=True)
class Method:
    """A method's name in the tables, and what all of them share.

    Parameters
    ----------
    title : str
        Name in the tables.
    rates : tuple of float
        Learning rates of which the validation part picks one; none for the method's own.
    seeded : bool
        Whether chance plays a part.
    quantiles : bool
        Whether it forecasts ``QUANTILES``.
    sees_covariates : bool
        Whether it is given the covariates of a task.
    needs : str, optional
        Package of the ``benchmarks`` extra.
    coarser : int
        Factor of the stride for a network that would take hours, where a task has one.
    """

    title: str
    rates: tuple[float | None, ...] = (None,)
    seeded: bool = True
    quantiles: bool = False
    sees_covariates: bool = True
    needs: str | None = None
    coarser: int = 1

    def settings(self, task: Task, run: Run) -> str:
        """Write every argument as JSON."""
        raise NotImplementedError

    def fit(self, task: Task, run: Run) -> Fitted:
        """Fit to the training part, with the validation part where the method uses one."""
        raise NotImplementedError


def _plain(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def describe(model: Any, run: Run) -> str:
    """Write the arguments of a Darts model and the stride of its training windows as JSON."""
    arguments = {k: v for k, v in model.model_params.items() if k not in ENVIRONMENT}
    return json.dumps({**arguments, "stride": run.stride}, default=_plain)


def backtest(model: Any, task: Task, part: str, quantiles: bool, **covariates: Any) -> Array:
    """Forecast every window of a part by Darts' ``historical_forecasts``."""
    origins = task.origins(part)
    begin = origins[0] - task.look_back
    forecasts = model.historical_forecasts(
        task.rows(begin, origins[-1] + task.horizon),
        start=task.look_back,
        start_format="position",
        forecast_horizon=task.horizon,
        stride=origins.step,
        retrain=False,
        last_points_only=False,
        show_warnings=False,
        predict_likelihood_parameters=quantiles,
        **covariates,
    )
    values = np.stack([one.values() for series in forecasts for one in series])
    # Darts lists all quantiles of a component before those of the next.
    return values.reshape(*values.shape[:2], -1, len(QUANTILES)) if quantiles else values


@dataclass(frozen=True)
class Network(Method):
    """A network of Darts: stops early, keeps the weights of the best epoch.

    Parameters
    ----------
    name : str
        Class in ``darts.models``.
    arguments : dict
        Of its constructor.
    epochs, patience : int
        Most epochs, and how many without a better validation loss end the training.
    past_only : bool
        Whether known-future covariates are given to it as past ones, as it takes no others.
    """

    name: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    epochs: int = 100
    patience: int = 5
    past_only: bool = False

    def build(self, task: Task, run: Run, **environment: Any) -> Any:
        """Make the model."""
        arguments = {**self.arguments, "n_epochs": run.epochs or self.epochs}
        if run.rate is not None:
            arguments["optimizer_kwargs"] = {"lr": run.rate}
        if self.quantiles:
            arguments["likelihood"] = QuantileRegression(list(QUANTILES))
        if task.calendar:
            known = "past" if self.past_only else "future"
            arguments["add_encoders"] = {"cyclic": {known: list(task.calendar)}}
        cls = getattr(darts.models, self.name)
        return cls(task.look_back, task.horizon, **arguments, **environment)

    def settings(self, task: Task, run: Run) -> str:
        """Write every argument of the model as JSON."""
        return describe(self.build(task, run), run)

    def covariates(self, task: Task) -> dict[str, list[TimeSeries]]:
        """List the covariates in the arguments that take them, one for each target."""
        known = task.covariates if self.sees_covariates else Covariates()
        past, future = list(known.past), list(known.future)
        if self.past_only and future:
            joined = zip(past, future, strict=True)
            past = [concatenate(both, axis=1) for both in joined] if past else future
            future = []
        given = {"past_covariates": past, "future_covariates": future}
        return {name: series for name, series in given.items() if series}

    def fit(self, task: Task, run: Run) -> Fitted:
        """Train with early stopping, and load the best epoch."""
        with tempfile.TemporaryDirectory() as folder:
            where = {"work_dir": folder, "model_name": "run", "save_checkpoints": True}
            stop = EarlyStopping("val_loss", patience=self.patience)
            trainer = {**QUIET, "callbacks": [stop]}
            model = self.build(task, run, **where, random_state=run.seed, pl_trainer_kwargs=trainer)
            covariates = self.covariates(task)
            model.fit(
                task.rows(0, task.ends[0]),
                **covariates,
                **self._validation(task, covariates),
                stride=run.stride,
            )
            epochs = model.epochs_trained
            model = model.load_from_checkpoint("run", folder, best=True)
        return self._fitted(model, task, covariates, epochs)

    def _validation(self, task: Task, covariates: dict[str, Any]) -> dict[str, Any]:
        """Cut some validation windows: a whole part at stride 1 takes longer than an epoch."""
        length = task.look_back + task.horizon
        part = task.rows(task.ends[0] - task.look_back, task.ends[1])
        windows = [validation_windows(one, length, task.windows) for one in part]
        repeated = {
            f"val_{name}": [c for c, w in zip(series, windows, strict=True) for _ in w]
            for name, series in covariates.items()
        }
        return {"val_series": [one for several in windows for one in several], **repeated}

    def _fitted(self, model: Any, task: Task, covariates: dict[str, Any], epochs: int) -> Fitted:
        def forecast(part: str) -> Array:
            options = {"predict_kwargs": {"batch_size": 256}, **covariates}
            return backtest(model, task, part, self.quantiles, **options)

        size = sum(p.numel() for p in model.model.parameters())
        return Fitted(forecast, epochs, size)


@dataclass(frozen=True)
class Ours(Network):
    """`InformerModel` as a user calls it; ``arguments`` are what an ablation changes.

    Parameters
    ----------
    given : bool
        Whether `fit` is given the validation part as such. Otherwise it ends the training series.
    """

    given: bool = True

    def build(self, task: Task, run: Run, **environment: Any) -> Any:
        """Make the model with its defaults."""
        arguments = dict(self.arguments)
        if run.epochs is not None:
            arguments["n_epochs"] = min(run.epochs, arguments.get("n_epochs", run.epochs))
        if self.quantiles:
            arguments["likelihood"] = QuantileRegression(list(QUANTILES))
        return InformerModel(task.look_back, task.horizon, **arguments, **environment)

    def fit(self, task: Task, run: Run) -> Fitted:
        """Call `fit` with the series and, where there are any, their covariates."""
        model = self.build(task, run, random_state=run.seed, pl_trainer_kwargs=QUIET)
        covariates = self.covariates(task)
        known = dict(covariates)
        first, end = task.ends
        if self.given:
            known["val_series"] = task.rows(first - task.look_back, end)
            known |= {f"val_{name}": series for name, series in covariates.items()}
        model.fit(task.rows(0, first if self.given else end), **known, stride=run.stride)
        fitted = self._fitted(model, task, covariates, model.epochs_trained)
        return fitted._replace(validates=self.given)


def blind(method: Network) -> Network:
    """Give the same method no covariates but the calendar."""
    return replace(method, title=f"{method.title}, no covariates", sees_covariates=False)
