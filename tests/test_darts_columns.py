"""Columns at a forecast are those of the training by name, in whatever order they come."""

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


def forecasts(model, **given):
    """A forecast, its likelihood's parameters and a backtest."""
    yield model.predict(4, **given, random_state=1)
    if model.likelihood is not None:
        yield model.predict(4, **given, predict_likelihood_parameters=True)
    for optimised in (True, False):
        yield model.historical_forecasts(
            **given, start=-3, start_format="position", retrain=False,
            forecast_horizon=4, enable_optimization=optimised, random_state=1, overlap_end=True,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["series", PAST, FUTURE])
def test_another_order_is_the_same_forecast(fitted, given, name):
    """In the order that was given: a metric compares forecast and series by position."""
    pairs = zip(
        forecasts(fitted, **given),
        forecasts(fitted, **{**given, name: turned(given[name])}),
        strict=True,
    )
    for expected, found in pairs:
        names = [str(column) for column in expected.columns]
        if name == "series":
            half = len(names) // 2
            assert [str(column) for column in found.columns] == [*names[half:], *names[:half]]
        assert np.array_equal(found[names].all_values(), expected.all_values())


def test_a_list_is_put_in_order_series_by_series(fitted, given):
    whole = {"predict_likelihood_parameters": fitted.likelihood is not None}
    expected = fitted.predict(4, **given, **whole)
    every = {name: [one, turned(one)] for name, one in given.items()}
    first, second = fitted.predict(4, **every, **whole)
    names = [str(column) for column in expected.columns]
    half = len(names) // 2
    assert list(second.columns) == [*names[half:], *names[:half]]
    assert np.allclose(first.values(), expected.values(), rtol=1e-9)
    assert np.allclose(second[names].values(), expected.values(), rtol=1e-9)


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
    rule = r"`series` must have the static covariates of the training, .*'area'.*got .*'length'"
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
def test_a_training_reads_its_lists_and_its_validation_by_name(tiny_model, given, name):
    plain = {
        "val_series": given["series"],
        f"val_{PAST}": given[PAST],
        f"val_{FUTURE}": given[FUTURE],
    }
    val = {**plain, f"val_{name}": turned(given[name])}
    lists = {key: [one, turned(one) if key == name else one] for key, one in given.items()}
    straight = {key: [one, one] for key, one in given.items()}

    def train(series, val):
        model = tiny_model(channel_independent=False, n_epochs=2)
        return model.fit(**series, **val).predict(4, **given)

    assert train(lists, val) == train(straight, plain)


def test_sample_weights_follow_their_series(tiny_model, waves):
    series = waves(40, 2)
    weight = series.with_values(np.linspace(0.1, 1.0, 80).reshape(40, 2))

    def train(second, its_weight):
        model = tiny_model(channel_independent=False)
        model.fit([series, second], sample_weight=[weight, its_weight])
        return model.predict(4, series)

    assert train(turned(series), turned(weight)) == train(series, weight)


def test_a_second_training_keeps_the_order_of_the_first(tiny_model, given):
    one, other = (tiny_model(channel_independent=False).fit(**given) for _ in range(2))
    one.fit(**given)
    other.fit(**{name: turned(each) for name, each in given.items()})
    assert one.predict(4, **given) == other.predict(4, **given)


def test_names_move_with_files_and_weights(tiny_model, given, tmp_path):
    model = tiny_model(channel_independent=False).fit(**given)
    expected = model.predict(4, **given)
    model.save(str(tmp_path / "model.pt"))
    model.save_pretrained(tmp_path / "pretrained")
    other = tiny_model(channel_independent=False)
    other.load_weights(str(tmp_path / "model.pt"))
    for loaded in (
        type(model).load(str(tmp_path / "model.pt")),
        type(model).from_pretrained(tmp_path / "pretrained"),
        other,
    ):
        found = loaded.predict(4, **{name: turned(each) for name, each in given.items()})
        assert found[list(map(str, expected.columns))] == expected


def test_a_data_set_in_another_order_is_refused(tiny_model, waves):
    series = waves(40, 2)
    model = tiny_model(time_features=False).fit(series)
    lengths = {"n": 4, "input_chunk_length": 8, "output_chunk_length": 4}
    data = SequentialTorchInferenceDataset(series, **lengths)
    assert np.array_equal(
        model.predict_from_dataset(4, data)[0].values(), model.predict(4).values()
    )
    with pytest.raises(ValueError, match="series of `dataset` must have the columns"):
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
    rule = r"`series\[1\]` must have one row that all components share.*got a row for each"
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
    assert model.predict(4, series, past_covariates=turned(past)) == forecast
    with pytest.raises(ValueError, match="`past_covariates` must be given"):
        model.predict(4, series)
