"""The protocol of the literature's tables on ETT: data, splits, scaling, windows and errors.

All columns, or the oil temperature alone; scaled with the training part's mean and deviation; mean
squared and absolute error on scaled data over every test window, at stride 1.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.datasets import ETTh1Dataset, ETTh2Dataset, ETTm1Dataset
from sklearn.preprocessing import StandardScaler

STANDARD_HORIZONS = (96, 192, 336, 720)
TARGET = "OT"
DAY_OF_HOURS, DAY_OF_QUARTERS, DAY_OF_TENS = 24, 96, 144


class Lengths(NamedTuple):
    """What a network of the paper sees: steps of look-back, and of its start token."""

    look_back: int
    start_token: int


@dataclass(frozen=True)
class Dataset:
    """A data set, its parts in rows, and the horizons at which the paper forecasts it.

    ``paper_lengths`` are look-back and start token of the authors' scripts, for all columns or one,
    at each of these horizons; ``day`` is how many rows a day has.
    """

    load: Callable[[Path | None], TimeSeries]
    rows: tuple[int, int, int]
    paper_horizons: tuple[int, ...]
    paper_lengths: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    day: int = DAY_OF_HOURS

    def horizons(self, name: str) -> tuple[int, ...]:
        """Give the horizons that ``paper`` or ``standard`` stands for."""
        return {"paper": self.paper_horizons, "standard": STANDARD_HORIZONS}[name]

    def lengths(self, features: str, horizon: int) -> Lengths | None:
        """Look the paper's lengths up; none where it does not forecast that."""
        if features not in self.paper_lengths or horizon not in self.paper_horizons:
            return None
        return Lengths(*self.paper_lengths[features][self.paper_horizons.index(horizon)])


class Parts(NamedTuple):
    """The parts of a series; the later two begin with the look-back that their first window has."""

    train: TimeSeries
    validation: TimeSeries
    test: TimeSeries


class Scores(NamedTuple):
    """Mean errors over windows, how many there were, and the time that forecasting them took."""

    mse: float
    mae: float
    windows: int
    seconds: float


def _from_darts(cls: Any) -> Callable[[Path | None], TimeSeries]:
    def load(directory: Path | None) -> TimeSeries:
        dataset = cls()
        if directory is not None:
            dataset._root_path = directory
        return dataset.load()

    return load


def make_waves(_: Path | None = None) -> TimeSeries:
    """Make three noisy daily waves, hourly: what a test of the benchmark itself needs."""
    steps = np.arange(400)[:, None]
    noise = np.random.default_rng(0).normal(scale=0.1, size=(400, 3))
    values = np.sin(steps * (2 * np.pi / 24) + np.arange(3)) + noise
    times = pd.date_range("2024-01-01", periods=400, freq="h")
    return TimeSeries.from_times_and_values(times, values, columns=["a", "b", TARGET])


def load_weather(directory: Path | None) -> TimeSeries:
    """Load the 21 columns of the literature's Weather data, every ten minutes.

    Two of its stamps are irregular; the literature counts rows, and so does a regular index.
    """
    path = (directory or Path()) / "weather.csv.gz"
    table = pd.read_csv(path, encoding="latin-1").drop(columns="date")
    table.index = pd.date_range("2020-01-01 00:10", periods=len(table), freq="10min")
    return TimeSeries.from_dataframe(table)


HOURS = (8640, 2880, 2880)  # 12, 4 and 4 months
QUARTERS = (4 * HOURS[0], 4 * HOURS[1], 4 * HOURS[2])
HOURLY = (24, 48, 168, 336, 720)
QUARTERLY = (24, 48, 96, 288, 672)


DATASETS = {
    "ETTh1": Dataset(
        _from_darts(ETTh1Dataset),
        HOURS,
        HOURLY,
        {
            "multivariate": ((48, 48), (96, 48), (168, 168), (168, 168), (336, 336)),
            "univariate": ((720, 168), (720, 168), (720, 336), (720, 336), (720, 336)),
        },
    ),
    "ETTh2": Dataset(
        _from_darts(ETTh2Dataset),
        HOURS,
        HOURLY,
        {
            "multivariate": ((48, 48), (96, 96), (336, 336), (336, 168), (720, 336)),
            "univariate": ((48, 48), (96, 96), (336, 336), (336, 168), (336, 336)),
        },
    ),
    "ETTm1": Dataset(
        _from_darts(ETTm1Dataset),
        QUARTERS,
        QUARTERLY,
        {
            "multivariate": ((672, 96), (96, 48), (384, 384), (672, 288), (672, 384)),
            "univariate": ((96, 48), (96, 48), (384, 384), (384, 384), (384, 384)),
        },
        DAY_OF_QUARTERS,
    ),
}
WAVES = Dataset(make_waves, (240, 80, 80), (8,))
WEATHER = Dataset(load_weather, (36_887, 5_270, 10_539), (96,), day=DAY_OF_TENS)


