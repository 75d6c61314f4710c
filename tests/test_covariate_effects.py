"""What covariates add to each step, found by regression before the network is trained."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression

from informer_forecaster import InformerModel
from informer_forecaster._network.effects import SHIFTS

WHOLE = {"limit_train_batches": None}
LENGTH = 300


def table(values, index=None):
    """Make a series of daily values, or with another index."""
    values = np.asarray(values, dtype=np.float32).reshape(len(values), -1)
    index = pd.date_range("2022-01-03", periods=len(values)) if index is None else index
    return TimeSeries.from_times_and_values(index, values)


def random(seed=0):
    return np.random.default_rng(seed)


def holidays(seed=0, length=LENGTH, factor=1.0, level=50.0):
    """A series that falls by 20 on days that are known, and noise of deviation 1."""
    draw = random(seed)
    days = (draw.random(length) < 0.08).astype(float)
    return table(level + factor * (draw.normal(size=length) - 20 * days)), table(days)


def error(model, series, start=240, **covariates):
    """Mean absolute error of forecasts from steps of which the training saw nothing."""
    forecasts = model.historical_forecasts(
        series, **covariates, start=start, start_format="position", retrain=False, stride=3,
        forecast_horizon=4, last_points_only=False,
    )  # fmt: skip
    errors = [one.values() - series.slice_intersect(one).values() for one in forecasts]
    return float(np.abs(errors).mean())


@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e4])
def test_a_known_holiday_is_forecast(tiny_model, factor):
    """One of three was seen in a look-back; a forecast knows of it all the same."""
    series, days = holidays(factor=factor)
    model = tiny_model(n_epochs=0, trainer=WHOLE)
    model.fit(series[:240], future_covariates=days)
    assert error(model, series, future_covariates=days) < 1.2 * factor


def weekends(length=1400):
    """Hours that are higher on Saturdays and Sundays: of eight of them, no two weeks tell when."""
    hours = pd.date_range("2022-01-03", periods=length, freq="h")
    return table(10 * (hours.weekday >= 5) + random().normal(size=length), hours)


@pytest.mark.parametrize(("effects", "low", "high"), [(True, 0.7, 0.95), (False, 0.98, 2.0)])
def test_the_calendar_tells_what_a_look_back_does_not_hold(tiny_model, effects, low, high):
    """A week, of eight hours; without any covariate. 0.8 is the mean size of the noise."""
    series = weekends()
    model = tiny_model(n_epochs=0, trainer=WHOLE, covariate_effects=effects, time_features=True)
    model.fit(series[:1050])
    assert low < error(model, series, start=1050) < high


def test_the_calendar_has_no_effect_on_a_random_walk(tiny_model):
    """Weeks and months explain some of any walk that has been seen."""
    series = table(random().normal(size=400).cumsum())
    model = tiny_model(n_epochs=0, trainer=WHOLE, time_features=True).fit(series)
    assert len(model.model.effects.stretch) > 0
    assert not model.model.effects.weight.any()


def test_without_effects_it_is_not(tiny_model):
    series, days = holidays()
    model = tiny_model(n_epochs=0, trainer=WHOLE, covariate_effects=False)
    model.fit(series[:240], future_covariates=days)
    assert error(model, series, future_covariates=days) > 1.8


def test_series_of_other_sizes_have_effects_in_their_own_unit(tiny_model):
    """A hundred times as large: twenty deviations are a holiday in each of them."""
    factors = (1.0, 100.0, 1.0, 100.0, 1.0, 100.0)
    pairs = [holidays(seed, factor=factor) for seed, factor in enumerate(factors)]
    series, days = (list(each) for each in zip(*pairs, strict=True))
    model = tiny_model(24, 4, n_epochs=0, trainer=WHOLE)
    model.fit([one[:240] for one in series], future_covariates=days)
    for one, known, factor in zip(series[:2], days[:2], factors[:2], strict=True):
        assert error(model, one, future_covariates=known) < 3.0 * factor


def test_effects_grow_with_a_series_that_grows(tiny_model):
    """A share of sales is lost on a holiday; sales double within a year."""
    draw, length = random(), 600
    days = (draw.random(length) < 0.08).astype(float)
    level = 2 ** (np.arange(length) / 350) * (1 - 0.7 * days)
    weeks = 1 + 0.3 * np.sin(2 * np.pi * np.arange(length) / 7)
    series = table(level * weeks * (1 + 0.02 * draw.normal(size=length)))
    model = tiny_model(28, 4, n_epochs=0, trainer=WHOLE)
    model.fit(series[:420], future_covariates=table(days))
    # With holidays of one size it would be 0.096.
    assert error(model, series, start=420, future_covariates=table(days)) < 0.08


def test_a_curve_and_a_cycle_are_found(tiny_model):
    """Quadratic in a temperature, and the more so in the afternoon."""
    draw, length = random(), 2400
    hours = pd.date_range("2022-01-01", periods=length, freq="h")
    temperature = draw.normal(size=length).cumsum() % 7 - 3.5
    afternoon = 1 + np.sin(2 * np.pi * (np.arange(length) - 8) / 24)
    values = afternoon * temperature**2 + 0.1 * draw.normal(size=length)
    series, known = table(values, hours), table(temperature, hours)
    model = tiny_model(n_epochs=0, trainer=WHOLE)
    model.fit(series[:2100], future_covariates=known)
    assert error(model, series, start=2100, future_covariates=known) < 0.35 * values.std()


def test_a_past_covariate_acts_by_its_size(tiny_model):
    """A driver and its negative do the same: nothing linear sees it."""
    draw, length = random(), 600
    driver = draw.normal(size=length)
    values = 50 + 5 * np.abs(np.roll(driver, 5)) + 0.5 * draw.normal(size=length)
    series, seen = table(values), table(driver)
    model = tiny_model(n_epochs=0, trainer=WHOLE)
    model.fit(series[:480], past_covariates=seen)
    # Of noise it is 0.4; without bends 2.4.
    assert error(model, series, start=480, past_covariates=seen) < 0.8


def test_what_only_extremes_do_is_found(tiny_model):
    """Great heat acts on three days of a hundred, and on them as nothing else does."""
    draw, length = random(), 1000
    heat = draw.normal(size=length)
    values = 50 + heat + 60 * np.maximum(0, heat - 1.9) + draw.normal(size=length)
    series, known = table(values), table(heat)
    model = tiny_model(n_epochs=0, trainer=WHOLE)
    model.fit(series[:800], future_covariates=known)
    # Of noise it is 0.8.
    assert error(model, series, start=800, future_covariates=known) < 1.2


@pytest.mark.parametrize("others", [0, 9])
def test_two_covariates_act_together(tiny_model, others):
    """An offer sells at a low price only: neither the offer nor the price tells by itself.

    Of twelve covariates there are 66 pairs, and eight of them are read.
    """
    draw, length = random(), 700
    offer = draw.uniform(size=length) < 0.4
    price = draw.uniform(1, 3, length)
    more = draw.normal(size=(length, 1 + others))
    values = 50 + 20 * offer * np.maximum(0, 2.2 - price) + draw.normal(size=length)
    series, known = table(values), table(np.c_[more[:, :1], offer, more[:, 1:], price])
    model = tiny_model(n_epochs=0, trainer=WHOLE)
    model.fit(series[:560], future_covariates=known)
    # Of noise it is 0.8; without pairs 3.5 and 3.7.
    assert error(model, series, start=560, future_covariates=known) < 1.5


@pytest.mark.parametrize("later", [-1, 2, 7])
def test_an_effect_on_another_day_is_found(tiny_model, later):
    """Sales before a holiday, or after an advertisement, which do nothing on the day itself."""
    draw = random()
    days = (draw.random(LENGTH) < 0.1) * draw.uniform(1, 5, LENGTH)
    values = 50 + 4 * np.roll(days, later) + draw.normal(size=LENGTH)
    series, known = table(values), table(days)
    model = tiny_model(n_epochs=0, trainer=WHOLE)
    model.fit(series[:240], future_covariates=known)
    assert error(model, series, future_covariates=known) < 1.2


def test_an_effect_on_another_day_is_found_after_a_gap(tiny_model):
    """The day before the chunk is not shown; all days that are shown act three days later."""
    draw = random()
    days = (draw.random(LENGTH) < 0.2) * draw.uniform(1, 5, LENGTH)
    values = 50 + 4 * np.roll(days, 3) + 0.1 * draw.normal(size=LENGTH)
    series, known = table(values), table(days)
    model = tiny_model(16, 12, n_epochs=0, trainer=WHOLE, output_chunk_shift=1)
    model.fit(series[:240], future_covariates=known)
    forecasts = model.historical_forecasts(
        series, future_covariates=known, start=240, start_format="position", retrain=False,
        forecast_horizon=12, last_points_only=False,
    )  # fmt: skip
    wrong = [np.abs(one.values() - series.slice_intersect(one).values()) for one in forecasts]
    of_steps = np.mean(wrong, axis=(0, 2))
    assert np.delete(of_steps, 2).max() < 1.0  # 0.7, of a deviation of 6; it was 2.6


@pytest.mark.parametrize("later", [20, 40])
def test_a_known_covariate_that_acts_late_is_found(tiny_model, tmp_path, later):
    """Beside one that acts at once. Eight steps nearby would leave a deviation of 5."""
    draw, length = random(), 600
    days, others = ((draw.random(length) < 0.1) * draw.uniform(1, 5, length) for _ in range(2))
    values = 50 + 4 * np.roll(days, later) + 2 * others + draw.normal(size=length)
    series, known = table(values), table(np.stack([days, others], axis=1))
    model = tiny_model(48, 4, n_epochs=0, trainer=WHOLE)
    model.fit(series[later:480], future_covariates=known)
    assert error(model, series, start=480, future_covariates=known) < 1.2
    assert later in model.model.effects.shifts[:, 0]
    model.save_pretrained(tmp_path / "model")
    loaded = InformerModel.from_pretrained(tmp_path / "model")
    given = {"series": series[:480], "future_covariates": known}
    assert loaded.predict(4, **given) == model.predict(4, **given)


def test_steps_nearby_are_kept_where_none_far_away_says_more(tiny_model):
    series, days = holidays()
    model = tiny_model(48, 4, n_epochs=0, trainer=WHOLE)
    model.fit(series[:240], future_covariates=days)
    assert tuple(model.model.effects.shifts[:, 0].tolist()) == SHIFTS


def test_an_effect_that_lasts_is_found(tiny_model):
    """The series follows an average of the days before, which no single day shows."""
    draw = random()
    weather = draw.normal(size=LENGTH)
    weights = 0.9 ** np.arange(40)
    values = 5 * np.convolve(weather, weights)[:LENGTH] + 0.1 * draw.normal(size=LENGTH)
    series, known = table(values), table(weather)
    model = tiny_model(48, 4, n_epochs=0, trainer=WHOLE)
    model.fit(series[:240], future_covariates=known)
    assert error(model, series, future_covariates=known) < 0.4 * values.std()


def test_a_past_covariate_acts_after_a_delay(tiny_model):
    """Six steps later, so that all four steps ahead are known."""
    draw = random()
    driver = draw.normal(size=LENGTH)
    values = 3 * np.roll(driver, 6) + 0.1 * draw.normal(size=LENGTH)
    series, known = table(values), table(1e3 * driver + 1e5)
    model = tiny_model(12, 4, n_epochs=0, trainer=WHOLE)
    model.fit(series[6:240], past_covariates=known)
    assert error(model, series, past_covariates=known) < 0.3


def test_a_past_covariate_acts_after_a_long_delay(tiny_model):
    """Later than the 48 steps that are always read; others beside it do nothing."""
    draw, length = random(), 700
    drivers = draw.normal(size=(length, 3))
    values = 3 * np.roll(drivers[:, 1], 60) + 0.1 * draw.normal(size=length)
    series, known = table(values), table(1e3 * drivers + 1e5)
    model = tiny_model(72, 4, n_epochs=0, trainer=WHOLE)
    model.fit(series[60:600], past_covariates=known)
    assert error(model, series, start=600, past_covariates=known) < 0.5


def test_covariates_that_do_nothing_change_nothing(tiny_model):
    """Noise beside a wave: what regression finds in it does not hold on folds left out."""
    draw = random()
    series = table(np.sin(np.arange(LENGTH) / 2) + 0.1 * draw.normal(size=LENGTH))
    noise = table(draw.normal(size=(LENGTH, 3)))
    plain = tiny_model(24, 4, n_epochs=0, trainer=WHOLE).fit(series[:240])
    model = tiny_model(24, 4, n_epochs=0, trainer=WHOLE)
    model.fit(series[:240], future_covariates=noise)
    assert error(model, series, future_covariates=noise) < 1.1 * error(plain, series)


@pytest.mark.parametrize("likelihood", [QuantileRegression([0.1, 0.5, 0.9]), GaussianLikelihood()])
def test_distributions_move_with_the_holiday(tiny_model, likelihood):
    """All of it moves, and it is as wide on the holiday as beside it."""
    series, days = holidays(length=244)
    days = table(np.r_[days.values()[:240, 0], 0.0, 1.0, 0.0, 0.0])
    model = tiny_model(n_epochs=0, trainer=WHOLE, likelihood=likelihood)
    model.fit(series[:240], future_covariates=days)
    forecast = model.predict(4, future_covariates=days, predict_likelihood_parameters=True).values()
    if isinstance(likelihood, QuantileRegression):
        assert np.abs(forecast[1] - forecast[0] + 20).max() < 1.5
    else:
        assert abs(forecast[1, 0] - forecast[0, 0] + 20) < 1.5
        assert forecast[1, 1] == pytest.approx(forecast[0, 1], rel=0.2)


def test_the_level_moves_with_the_series(tiny_model):
    series, days = holidays()
    model = tiny_model(n_epochs=1, trainer=WHOLE).fit(series[:240], future_covariates=days)
    forecast, moved = (
        model.predict(4, one[:240], future_covariates=days).values() for one in (series, series + 7)
    )
    np.testing.assert_allclose(moved, forecast + 7, rtol=1e-5)


def test_effects_survive_every_kind_of_file(tiny_model, tmp_path):
    """Also in a model of other lengths, into which weights alone are loaded."""
    series, days = holidays()
    model = tiny_model(trainer=WHOLE)
    model.fit(series[:240], future_covariates=days, past_covariates=days)
    given = {"future_covariates": days, "past_covariates": days}
    expected = model.predict(4, series[:240], **given)
    path = str(tmp_path / "model.pt")
    model.save(path)
    model.save_pretrained(tmp_path / "directory")
    longer = tiny_model(12, 6)
    longer.load_weights(path)
    for loaded in (InformerModel.load(path), InformerModel.from_pretrained(tmp_path / "directory")):
        assert loaded.predict(4, series[:240], **given) == expected
    assert torch.equal(longer.model.effects.weight, model.model.effects.weight)
    assert np.isfinite(longer.predict(6, series[:240], **given).values()).all()


def test_a_batch_does_not_matter(tiny_model):
    series, days = holidays()
    model = tiny_model(trainer=WHOLE).fit(series[:240], future_covariates=days)
    windows = [series[:k] for k in (100, 150, 240)]
    together = model.predict(4, windows, future_covariates=[days] * 3)
    for one, forecast in zip(windows, together, strict=True):
        alone = model.predict(4, one, future_covariates=days)
        np.testing.assert_allclose(alone.values(), forecast.values(), rtol=1e-5)


def test_a_step_that_windows_share_teaches_once(tiny_model):
    """More effects than steps can tell apart would fit each of them, and leave nothing to learn."""
    draw, length = random(), 480
    load = np.convolve(draw.normal(size=length + 23), np.ones(24) / 5, mode="valid")
    wave = np.sin(2 * np.pi * np.arange(length) / 24)
    index = pd.date_range("2022-01-03", periods=length, freq="h")
    series = table(load * wave + 0.1 * draw.normal(size=length), index)
    model = tiny_model(48, 24, n_epochs=0, trainer=WHOLE, time_features=True)
    model.fit(series, future_covariates=table(load, index))
    assert 0 < model.model.effects.weight.count_nonzero() <= length // 10
