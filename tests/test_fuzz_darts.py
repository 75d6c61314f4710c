"""Hypothesis invents series, covariates and arguments: a finite forecast, or an error of ours."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression
from fuzz_settings import QUICK
from hypothesis import given, settings
from hypothesis import strategies as st

from informer_forecaster import InformerModel

PAST, FUTURE = "past_covariates", "future_covariates"
FREQUENCIES = ("ms", "15min", "h", "36h", "D", "2D", "B", "W-SUN", "SME", "MS", "ME", "QS", "YE")
SCALES = (1.0, 1e-30, 1e-6, 1e6, 1e30)
SHAPES = ("noise", "constant", "zero", "spike", "copies")
# What the last draw breaks; None stands for a case that must be forecast.
FLAWS = (
    *(None,) * 12,
    *("short", "nan", "inf", "gap", "int64", "float16"),
    *(f"{flaw} {name}" for name in (PAST, FUTURE) for flaw in ("no", "short", "late", "nan")),
)
CHOICES: dict[str, tuple[Any, ...]] = {
    "attention": ("prob", "full"),
    "sparsity": ("sampled", "moment"),
    "cross_attention": ("full", "prob"),
    "sampling_factor": (1, 5),
    "distil": (True, False),
    "num_encoder_layers": (1, 2),
    "num_encoder_stacks": (1, 2),
    "start_token_length": (None, 0, 1),
    "patch_length": (1, 3),
    "channel_independent": (False, True),
    "covariate_effects": (True, False),
    "lookback_skip": (True, False),
    "decoder_causal": (True, False),
    "padding_mode": ("replicate", "circular"),
    "activation": ("gelu", "relu"),
    "dropout": (0.0, 0.1),
    "time_features": (True, False),
    "use_reversible_instance_norm": (None, True, False, {"affine": True}),
    "likelihood": (None, QuantileRegression([0.1, 0.5, 0.9]), GaussianLikelihood()),
    "output_chunk_shift": (0, 2),
}
# Arguments of Darts that the constructor checks.
PASSED_ON = ("batch_size", "n_epochs", "likelihood", "loss_fn")
JUNK = (None, True, 0, -1, 1.5, "seven", float("nan"), float("inf"), (), {}, np.int64(2), [1])


@st.composite
def series_values(draw, length, components):
    """Numbers of a series ``(length, components)`` that the network can hold, or too large."""
    seed, shape = draw(st.integers(0, 2**16)), draw(st.sampled_from(SHAPES))
    values = np.random.default_rng(seed).normal(size=(length, components))
    if shape == "constant":
        values[:] = draw(st.floats(-1, 1))
    if shape == "zero":
        values[:] = 0
    if shape == "spike":
        values[length // 2] = 1e4
    if shape == "copies":
        values[:] = values[:, :1]
    return values * draw(st.sampled_from(SCALES)) + draw(st.sampled_from((0.0, 0.0, 100.0)))


@st.composite
def time_axes(draw):
    """A function from first position and length to a time index."""
    frequency = draw(st.sampled_from((None, *FREQUENCIES)))
    if frequency is None:
        step = draw(st.integers(1, 3))
        return lambda first, length: (
            pd.RangeIndex(first * step, (first + length) * step, step),
            step,
        )
    start = draw(st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01")))
    zone = draw(st.sampled_from((None, "UTC", "Etc/GMT-5")))

    def axis(first, length):
        stamps = pd.date_range(start, periods=first + length, freq=frequency)[first:]
        return stamps.tz_localize(zone) if zone else stamps, frequency

    return axis


@st.composite
def arguments(draw):
    """Arguments of the constructor that are allowed, beside the smallest sizes."""
    chosen = draw(st.sets(st.sampled_from(sorted(CHOICES)), max_size=6))
    found = {name: draw(st.sampled_from(CHOICES[name])) for name in sorted(chosen)}
    layers = found.get("num_encoder_layers", 1)
    found["num_encoder_stacks"] = min(found.get("num_encoder_stacks", 1), layers)
    return {"num_encoder_layers": 1, **found}


@st.composite
def cases(draw):
    """A model's arguments, what `fit` and `predict` are given, the horizon and the flaw."""
    lengths = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    options, flaw = draw(arguments()), draw(st.sampled_from(FLAWS))
    shift = options.get("output_chunk_shift", 0)
    needed = sum(lengths) + shift
    length = draw(st.integers(1, needed)) if flaw == "short" else draw(st.integers(needed, 200))
    horizon = lengths[1] if shift else draw(st.integers(1, 3 * lengths[1]))
    axis, dtype = draw(time_axes()), draw(st.sampled_from((np.float32, np.float64)))

    def make(first, steps, components):
        values = draw(series_values(steps, components))
        times, frequency = axis(first, steps)
        series = TimeSeries.from_times_and_values(times, values, freq=frequency)
        return series.astype(dtype)

    ahead = max(horizon, lengths[1]) + shift
    given = {
        name: make(0, length + extra, draw(st.integers(1, 2)))
        for name, extra in ((PAST, horizon), (FUTURE, ahead))
        if (flaw or "").endswith(name) or draw(st.booleans())
    }
    series = make(0, length, draw(st.integers(1, 3)))
    return {
        "lengths": lengths,
        "options": options,
        "series": series,
        "given": given,
        "horizon": horizon,
        "flaw": flaw,
        "step": draw(st.integers(0, length - 1)),
    }


