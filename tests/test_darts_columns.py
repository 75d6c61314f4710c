"""Columns have the names and the order of the training: by position one would pass for another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from darts.utils.data import (
    SequentialTorchInferenceDataset,
    SequentialTorchTrainingDataset,
)
from darts.utils.likelihood_models.torch import QuantileRegression

PAST, FUTURE = "past_covariates", "future_covariates"
STATIC = pd.DataFrame({"area": [1.0, 2.0], "floors": [5.0, 3.0]})


def turned(series):
    """The same series with its columns, and static ones, in the opposite order."""
    columns = [str(name) for name in series.columns[::-1]]
    other = series[columns]
    if other.static_covariates is None:
        return other
    table = other.static_covariates
    return other.with_static_covariates(table[[*table.columns[::-1]]])


def renamed(series):
    return series.with_columns_renamed(str(series.columns[0]), "another")


@pytest.fixture(scope="module")
def given(waves):
    series = waves(40, 2, static=STATIC)
    return {"series": series, PAST: waves(60, 3, seed=1), FUTURE: waves(60, 2, seed=2)}


@pytest.fixture(scope="module", params=[None, QuantileRegression([0.1, 0.5, 0.9])], ids=str)
def fitted(request, tiny_model, given):
    model = tiny_model(likelihood=request.param, channel_independent=False, lookback_skip=False)
    return model.fit(**given)


@pytest.mark.parametrize("name", ["series", PAST, FUTURE])
def test_another_order_is_refused(fitted, given, name):
    rule = (
        rf"`{name}` must have the components .* in their order, \('wave_0', .* by `{name}\[names\]`"
    )
    other = {**given, name: turned(given[name])}
    with pytest.raises(ValueError, match=rule):
        fitted.predict(4, **other)
    with pytest.raises(ValueError, match=rule):
        fitted.historical_forecasts(**other, retrain=False)
    every = {key: [one, turned(one) if key == name else one] for key, one in given.items()}
    with pytest.raises(ValueError, match=rf"`{name}\[1\]` must have the components"):
        fitted.predict(4, **every)


@pytest.mark.parametrize("name", ["series", PAST, FUTURE])
def test_other_names_are_refused(fitted, given, name):
    """By position they would be taken for columns that they are not."""
    other = {**given, name: renamed(given[name])}
    rule = rf"`{name}` must have the components of the training.*'wave_0'.*got.*'another'"
    with pytest.raises(ValueError, match=rule):
        fitted.predict(4, **other)
    with pytest.raises(ValueError, match=rule):
        fitted.historical_forecasts(**other, retrain=False)


def test_other_static_names_are_refused(fitted, given):
    table = STATIC.rename(columns={"area": "length"})
    other = given["series"].with_static_covariates(table)
    rule = r"`series` must have the static covariates of the training in their order, .*'length'"
    with pytest.raises(ValueError, match=rule):
        fitted.predict(4, **{**given, "series": other})


def test_a_model_of_one_series_forecasts_another(tiny_model, waves):
    model = tiny_model().fit(waves())
    other = waves(seed=1)
    assert np.array_equal(
        model.predict(4, renamed(other)).values(), model.predict(4, other).values()
    )


def test_names_that_differ_in_the_training_mean_nothing(tiny_model, waves):
    """Each series of a list may name its columns after itself."""
    model = tiny_model().fit([waves(40, 2), renamed(waves(40, 2, seed=1))])
    assert len(model.predict(4, renamed(renamed(waves(40, 2))))) == 4


@pytest.mark.parametrize("name", ["series", PAST, FUTURE])
def test_a_training_in_several_orders_is_refused(tiny_model, given, name):
    lists = {key: [one, turned(one) if key == name else one] for key, one in given.items()}
    with pytest.raises(ValueError, match=rf"`{name}\[1\]` must have the components .* order"):
        tiny_model().fit(**lists)
    val = {f"val_{key}": turned(one) if key == name else one for key, one in given.items()}
    with pytest.raises(ValueError, match=rf"`val_{name}` must have the components .* order"):
        tiny_model().fit(**given, **val)


def test_static_covariates_in_another_order_are_refused(fitted, tiny_model, given):
    table = given["series"].static_covariates
    other = given["series"].with_static_covariates(table[["floors", "area"]])
    rule = "must have the static covariates of the training in their order, .*'area', 'floors'"
    with pytest.raises(ValueError, match=f"`series` {rule}"):
        fitted.predict(4, **{**given, "series": other})
    with pytest.raises(ValueError, match=rf"`series\[1\]` {rule}"):
        tiny_model().fit([given["series"], other])


def test_a_second_training_has_the_order_of_the_first(tiny_model, given):
    """Under names of its own it is a training on other series."""
    model = tiny_model().fit(**given)
    with pytest.raises(ValueError, match=r"`series` must have the components .* order"):
        model.fit(**{**given, "series": turned(given["series"])})
    model.fit(**{**given, "series": renamed(given["series"])})


def test_names_move_with_files_and_weights(tiny_model, given, tmp_path):
    model = tiny_model().fit(**given)
    expected = model.predict(4, **given)
    model.save(str(tmp_path / "model.pt"))
    model.save_pretrained(tmp_path / "pretrained")
    other = tiny_model()
    other.load_weights(str(tmp_path / "model.pt"))
    for loaded in (
        type(model).load(str(tmp_path / "model.pt")),
        type(model).from_pretrained(tmp_path / "pretrained"),
        other,
    ):
        assert loaded.predict(4, **given) == expected
        with pytest.raises(ValueError, match="must have the components"):
            loaded.predict(4, **{**given, PAST: turned(given[PAST])})


def test_a_data_set_in_another_order_is_refused(tiny_model, waves):
    series = waves(40, 2)
    model = tiny_model(time_features=False).fit(series)
    lengths = {"n": 4, "input_chunk_length": 8, "output_chunk_length": 4}
    data = SequentialTorchInferenceDataset(series, **lengths)
    assert np.array_equal(
        model.predict_from_dataset(4, data)[0].values(), model.predict(4).values()
    )
    with pytest.raises(ValueError, match=r"`dataset\.series` must have the components"):
        model.predict_from_dataset(4, SequentialTorchInferenceDataset(turned(series), **lengths))


def test_a_list_whose_series_differ_in_components_is_refused(tiny_model, waves):
    """Numpy or torch would say so, after the training began."""
    for batch_size in (1, 8):
        with pytest.raises(ValueError, match=r"`series\[1\]` must have .* components .* 1; got 2"):
            tiny_model(batch_size=batch_size).fit([waves(), waves(40, 2)])
    with pytest.raises(ValueError, match=r"`past_covariates\[1\]` must have .* components"):
        tiny_model().fit([waves(), waves()], past_covariates=[waves(60, 2), waves(60)])


def test_shared_and_own_static_rows_in_one_list_are_told_apart(tiny_model, waves):
    shared = waves(40, 2, static=STATIC[:1])
    own = waves(40, 2, static=STATIC)
    rule = r"static covariates of `series\[1\]` must have as many rows .* 1: .*; got 2"
    with pytest.raises(ValueError, match=rule):
        tiny_model().fit([shared, own])


@pytest.mark.parametrize("huge", [1e20, -1e20])
def test_huge_static_covariates_are_refused(tiny_model, waves, huge):
    """They would turn every weight, or the forecast, to NaN."""
    series = waves(dtype=np.float32)
    bad, good = (
        series.with_static_covariates(pd.DataFrame({"size": [1.0], "id": [value]}))
        for value in (huge, 1.0)
    )
    rule = (
        r"static covariates of `series` must be finite, and of a magnitude up to .*'id'.* scale it"
    )
    with pytest.raises(ValueError, match=rule):
        tiny_model().fit(bad)
    with pytest.raises(ValueError, match=rule):
        tiny_model().fit(good).predict(4, bad)


def test_covariates_of_a_data_set_are_asked_for_at_a_forecast(tiny_model, waves):
    series, past = waves(40), waves(60, 2, seed=1)
    lengths = {"input_chunk_length": 8, "output_chunk_length": 4}
    model = tiny_model(time_features=False)
    model.fit_from_dataset(SequentialTorchTrainingDataset(series, past, **lengths))
    forecast = model.predict(4, series, past_covariates=past)
    assert len(forecast) == 4
    with pytest.raises(ValueError, match="`past_covariates` must be given"):
        model.predict(4, series)