def dataset_of(name: str) -> Dataset:
    """Look up a data set; Weather and the smoke test's are no part of the tables on ETT."""
    return {**DATASETS, "Weather": WEATHER, "waves": WAVES}[name]


def load_parts(
    dataset: Dataset, directory: Path | None, look_back: int, univariate: bool = False
) -> Parts:
    """Load, cut and scale a data set.

    Parameters
    ----------
    dataset : Dataset
        What to load.
    directory : pathlib.Path or None
        Where its file is; ``None`` lets Darts download it.
    look_back : int
        Rows that the validation and the test part begin with, from the part before.
    univariate : bool
        Whether only the oil temperature is kept.
    """
    train, validation, test = dataset.rows
    end = train + validation
    series = dataset.load(directory).astype(np.float32)[: end + test]
    series = series[TARGET] if univariate else series
    series = Scaler(StandardScaler()).fit(series[:train]).transform(series)
    return Parts(series[:train], series[train - look_back : end], series[end - look_back :])


def stride_of(num_windows: int, wanted: int | None) -> int:
    """Choose the stride that leaves about ``wanted`` windows, at all hours of the day."""
    if wanted is None or wanted >= num_windows:
        return 1
    stride = num_windows // wanted
    # A stride that shares a divisor with the day would begin at some of its hours only; one that
    # shares none with a day of quarters shares none with one of hours.
    while math.gcd(stride, DAY_OF_QUARTERS) > 1:
        stride += 1
    return stride


def count_windows(part: TimeSeries, look_back: int, horizon: int) -> int:
    """Count the windows of a part at stride 1."""
    return len(part) - look_back - horizon + 1


def score(
    model: Any,
    part: TimeSeries,
    look_back: int,
    horizon: int,
    *,
    windows: int | None = None,
    apart: bool = False,
    **options: Any,
) -> Scores:
    """Forecast the windows of a part and average their errors.

    Parameters
    ----------
    model : darts forecasting model
        Fitted, or refitted at each window by ``options``.
    part : TimeSeries
        Look-back and rows to be forecast.
    look_back, horizon : int
        Steps of a window before and after its origin.
    windows : int, optional
        About how many windows, evenly spaced; all of them by default.
    apart : bool
        Whether the model forecasts each column as a series of its own.
    **options
        Passed to ``historical_forecasts``.
    """
    stride = stride_of(count_windows(part, look_back, horizon), windows)
    start = time.perf_counter()
    forecasts = model.historical_forecasts(
        columns_of(part, apart),
        start=look_back,
        start_format="position",
        forecast_horizon=horizon,
        stride=stride,
        last_points_only=False,
        show_warnings=False,
        **options,
    )
    seconds = time.perf_counter() - start
    truth = np.lib.stride_tricks.sliding_window_view(part.values()[look_back:], horizon, axis=0)
    squared = absolute = 0.0
    for column, one in enumerate(forecasts):
        for forecast, window in zip(one, truth[::stride], strict=True):
            actual = window.T[:, column : column + 1] if apart else window.T
            # The mean over samples is the point forecast of a probabilistic model.
            error = forecast.all_values().mean(axis=2) - actual
            squared += float(np.square(error).mean())
            absolute += float(np.abs(error).mean())
    count = len(forecasts[0])
    total = count * len(forecasts)
    return Scores(squared / total, absolute / total, count, seconds)


def columns_of(series: TimeSeries, apart: bool) -> list[TimeSeries]:
    """List the columns of a series as series of their own, or the series alone."""
    return [series[name] for name in series.components] if apart else [series]


def validation_windows(part: TimeSeries, length: int, wanted: int | None) -> list[TimeSeries]:
    """Cut about ``wanted`` windows of ``length`` rows out of a part; ``None`` for the whole."""
    count = len(part) - length + 1
    stride = stride_of(count, wanted)
    if stride == 1:
        return [part]
    return [part[first : first + length] for first in range(0, count, stride)]
