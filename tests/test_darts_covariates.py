"""Every combination of covariates that Darts offers: fit, predict, save and load."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from informer_forecaster import InformerModel

PAST, FUTURE = "past_covariates", "future_covariates"
DYNAMIC = [(), (PAST,), (FUTURE,), (PAST, FUTURE)]
# attention, distil, kind of index
VARIANTS = [
    ("prob", True, "datetime"),
    ("prob", False, "range"),
    ("full", True, "range"),
    ("full", False, "datetime"),
]
# Every combination of names, static, components and number of series. Attention, distilling and
# index take turns, such that each pair of values of any two occurs.
COMBINATIONS = [
    (*combination, *VARIANTS[(turn + turn // 8) % 4])
    for turn, combination in enumerate(
        itertools.product(DYNAMIC, ["none", "shared", "each"], [1, 3], [1, 2])
    )
]


def static_table(kind, components):
    """Static covariates shared by all components, or one row for each."""
    rows = {"none": 0, "shared": 1, "each": components}[kind]
    table = np.arange(2.0 * rows).reshape(rows, 2) / 10
    return pd.DataFrame(table, columns=["size", "age"]) if rows else None


@pytest.fixture
def data(waves):
    """Make targets and the covariates named; the future ones reach far enough for two chunks."""

    def make(names, static, components, number, index):
        table = static_table(static, components)
        targets = [waves(36 + i, components, index, seed=i, static=table) for i in range(number)]
        lengths = {PAST: 40, FUTURE: 52}
        covariates = {
            name: [waves(lengths[name], 2, index, seed=9 + i) for i in range(number)]
            for name in names
        }
        if number == 1:
            return targets[0], {name: given[0] for name, given in covariates.items()}
        return targets, covariates

    return make


# Half of them: each place of a value in its list is added up, and odd sums wait for all tests.
QUICK = [
    combination
    for turn, combination in enumerate(COMBINATIONS)
    if (turn // 12 + turn // 4 % 3 + turn // 2 + turn) % 2 == 0
]


def test_pairs_of_values_occur():
    for one, other in itertools.combinations(range(len(COMBINATIONS[0])), 2):
        values = [{each[place] for each in COMBINATIONS} for place in (one, other)]
        pairs = {(each[one], each[other]) for each in QUICK}
        assert pairs == set(itertools.product(*values))


@pytest.mark.parametrize(
    ("names", "static", "components", "number", "attention", "distil", "index"),
    [pytest.param(*each, marks=() if each in QUICK else pytest.mark.slow) for each in COMBINATIONS],
)
def test_every_combination_forecasts_and_survives_a_file(
    tiny_model, data, tmp_path, names, static, components, number, attention, distil, index
):
    """A user brings any of these; none may be a corner where the sizes do not fit."""
    target, covariates = data(names, static, components, number, index)
    model = tiny_model(attention=attention, distil=distil).fit(target, **covariates)
    forecast = model.predict(4, target, **covariates)
    model.save(str(tmp_path / "model.pt"))
    again = InformerModel.load(str(tmp_path / "model.pt")).predict(4, target, **covariates)
    pairs = (
        [(target, forecast, again)] if number == 1 else zip(target, forecast, again, strict=True)
    )
    for one, predicted, reloaded in pairs:
        assert predicted.shape == (4, components, 1)
        assert predicted.start_time() == one.end_time() + one.freq
        assert predicted.components.equals(one.components)
        assert np.isfinite(predicted.values()).all()
        assert predicted == reloaded


@pytest.mark.parametrize("names", DYNAMIC[1:])
@pytest.mark.parametrize("attention", ["prob", "full"])
def test_covariates_reach_the_forecast(tiny_model, data, with_value, names, attention):
    """A covariate that is taken and ignored would mislead: each one's last known step counts."""
    target, covariates = data(names, "none", 2, 1, "range")
    model = tiny_model(attention=attention).fit(target, **covariates)
    forecast = model.predict(4, **covariates)
    for name in names:
        last = len(target) - 1 if name == PAST else len(target) + 3
        changed = {**covariates, name: with_value(covariates[name], last, 30.0)}
        assert model.predict(4, **changed) != forecast


@pytest.mark.parametrize("static", ["shared", "each"])
def test_static_covariates_reach_the_forecast(tiny_model, data, static):
    target, _ = data((), static, 2, 1, "range")
    model = tiny_model().fit(target)
    other = target.with_static_covariates(target.static_covariates + 1)
    assert model.predict(4, other) != model.predict(4, target)


def test_static_covariates_can_be_left_unused(tiny_model, data):
    """With ``use_static_covariates=False`` a table of text does no harm and no weights exist."""
    target, _ = data((), "shared", 1, 1, "range")
    named = target.with_static_covariates(pd.DataFrame({"city": ["Oslo"]}))
    model = tiny_model(use_static_covariates=False).fit(named)
    without = model.predict(4, target.with_static_covariates(None))
    assert np.array_equal(model.predict(4).values(), without.values())
    assert not [name for name, _ in model.model.named_parameters() if ".static." in name]


@pytest.mark.parametrize("names", DYNAMIC)
def test_a_horizon_beyond_the_chunk_takes_longer_covariates(tiny_model, data, names):
    """Rolled out, the covariates of the steps already forecast become the look-back's."""
    target, longest = data((FUTURE,), "shared", 2, 1, "datetime")
    covariates = dict.fromkeys(names, longest[FUTURE])
    model = tiny_model().fit(target, **covariates)
    forecast = model.predict(11, **covariates)
    assert len(forecast) == 11
    assert forecast[:4] == model.predict(4, **covariates)


def test_series_may_begin_and_end_anywhere_within_their_covariates(tiny_model, data):
    """Darts slices covariates by time: longer ones on both ends give the same forecast."""
    target, covariates = data((PAST, FUTURE), "none", 1, 1, "datetime")
    model = tiny_model().fit(target, **covariates)
    cut = {
        PAST: covariates[PAST].slice(target.time_index[-8], target.end_time()),
        FUTURE: covariates[FUTURE].slice(
            target.time_index[-8], target.end_time() + 4 * target.freq
        ),
    }
    assert model.predict(4, target, **cut) == model.predict(4, target, **covariates)


def test_an_independent_component_has_its_own_static_covariates(tiny_model, waves):
    """Two equal components are told apart by nothing but their static covariates."""
    twice = waves().stack(waves().with_columns_renamed("wave_0", "wave_1"))
    series = twice.with_static_covariates(pd.DataFrame({"kind": [1.0, 2.0]}))
    # The norm's own weights, one for each component, would tell them apart too.
    norm = {"use_reversible_instance_norm": {"affine": False}}
    # Two steps of training are enough at this rate.
    rate = {"optimizer_kwargs": {"lr": 1e-2}, "early_stopping_patience": None}
    model = tiny_model(channel_independent=True, **norm, **rate).fit(series)
    model.model.share.fill_(1.0)  # the start reads none
    forecast = model.predict(4).values()
    assert not np.allclose(forecast[:, 0], forecast[:, 1])
    swapped = twice.with_static_covariates(pd.DataFrame({"kind": [2.0, 1.0]}))
    np.testing.assert_allclose(model.predict(4, swapped).values(), forecast[:, ::-1])
