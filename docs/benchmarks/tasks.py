"""The forecasting tasks of covariates.py, and where their data come from.

The files are not part of the project: a task takes the directory that holds them. The made-up
tasks and the airline data need none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from darts import TimeSeries
from made_up_tasks import (
    make_bent,
    make_chaos,
    make_delay,
    make_demand,
    make_late,
    make_promotions,
    make_sales,
    make_solar,
)
from protocol import load_weather
from sktime.datasets import load_airline
from task import Covariates, Task, scale, split, to_series


def _read(path: Path, target: str, covariates: Sequence[str], **how: Any) -> Task:
    """Read a table of one target and known-future covariates, scaled by its training part."""
    table = pd.read_csv(path, index_col="time", parse_dates=["time"])
    ends = split(len(table))
    table = scale(table[[target, *covariates]], ends[0])
    return Task(
        targets=(to_series(table.index, **{target: table[target]}),),
        ends=ends,
        covariates=Covariates(future=(to_series(table.index, **table[list(covariates)]),)),
        calendar=("hour", "dayofweek"),
        event="holiday",
        **how,
    )


def make_vic_elec(directory: Path) -> Task:
    """Half-hourly electricity demand of Victoria, with temperature, working day and holiday.

    A week of look-back, two days ahead. Every fifth window trains: five shares no divisor with the
    48 half hours of a day, so windows begin at all of them.
    """
    columns = ("temperature", "workday", "holiday")
    path = directory / "demand" / "vic_elec.csv.gz"
    return _read(path, "demand", columns, look_back=336, horizon=96, season=336, cycle=48, stride=5)


def make_bike_hour(directory: Path) -> Task:
    """Hourly rentals of bicycles, with the weather and the kind of day; four days ahead."""
    columns = ("temp", "hum", "windspeed", "weathersit", "holiday", "workingday")
    path = directory / "demand" / "bike_hour.csv.gz"
    return _read(path, "cnt", columns, look_back=336, horizon=96, season=168, cycle=24, stride=5)


def make_weather(horizon: int, directory: Path) -> Task:
    """Weather of the literature, 21 columns, 720 ten-minute steps back; the network alone 336."""
    table = load_weather(directory / "weather").to_dataframe()
    ends = split(len(table))
    target = TimeSeries.from_dataframe(scale(table, ends[0])).astype(np.float32)
    return Task((target,), 720, horizon, ends, season=144, cycle=144, calendar=("hour",), stride=11)


def make_panel(directory: Path) -> Task:
    """Monthly prescriptions in Australia: the 320 complete series, ``log(1 + y)``, a year ahead."""
    path = directory / "panel" / "PBS.csv.gz"
    table = pd.read_csv(path, index_col="Month", parse_dates=["Month"]).dropna(axis=1)
    table.index.freq = "MS"
    targets = tuple(to_series(table.index, scripts=np.log1p(table[name])) for name in table)
    rows = len(table)
    return Task(
        targets, 36, 12, (rows - 60, rows - 36), season=12, cycle=12, calendar=("month",), windows=5
    )


def make_airline(_: Path | None = None) -> Task:
    """Monthly passengers, 1949 to 1960: 144 rows, two years of look-back, a year ahead."""
    table = load_airline().to_timestamp().to_frame("passengers")
    ends = split(len(table), horizon=12)
    scaled = scale(table, ends[0])
    target = to_series(scaled.index, passengers=scaled["passengers"])
    return Task((target,), 24, 12, ends, season=12, cycle=12, calendar=("month",))


# The smallest first: a run that is stopped leaves whole tables.
TASKS: dict[str, Callable[[Any], Task]] = {
    "promotions": make_promotions,
    "sales": make_sales,
    "airline": make_airline,
    "delay": make_delay,
    "late": make_late,
    "bent": make_bent,
    "solar": make_solar,
    "chaos": make_chaos,
    "demand": make_demand,
    "PBS": make_panel,
    "bike_hour": make_bike_hour,
    "vic_elec": make_vic_elec,
    **{f"weather-{h}": partial(make_weather, h) for h in (96, 192, 336, 720)},
}
MADE_UP = ("promotions", "sales", "airline", "delay", "late", "bent", "solar", "chaos", "demand")