def too_large(*series):
    """Whether squares of squares of a value leave the range of its type."""
    with np.errstate(over="ignore"):
        return not all(np.isfinite(one.all_values() ** 4).all() for one in series)


def spoiled(case):
    """The series and covariates of ``case`` with its flaw."""
    series, covariates, flaw = case["series"], dict(case["given"]), case["flaw"]
    kind, _, name = (flaw or "").partition(" ")
    part = covariates.get(name, series)
    if kind in ("nan", "inf", "gap"):
        values = part.all_values()
        values[case["step"] : case["step"] + (5 if kind == "gap" else 1)] = (
            np.inf if kind == "inf" else np.nan
        )
        part = part.with_values(values)
    if kind in ("int64", "float16"):
        with np.errstate(all="ignore"):
            part = part.with_values(np.clip(part.all_values(), -100, 100).astype(kind))
    if kind == "short" and name:
        part = part[: case["step"] + 1]
    if kind == "late":
        part = part[case["step"] :]
    if name:
        covariates[name] = part
        return series, {k: v for k, v in covariates.items() if (kind, k) != ("no", name)}
    return part, covariates


@pytest.fixture(scope="module")
def survives(tiny_model, time_limit, refused_by_us):
    """Fit and forecast a case, which must succeed, or be refused for a reason."""

    def check(case):
        series, covariates = spoiled(case)
        model = tiny_model(*case["lengths"], nhead=1, trainer={"max_steps": 1}, **case["options"])
        # What is missing at the forecast was there in training.
        missing = (case["flaw"] or "").startswith("no ")
        with time_limit(60):
            try:
                model.fit(series, **(case["given"] if missing else covariates))
                forecast = model.predict(case["horizon"], series, **covariates)
            except ValueError as error:
                refused_by_us(error)
                forecast = None
        if forecast is None:
            assert case["flaw"] or too_large(series, *covariates.values())
            return
        shift = case["options"].get("output_chunk_shift", 0)
        assert forecast.start_time() == series.end_time() + (1 + shift) * series.freq
        assert forecast.freq == series.freq
        assert len(forecast) == case["horizon"]
        assert list(forecast.components) == list(series.components)
        assert np.isfinite(forecast.all_values()).all()

    return check


MANY = settings(QUICK, max_examples=2000)


@QUICK
@given(case=cases())
def test_a_series_is_forecast_or_refused(survives, case):
    survives(case)


@pytest.mark.slow
@MANY
@given(case=cases())
def test_any_of_many_series_is_forecast_or_refused(survives, case):
    survives(case)


@pytest.fixture(scope="module")
def takes(tiny_model, waves, time_limit, refused_by_us):
    """Give the constructor one value: the model that it makes must forecast."""

    def check(argument, value):
        with time_limit(60):
            try:
                model = tiny_model(**{"nhead": 1, "trainer": {"max_steps": 1}, argument: value})
                model.fit(waves())
            except ValueError as error:
                refused_by_us(error, f"`{argument}`")
            else:
                assert np.isfinite(model.predict(2).values()).all()

    return check


ARGUMENTS = list(inspect.signature(InformerModel.__init__).parameters)[1:-1]
ARGUMENTS.remove("compile_network")  # it takes minutes, and has tests of its own
GUESSES = given(argument=st.sampled_from([*ARGUMENTS, *PASSED_ON]), value=st.sampled_from(JUNK))


@QUICK
@GUESSES
def test_an_argument_is_taken_or_refused(takes, argument, value):
    takes(argument, value)


@pytest.mark.slow
@settings(QUICK, max_examples=500)
@GUESSES
def test_any_argument_is_taken_or_refused(takes, argument, value):
    takes(argument, value)
