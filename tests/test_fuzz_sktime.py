"""Hypothesis invents tables and parameters for sktime: a finite forecast, or an error of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fuzz_settings import QUICK
from hypothesis import given, settings
from hypothesis import strategies as st

from informer_forecaster import InformerForecaster

ONE_BATCH = {"limit_train_batches": 1, "limit_val_batches": 1}
TINY = {
    **InformerForecaster.get_test_params()[0],
    "nhead": 1,
    "pl_trainer_kwargs": {"accelerator": "cpu", "enable_progress_bar": False, **ONE_BATCH},
}
# A roll-out, which is warned of on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:step . of `fh`")

# Stamps: frequencies; periods: frequencies with a "p" before; integers: no frequency.
FREQUENCIES = (
    *(None, None, "15min", "h", "D", "2D", "B", "W-SUN", "SME", "MS", "ME", "QS", "YE"),
    *("ph", "pD", "pW", "pM", "pQ", "pY"),
)
ZONES = (None, None, "UTC", "Europe/Berlin", "America/St_Johns")
SCALES = (1.0, 1e-30, 1e-6, 1e6, 1e30, 1e200)
SHAPES = ("noise", "constant", "zero", "spike", "copies", "trend")
# What the last draw breaks; None stands for a case that must be forecast.
FLAWS = (
    *(None,) * 12,
    *("short", "nan", "inf", "gap", "twice", "stray", "backwards", "int64", "float32"),
    *(f"{flaw} X" for flaw in ("no", "short", "late", "nan", "gap")),
)
CHOICES: dict[str, tuple[Any, ...]] = {
    "output_chunk_length": (None, 1, 3),
    "attention": ("prob", "full"),
    "sparsity": ("sampled", "moment"),
    "cross_attention": ("full", "prob"),
    "distil": (True, False),
    "num_encoder_layers": (1, 2),
    "start_token_length": (None, 0, 1),
    "patch_length": (1, 3),
    "channel_independent": (False, True),
    "covariate_effects": (True, False),
    "lookback_skip": (True, False),
    "use_reversible_instance_norm": (True, False),
    "early_stopping_patience": (None, 2),
    "quantiles": ((0.1, 0.5, 0.9), None, (0.01,)),
    "scaler": ("standard", None),
    "time_features": (True, False),
}
JUNK = (None, True, 0, -1, 1.5, "seven", float("nan"), float("inf"), (), {}, np.int64(2), [1])


@st.composite
def table_values(draw, length, columns):
    """Numbers of a table ``(length, columns)``."""
    seed, shape = draw(st.integers(0, 2**16)), draw(st.sampled_from(SHAPES))
    values = np.random.default_rng(seed).normal(size=(length, columns))
    if shape == "constant":
        values[:] = draw(st.floats(-1, 1))
    if shape == "zero":
        values[:] = 0
    if shape == "spike":
        values[length // 2] = 1e4
    if shape == "copies":
        values[:] = values[:, :1]
    if shape == "trend":
        values += np.arange(length)[:, None]
    return values * draw(st.sampled_from(SCALES)) + draw(st.sampled_from((0.0, 0.0, 100.0)))


@st.composite
def indexes(draw, length):
    """A time index of sktime: integers, stamps with or without a zone, or periods."""
    frequency = draw(st.sampled_from(FREQUENCIES))
    if frequency is None:
        start = draw(st.integers(-5, 5))
        return pd.RangeIndex(start, start + length)
    # At noon, which no change of the clock skips or repeats.
    day = draw(st.dates(pd.Timestamp("1900-01-01").date(), pd.Timestamp("2050-01-01").date()))
    start = pd.Timestamp(day) + pd.Timedelta("12h")
    if frequency[0] == "p":
        return pd.period_range(start, periods=length, freq=frequency[1:])
    zone = draw(st.sampled_from(ZONES))
    return pd.date_range(start, periods=length, freq=frequency, tz=zone)


@st.composite
def cases(draw):
    """Parameters, what `fit` and `predict` are given, the horizon and the flaw."""
    window, flaw = draw(st.integers(1, 12)), draw(st.sampled_from(FLAWS))
    chosen = draw(st.sets(st.sampled_from(sorted(CHOICES)), max_size=6))
    parameters = {name: draw(st.sampled_from(CHOICES[name])) for name in sorted(chosen)}
    fh = sorted(draw(st.sets(st.integers(1, 8), min_size=1, max_size=4)))
    ahead = parameters.get("output_chunk_length") or fh[-1]
    # With early stopping, a fifth of the rows and an output chunk at least do not train.
    needed = 2 * (window + ahead)
    length = draw(st.integers(1, needed) if flaw == "short" else st.integers(needed, 200))
    index = draw(indexes(length + fh[-1]))
    columns, exogenous = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    if (flaw or "").endswith("X"):
        exogenous = 2
    y = pd.DataFrame(draw(table_values(length, columns)), index[:length], list("abc"[:columns]))
    X = None
    if exogenous:
        values = draw(table_values(len(index), exogenous))
        X = pd.DataFrame(values, index, list("xz"[:exogenous]))
        if draw(st.booleans()) and fh[-1] <= ahead:
            parameters["past_covariates"] = ("x",)
    parameters["input_chunk_length"] = window
    step = draw(st.integers(0, length - 1))
    expected = index[length:][[step - 1 for step in fh]]
    tables = {"y": y, "X": X, "fh": fh, "expected": expected}
    return {"parameters": parameters, "flaw": flaw, "step": step, **tables}


def spoiled(case):
    """The tables of ``case`` for `fit` and `predict`, with its flaw."""
    y, X, flaw, step = case["y"], case["X"], case["flaw"], case["step"]
    kind, _, exogenous = (flaw or "").partition(" ")
    table = X if exogenous else y
    if kind in ("nan", "inf"):
        table = table.copy()
        table.iloc[step] = np.nan if kind == "nan" else -np.inf
    if kind == "gap":
        table = table.drop(table.index[step : step + 2])
    if kind == "twice":
        table = table.iloc[sorted([*range(len(table)), step])]
    if kind == "stray" and isinstance(table.index, pd.DatetimeIndex):
        times = list(table.index)
        times[step] += pd.Timedelta("1s")
        table = table.set_axis(pd.DatetimeIndex(times))
    if kind == "backwards":
        table = table[::-1]
    if kind in ("int64", "float32"):
        with np.errstate(over="ignore"):
            table = table.clip(-100, 100).astype(kind)
    if kind == "short" and exogenous:
        table = table[: step + 1]
    if kind == "late":
        table = table[step + 1 :]
    y, X = (y, table) if exogenous else (table, X)
    if X is None:
        return y, None, None
    known, ahead = X.index <= case["y"].index[-1], X.index > case["y"].index[-1]
    return y, X[known], None if kind == "no" else X[ahead]


def too_large(case):
    """Whether numbers leave the range in which a network of 32-bit floats can be trained."""
    scaled = case["parameters"].get("scaler", "standard") is not None
    tables = [table for table in (case["y"], case["X"]) if table is not None]
    return any((table.abs() > (1e70 if scaled else 1e9)).any(axis=None) for table in tables)


@pytest.fixture(scope="session")
def survives(time_limit, refused_by_us):
    """Fit and forecast a case, which must succeed, or be refused for a reason."""

    def check(case):
        y, X, ahead = spoiled(case)
        forecast = None
        with time_limit(60):
            forecaster = InformerForecaster(**{**TINY, **case["parameters"]})
            try:
                forecast = forecaster.fit(y, X=X, fh=case["fh"]).predict(X=ahead)
            except (ValueError, TypeError) as error:
                # sktime refuses what is none of its containers, such as an unsorted index.
                refused_by_us(error, others=("/sktime/",))
        if forecast is None:
            assert case["flaw"] or too_large(case)
            return
        assert list(forecast.columns) == list(y.columns)
        assert len(forecast) == len(case["fh"])
        assert np.isfinite(forecast.to_numpy()).all()
        if case["flaw"] in (None, "int64", "float32"):
            assert list(forecast.index) == list(case["expected"])

    return check


FEW = settings(QUICK, max_examples=30)


@QUICK
@given(case=cases())
def test_a_table_is_forecast_or_refused(survives, case):
    survives(case)


@pytest.mark.slow
@settings(QUICK, max_examples=2000)
@given(case=cases())
def test_any_of_many_tables_is_forecast_or_refused(survives, case):
    survives(case)


@pytest.fixture(scope="session")
def takes(time_limit, refused_by_us):
    """Give the constructor one value: the forecaster that it makes must forecast."""
    y = pd.DataFrame({"a": np.sin(np.arange(30.0))})

    def check(parameter, value):
        with time_limit(60):
            try:
                forecaster = InformerForecaster(**{**TINY, parameter: value}).fit(y, fh=[1, 2])
            except ValueError as error:
                refused_by_us(error, f"`{parameter}`")
            else:
                assert np.isfinite(forecaster.predict().to_numpy()).all()

    return check


PARAMETERS = InformerForecaster.get_param_names()
GUESSES = given(parameter=st.sampled_from(PARAMETERS), value=st.sampled_from(JUNK))


@FEW
@GUESSES
def test_a_parameter_is_taken_or_refused(takes, parameter, value):
    takes(parameter, value)


@pytest.mark.slow
@settings(QUICK, max_examples=500)
@GUESSES
def test_any_parameter_is_taken_or_refused(takes, parameter, value):
    takes(parameter, value)
