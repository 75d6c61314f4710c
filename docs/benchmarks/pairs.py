"""Gradient-boosted trees over pairs of origin and step: LightGBM as practitioners use it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from contenders import Fitted, Method, Run
from task import Array, Task

MOST_PAIRS = 400_000
ARGUMENTS: dict[str, Any] = {
    "n_estimators": 2000,
    "learning_rate": 0.05,
    "num_leaves": 63,
    "min_child_samples": 30,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.8,
    "n_jobs": 1,
    "verbose": -1,
}
PATIENCE = 50  # trees without a better validation error
RECENT = 24  # last values of targets and past covariates that are columns


@dataclass(frozen=True)
class Pairs(Method):
    """One model for all steps, whose columns hold the covariates at the step.

    Further columns: the values at the same place of the last cycles, and the covariates there; the
    last values; the mean of the covariates over the cycle that ends at the step; the calendar; the
    step. Targets and their lags are differences from the mean of the look-back, so that trees
    follow a level which they have not seen.
    """

    def settings(self, task: Task, run: Run) -> str:
        """Write the arguments as JSON."""
        del task
        changed = {**ARGUMENTS, **_few(run)}
        return json.dumps({**changed, "stride": run.stride, "patience": PATIENCE})

    def fit(self, task: Task, run: Run) -> Fitted:
        """Grow trees until the validation part stops them."""
        from lightgbm import LGBMRegressor, early_stopping

        first, _ = task.ends
        origins = np.arange(task.look_back, first - task.horizon + 1, run.stride)
        x, y, _ = make_pairs(task, origins)
        if len(y) > MOST_PAIRS:
            chosen = np.random.default_rng(run.seed).choice(len(y), MOST_PAIRS, replace=False)
            x, y = x[chosen], y[chosen]
        x_val, y_val, _ = make_pairs(task, np.asarray(task.origins("validation")))
        model = LGBMRegressor(**{**ARGUMENTS, **_few(run)}, random_state=run.seed)
        stop = [early_stopping(PATIENCE, verbose=False)]
        model.fit(x, y, eval_set=[(x_val, y_val)], callbacks=stop)

        def forecast(part: str) -> Array:
            x, _, level = make_pairs(task, np.asarray(task.origins(part)))
            values = model.booster_.predict(x).reshape(-1, task.horizon)
            return (values + level[:, None])[:, :, None]

        return Fitted(forecast, model.best_iteration_)


def _few(run: Run) -> dict[str, int]:
    return {} if run.epochs is None else {"n_estimators": 10 * run.epochs}


def make_pairs(task: Task, origins: np.ndarray) -> tuple[Array, Array, Array]:
    """Give columns and target of each pair, and the level of each window; series after series."""
    tables = [_pairs_of(task, number, origins) for number in range(len(task.targets))]
    x, y, level = (np.concatenate(part) for part in zip(*tables, strict=True))
    return x, y, level


def _pairs_of(task: Task, number: int, origins: np.ndarray) -> tuple[Array, Array, Array]:
    target = task.targets[number]
    values = target.values()[:, 0]
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
    level = (sums[origins] - sums[origins - task.look_back]) / task.look_back
    steps = np.arange(task.horizon)
    at = origins[:, None] + steps  # row of each pair
    columns = [np.broadcast_to(steps, at.shape)]
    cycles = [at - task.cycle * (steps // task.cycle + k) for k in range(1, 1 + _cycles(task))]
    columns += [values[rows] - level[:, None] for rows in cycles]
    recent = origins[:, None] - 1 - np.arange(min(RECENT, task.look_back))
    columns += _repeat(values[recent] - level[:, None], task.horizon)
    for past in task.covariates.past[number : number + 1]:
        for column in past.values().T:
            columns += _repeat(column[recent], task.horizon)
    for future in task.covariates.future[number : number + 1]:
        for column in future.values().T:
            columns += [column[rows] for rows in (at, cycles[0], cycles[-1])]
            sums = np.concatenate([[0.0], np.cumsum(column, dtype=float)])
            columns.append((sums[at + 1] - sums[at + 1 - task.cycle]) / task.cycle)
    columns += [stamp[at] for stamp in _calendar(task)]
    x = np.stack(columns, axis=-1).astype(np.float32)
    y = values[at] - level[:, None]
    return x.reshape(-1, x.shape[-1]), y.ravel(), level


def _cycles(task: Task) -> int:
    return max(1, min(7, task.look_back // task.cycle))


def _repeat(columns: Array, horizon: int) -> list[Array]:
    """Give each column of a window to all of its steps."""
    return [np.broadcast_to(one[:, None], (len(one), horizon)) for one in columns.T]


def _calendar(task: Task) -> list[Array]:
    if not task.calendar:
        return []
    times = task.targets[0].time_index
    hours = times.hour + times.minute / 60
    return [np.asarray(stamp, float) for stamp in (hours, times.dayofweek, times.dayofyear)]
