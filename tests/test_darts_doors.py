"""Whatever validates, is forecast or is explained is of the kind that the network is trained on."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from darts import TimeSeries
from darts.utils.data import SequentialTorchTrainingDataset

from informer_forecaster.explain import InformerExplainer

PAST, FUTURE = "past_covariates", "future_covariates"
STATIC = pd.DataFrame({"area": [1.0], "floors": [5.0]})
# What the arguments of each door begin with.
DOORS = {
    "fit": "val_",
    "lr_find": "val_",
    "predict": "",
    "background": "background_",
    "foreground": "foreground_",
}


@pytest.fixture(scope="module")
def given(waves):
    return {"series": waves(40, 2, static=STATIC), PAST: waves(60, 2), FUTURE: waves(60, 2)}


@pytest.fixture(scope="module")
def fitted(tiny_model, given):
    return tiny_model().fit(**given)


@pytest.fixture(params=DOORS)
def door(request, tiny_model, fitted, given):
    """What a user calls with series, and what the names of its arguments begin with."""
    prefix = DOORS[request.param]

    def call(**inputs):
        inputs = {f"{prefix}{name}": one for name, one in inputs.items()}
        if request.param == "predict":
            return fitted.predict(4, **inputs)
        if request.param == "background":
            return InformerExplainer(fitted, **inputs)
        if request.param == "foreground":
            return InformerExplainer(fitted, **background(given)).explain(**inputs)
        options = {} if request.param == "fit" else {"num_training": 2}
        return getattr(tiny_model(), request.param)(**given, **inputs, **options)

    return call, prefix


def background(given):
    return {f"background_{name}": one for name, one in given.items()}


def refuses(name, *parts):
    return pytest.raises(ValueError, match=".*".join(map(re.escape, (f"`{name}` must", *parts))))


def as_daily(series):
    """The same values, one a day."""
    times = pd.date_range("2024-02-27", periods=len(series), freq="D")
    return like(series, times)


def as_steps(series):
    """The same values, numbered."""
    return like(series, pd.RangeIndex(len(series)))


def like(series, times):
    return TimeSeries.from_times_and_values(
        times,
        series.values(),
        columns=series.components,
        static_covariates=series.static_covariates,
    )


def test_series_like_those_of_the_training_are_taken(door, given):
    """The tests below change one thing each in what passes here."""
    call, _ = door
    assert call(**given) is not None


@pytest.mark.parametrize("other", [as_daily, as_steps])
def test_steps_that_have_other_calendar_features_are_refused(door, given, other):
    """Hours of a daily series say nothing, and numbered steps have none."""
    call, prefix = door
    with refuses(f"{prefix}series", "have the calendar features", "time_features=False"):
        call(**{name: other(one) for name, one in given.items()})


@pytest.mark.parametrize("name", ["series", PAST, FUTURE])
def test_columns_in_another_order_are_refused(door, given, name):
    """By position one would pass for another."""
    call, prefix = door
    turned = given[name][["wave_1", "wave_0"]]
    with refuses(f"{prefix}{name}", "components of the training in their order", "'wave_1'"):
        call(**{**given, name: turned})


def test_static_covariates_in_another_order_are_refused(door, given):
    call, prefix = door
    turned = given["series"].with_static_covariates(STATIC[["floors", "area"]])
    with refuses(f"{prefix}series", "static covariates of the training in their order"):
        call(**{**given, "series": turned})


@pytest.mark.parametrize("name", [PAST, FUTURE])
def test_covariates_that_are_missing_are_named(door, given, name):
    call, prefix = door
    rest = {key: one for key, one in given.items() if key != name}
    if not prefix:
        call(**rest)  # a forecast takes those of the training
        return
    with refuses(f"{prefix}{name}", "be given, as the model is trained with them"):
        call(**rest)


def test_covariates_that_nothing_is_trained_on_are_refused(tiny_model, waves):
    """Validation would read columns that the training has not."""
    with refuses(f"val_{PAST}", "be left out, as the model is trained without them"):
        tiny_model().fit(waves(), val_series=waves(), val_past_covariates=waves(60))


def test_data_sets_have_the_calendar_of_the_training(tiny_model, waves):
    lengths = {"input_chunk_length": 8, "output_chunk_length": 4}
    sets = [
        SequentialTorchTrainingDataset(one, future_covariates=future, **lengths)
        for one, future in (
            (waves(), waves(60, 4)),
            (as_daily(waves()), as_daily(waves(60, 4))),
        )
    ]
    model = tiny_model().fit(waves())
    for names in ({"train_dataset": sets[1]}, {"train_dataset": sets[0], "val_dataset": sets[1]}):
        with refuses(f"{[*names][-1]}.series", "have the calendar features"):
            model.fit_from_dataset(**names)
