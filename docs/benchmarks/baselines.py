"""Methods beside the networks: a repeated season, exponential smoothing, regressions, sktime."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from contenders import Fitted, Method, Run, backtest, describe
from darts.models import LinearRegressionModel
from task import Array, Task

from informer_forecaster import InformerForecaster

MOST_ROWS = 8000  # the last training windows that linear regression is fitted to


@dataclass(frozen=True)
class Naive(Method):
    """Repeats the last season of the look-back."""

    def settings(self, task: Task, run: Run) -> str:
        """Name the season."""
        del run
        return json.dumps({"season": task.season})

    def fit(self, task: Task, run: Run) -> Fitted:
        """Fit nothing."""
        del run

        def forecast(part: str) -> Array:
            last = np.arange(task.horizon) % task.season - task.season
            rows = np.asarray(task.origins(part))[:, None] + last
            return np.concatenate([one.values()[rows] for one in task.targets])

        return Fitted(forecast, validates=False)


@dataclass(frozen=True)
class Smoothing(Method):
    """AutoETS of statsforecast, fitted anew to all rows before each window."""

    def settings(self, task: Task, run: Run) -> str:
        """Name the season."""
        del run
        return json.dumps({"season_length": task.season})

    def fit(self, task: Task, run: Run) -> Fitted:
        """Fit nothing yet."""
        del run
        from statsforecast.models import AutoETS

        def forecast(part: str) -> Array:
            paths = []
            for series in task.targets:
                values = series.values()[:, 0].astype(float)
                for origin in task.origins(part):
                    model = AutoETS(season_length=task.season)
                    paths.append(model.forecast(y=values[:origin], h=task.horizon)["mean"])
            return np.stack(paths)[:, :, None]

        return Fitted(forecast, validates=False)


@dataclass(frozen=True)
class Linear(Method):
    """Linear regression of Darts on the look-back, the covariates and the calendar."""

    def settings(self, task: Task, run: Run) -> str:
        """Write every argument as JSON."""
        return describe(self._build(task), run)

    def _build(self, task: Task) -> Any:
        lags: dict[str, Any] = {"lags": task.look_back}
        if task.covariates.past:
            lags["lags_past_covariates"] = task.look_back
        if task.covariates.future or task.calendar:
            lags["lags_future_covariates"] = (task.look_back, task.horizon)
        if task.calendar:
            lags["add_encoders"] = {"cyclic": {"future": list(task.calendar)}}
        return LinearRegressionModel(output_chunk_length=task.horizon, **lags)

    def fit(self, task: Task, run: Run) -> Fitted:
        """Fit to training and validation part, as it chooses nothing."""
        del run
        known = {
            "past_covariates": list(task.covariates.past),
            "future_covariates": list(task.covariates.future),
        }
        known = {name: series for name, series in known.items() if series}
        model = self._build(task)
        model.fit(task.rows(0, task.ends[1]), **known, max_samples_per_ts=MOST_ROWS)
        return Fitted(
            lambda part: backtest(model, task, part, quantiles=False, **known), validates=False
        )


@dataclass(frozen=True)
class Sktime(Method):
    """`InformerForecaster` with its defaults but for the look-back; all rows before the test."""

    arguments: tuple[tuple[str, Any], ...] = ()

    def _build(self, task: Task, run: Run) -> InformerForecaster:
        arguments = dict(self.arguments)
        if run.epochs is not None:
            arguments["n_epochs"] = run.epochs
        return InformerForecaster(task.look_back, random_state=run.seed, **arguments)

    def settings(self, task: Task, run: Run) -> str:
        """Write every parameter as JSON."""
        parameters = self._build(task, run).get_params()
        return json.dumps({k: v for k, v in parameters.items() if k != "random_state"})

    def fit(self, task: Task, run: Run) -> Fitted:
        """Call `fit`; a forecast then learns the rows up to its origin, without training."""
        forecaster = self._build(task, run)
        end, steps = task.ends[1], range(1, task.horizon + 1)
        forecaster.fit(self._rows(task, 0, end), X=self._known(task, 0, end), fh=steps)

        def forecast(part: str) -> Array:
            if part != "test":
                raise ValueError(f"forecasts follow the rows of the fit; got {part!r}.")
            known, paths = end, []
            for origin in task.origins(part):
                if origin > known:
                    rows = self._rows(task, known, origin), self._known(task, known, origin)
                    forecaster.update(*rows, update_params=False)
                    known = origin
                ahead = self._known(task, origin, origin + task.horizon)
                levels = forecaster.quantiles
                table = forecaster.predict_quantiles(X=ahead, alpha=list(levels))
                paths.append(table.to_numpy().reshape(-1, task.horizon, len(levels)))
            # Windows of a series stand together.
            return np.stack(paths, axis=1).reshape(-1, task.horizon, 1, len(levels))

        size = sum(p.numel() for p in forecaster.model_.model.model.parameters())
        epochs = forecaster.model_.model.epochs_trained or None
        return Fitted(forecast, epochs, size, validates=False)

    @staticmethod
    def _rows(task: Task, first: int, end: int) -> pd.DataFrame:
        tables = [one.to_dataframe() for one in task.rows(first, end)]
        if len(tables) == 1:
            return tables[0]
        # Names that sort as the series stand.
        return pd.concat(tables, keys=range(len(tables)), names=["series", "time"])

    @staticmethod
    def _known(task: Task, first: int, end: int) -> pd.DataFrame | None:
        future = task.covariates.future
        return future[0][first:end].to_dataframe() if future else None
