"""Forecasting tasks whose causes are known, made up: what a model could reach at best is plain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from task import Covariates, Task, scale, split, to_series


def make_demand(_: Path | None = None, days: int = 700) -> Task:
    """Hourly demand, made up: working hours, a quadratic in the temperature, noise. Scaled."""
    random, rows = np.random.default_rng(0), 24 * days
    times, hours = pd.date_range("2022-01-01", periods=rows, freq="h"), np.arange(rows)
    # Weather that lasts: a first-order recursion, from zero on.
    weather = lfilter([1.0], [1.0, -0.97], np.append(0.0, random.normal(scale=0.9, size=rows - 1)))
    season = 10 * np.sin(2 * np.pi * (hours / 24 - 100) / 365)
    temperature = 15 + season + 5 * np.sin(2 * np.pi * hours / 24 - 2) + weather
    works = (times.dayofweek < 5).astype(float)
    daytime = np.maximum(np.sin(2 * np.pi * (hours % 24 - 6) / 24), 0)
    y = 20 + 8 * works * daytime + 0.06 * (temperature - 18) ** 2 + random.normal(size=rows)
    table = pd.DataFrame({"y": y, "temperature": temperature, "work": works}, times)
    ends = split(rows)
    table = scale(table, ends[0])
    future = to_series(times, temperature=table["temperature"], work=works)
    return Task(
        (to_series(times, y=table["y"]),),
        168,
        24,
        ends,
        season=168,
        cycle=24,
        covariates=Covariates(future=(future,)),
        calendar=("hour", "dayofweek"),
        stride=5,
    )


def make_sales(_: Path | None = None) -> Task:
    """Sales of 1,000 business days, made up: Mondays 5 more, 60 holidays 30 fewer, noise of 1."""
    random, times = np.random.default_rng(1), pd.bdate_range("2019-01-01", periods=1000)
    holiday = np.zeros(len(times))
    holiday[random.choice(len(times), 60, replace=False)] = 1
    y = 100 + 5 * (times.dayofweek == 0) - 30 * holiday + random.normal(size=len(times))
    return Task(
        (to_series(times, sales=y),),
        20,
        10,
        (750, 950),
        season=5,
        cycle=5,
        covariates=Covariates(future=(to_series(times, holiday=holiday),)),
        calendar=("dayofweek",),
        event="holiday",
    )


def make_delay(_: Path | None = None) -> Task:
    """Hours that repeat yesterday and follow a driver six hours later, made up; noise of 0.1.

    Of two past covariates one is the driver. Six steps ahead every cause is known.
    """
    random, rows = np.random.default_rng(0), 3000
    times = pd.date_range("2023-01-01", periods=rows, freq="h")
    driver, noise = random.normal(size=rows), random.normal(size=rows)
    y = np.zeros(rows)
    for row in range(rows):
        yesterday = 0.8 * y[row - 24] if row >= 24 else random.normal()
        push = 2 * driver[row - 6] if row >= 6 else 0.0
        y[row] = yesterday + push + 0.1 * random.normal()
    past = Covariates(past=(to_series(times, driver=driver, noise=noise),))
    return Task((to_series(times, y=y),), 48, 6, (2400, 2800), season=24, cycle=24, covariates=past)


def make_late(_: Path | None = None) -> Task:
    """Hours with a daily wave, and two drivers that act late, made up; noise of 0.3. Scaled.

    A past covariate acts 72 hours later, a known one 12 hours later.
    """
    random, rows = np.random.default_rng(0), 4000
    times = pd.date_range("2023-01-01", periods=rows, freq="h")
    seen = lfilter([1.0], [1.0, -0.5], random.normal(size=rows))
    known = random.normal(size=rows)
    y = 2 * np.sin(2 * np.pi * np.arange(rows) / 24) + 2 * np.roll(seen, 72)
    y += 1.5 * np.roll(known, 12) + 0.3 * random.normal(size=rows)
    ends = split(rows)
    table = scale(pd.DataFrame({"y": y, "seen": seen, "known": known}, times), ends[0])
    drivers = {name: (to_series(times, **{name: table[name]}),) for name in ("seen", "known")}
    covariates = Covariates(past=drivers["seen"], future=drivers["known"])
    target = to_series(times, y=table["y"])
    return Task((target,), 96, 24, ends, season=24, cycle=24, covariates=covariates)


def make_bent(_: Path | None = None) -> Task:
    """Hours that follow the size of a driver, not its sign, eight hours later, made up. Scaled.

    A driver and its negative do the same: no linear map sees anything of it.
    """
    random, rows = np.random.default_rng(0), 4000
    times = pd.date_range("2023-01-01", periods=rows, freq="h")
    driver = lfilter([1.0], [1.0, -0.6], random.normal(size=rows))
    y = np.sin(2 * np.pi * np.arange(rows) / 24) + 2 * np.abs(np.roll(driver, 8))
    y += 0.2 * random.normal(size=rows)
    ends = split(rows)
    table = scale(pd.DataFrame({"y": y, "driver": driver}, times), ends[0])
    covariates = Covariates(past=(to_series(times, driver=table["driver"]),))
    target = to_series(times, y=table["y"])
    return Task((target,), 48, 8, ends, season=24, cycle=24, covariates=covariates)


def make_solar(_: Path | None = None) -> Task:
    """Hours of a solar plant, made up: what a clear sky gives, times what clouds let through.

    Both are known ahead, and neither tells by itself. Scaled.
    """
    random, rows = np.random.default_rng(2), 24 * 400
    times, hours = pd.date_range("2022-01-03", periods=rows, freq="h"), np.arange(rows)
    season = 0.3 * np.sin(2 * np.pi * (hours / 24 - 80) / 365)
    clear = np.maximum(0, np.sin(2 * np.pi * (hours % 24 - 6) / 24) + season)
    weather = lfilter([1.0], [1.0, -0.95], random.normal(scale=0.6, size=rows))
    clouds = 1 / (1 + np.exp(-weather))
    y = clear * (1 - 0.8 * clouds**2.5) + 0.02 * random.normal(size=rows) * (clear > 0)
    ends = split(rows)
    table = scale(pd.DataFrame({"y": y, "clouds": clouds, "clear": clear}, times), ends[0])
    future = to_series(times, clouds=table["clouds"], clear=table["clear"])
    return Task(
        (to_series(times, y=table["y"]),),
        96,
        24,
        ends,
        season=24,
        cycle=24,
        covariates=Covariates(future=(future,)),
        calendar=("hour", "dayofweek"),
        stride=3,
    )


def make_chaos(_: Path | None = None) -> Task:
    """The equation of Mackey and Glass with a delay of 17 steps: chaos without noise. Scaled."""
    warm_up, rows = 1000, 4000
    x = np.full(warm_up + rows, 1.2)
    for row in range(17, len(x) - 1):
        delayed = x[row - 17]
        x[row + 1] = 0.9 * x[row] + 0.2 * delayed / (1 + delayed**10)
    index = pd.RangeIndex(rows)
    ends = split(rows)
    table = scale(pd.DataFrame({"x": x[warm_up:]}, index), ends[0])
    return Task((to_series(index, x=table["x"]),), 96, 24, ends, season=50, cycle=50)


def make_promotions(_: Path | None = None) -> Task:
    """The shop of docs/covariates.md: weekdays and promotions, 500 days, the last 14 forecast."""
    random, days = np.random.default_rng(0), pd.date_range("2022-07-01", periods=500, freq="D")
    promoted = (random.random(len(days)) < 0.2).astype(float)
    visitors = 200 + 40 * (days.dayofweek >= 5) + random.normal(scale=10, size=len(days))
    sold = visitors / 4 + 30 * promoted + random.normal(scale=2, size=len(days))
    return Task(
        (to_series(days, sales=sold),),
        28,
        14,
        (400, 486),
        season=7,
        cycle=7,
        covariates=Covariates(future=(to_series(days, promotion=promoted),)),
        calendar=("dayofweek",),
    )
