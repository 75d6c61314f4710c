"""What the components of a target say of each other, found by regression before training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from darts import TimeSeries
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression

from informer_forecaster import InformerConfig
from informer_forecaster._network.component_lags import ComponentLags
from informer_forecaster.explain import InformerExplainer

WHOLE = {"limit_train_batches": None}
DELAY, HORIZON, TRAINING = 4, 4, 500


def follow(seed=0, length=600, units=(1.0, 1.0)):
    """Make orders that nobody can foresee, and deliveries that follow them after four steps."""
    draw = np.random.default_rng(seed)
    orders = draw.normal(size=length + DELAY)
    deliveries = orders[:-DELAY] + 0.1 * draw.normal(size=length)
    values = np.c_[orders[DELAY:], deliveries] * np.asarray(units)
    return TimeSeries.from_values(values.astype(np.float32), columns=["orders", "deliveries"])


def fitted(tiny_model, series, **options):
    model = tiny_model(16, HORIZON, n_epochs=0, trainer=WHOLE, **options)
    return model.fit(series[:TRAINING])


def errors(model, series):
    """Mean absolute error of each component, after the training."""
    forecasts = model.historical_forecasts(
        series, start=TRAINING, start_format="position", retrain=False, stride=HORIZON,
        forecast_horizon=HORIZON, last_points_only=False,
    )  # fmt: skip
    wrong = [np.abs(one.values() - series.slice_intersect(one).values()) for one in forecasts]
    return np.mean(wrong, axis=(0, 1))


@pytest.mark.parametrize("units", [(1.0, 1.0), (1e4, 1e-3)])
def test_what_follows_another_component_is_forecast(tiny_model, units):
    """A fifth of what it varies by; by itself it is noise, as what it follows is."""
    series = follow(units=units)
    orders, deliveries = errors(fitted(tiny_model, series), series) / units
    assert deliveries < 0.25
    assert 0.6 < orders < 1.0
    (alone,) = errors(fitted(tiny_model, series["deliveries"]), series["deliveries"])
    assert alone / units[1] > 0.6


def test_components_that_say_nothing_of_each_other_are_not_read(tiny_model):
    draw = np.random.default_rng(1)
    series = TimeSeries.from_values(draw.normal(size=(600, 4)).astype(np.float32))
    assert len(fitted(tiny_model, series).model.components.weight) == 1


@pytest.mark.parametrize(
    "likelihood", [None, QuantileRegression([0.1, 0.5, 0.9]), GaussianLikelihood()]
)
@pytest.mark.parametrize("norm", [True, False])
def test_every_forecast_that_has_a_place_is_moved(tiny_model, likelihood, norm):
    """The width of what is left is that of a fifth of the noise, not of all of it."""
    series = follow()
    options = {"likelihood": likelihood, "use_reversible_instance_norm": norm}
    model = fitted(tiny_model, series, **options)
    if likelihood is None:
        assert errors(model, series)[1] < 0.25
        return
    found = model.predict(
        HORIZON, series[:TRAINING], num_samples=1, predict_likelihood_parameters=True
    )
    values = found.values().reshape(HORIZON, 2, -1)[:, 1]
    middle = values[:, 0] if isinstance(likelihood, GaussianLikelihood) else values[:, 1]
    expected = series[TRAINING : TRAINING + HORIZON].values()[:, 1]
    assert np.abs(middle - expected).mean() < 0.25
    width = values[:, 1] if isinstance(likelihood, GaussianLikelihood) else np.ptp(values, axis=1)
    assert width.max() < 1.0


def make_lags(steps=6, horizon=3, components=3):
    config = InformerConfig(steps, horizon, num_targets=components)
    lags = ComponentLags(config)
    lags.set_map(torch.randn(components, horizon, components * lags.num_steps))
    return lags


def test_level_and_unit_of_the_others_do_not_matter():
    """For any weights: a leader that moved up since, or is counted in dozens, says the same."""
    lags, target = make_lags(), torch.randn(5, 6, 3)
    moved = target * torch.tensor([1.0, 12.0, 0.1]) + torch.tensor([0.0, -7.0, 100.0])
    torch.testing.assert_close(lags(moved)[..., 0], lags(target)[..., 0], rtol=1e-3, atol=1e-3)


def test_an_answer_is_in_the_unit_of_its_component():
    lags, target = make_lags(), torch.randn(5, 6, 3)
    units = torch.tensor([2.0, 30.0, 0.5])
    torch.testing.assert_close(lags(target * units), lags(target) * units)


def test_regression_reads_what_the_map_reads():
    """The rows of a component times its weights are its forecast, but for itself."""
    lags, target = make_lags(), torch.randn(5, 6, 3)
    weight = lags.weight.detach().clone()
    for own in range(3):
        weight[own, own] = 0.0
    lags.set_map(weight.transpose(1, 2).flatten(2))
    by_rows = torch.einsum("bcn,chn->bhc", lags.rows(target), weight.transpose(1, 2).flatten(2))
    torch.testing.assert_close(lags(target), by_rows)


def test_a_component_that_stands_still_says_nothing():
    lags, target = make_lags(), torch.randn(5, 6, 3)
    target[..., 1] = 3.0
    answer = lags(target)
    assert answer.isfinite().all()
    assert not answer[..., 1].any()


def test_no_table_of_hundreds_of_columns_is_read():
    """The map would have more weights than the rest of the network."""
    assert ComponentLags.suits(InformerConfig(96, 24, num_targets=7))
    assert not ComponentLags.suits(InformerConfig(96, 24, num_targets=321))
    assert not ComponentLags.suits(InformerConfig(96, 24, num_targets=1))


def test_a_map_survives_every_kind_of_file(tiny_model, reloaded):
    series = follow()
    model = fitted(tiny_model, series)
    expected = model.predict(HORIZON, series[:TRAINING])
    for loaded in reloaded(model):
        assert loaded.predict(HORIZON, series[:TRAINING]) == expected


def test_weights_fit_other_lengths():
    """Steps ahead are counted from the origin, and so are steps back."""
    long, short = make_lags(6, 3), ComponentLags(InformerConfig(4, 2, num_targets=3))
    short.load_state_dict(long.state_dict())
    assert torch.equal(short.weight, long.weight[:, :, :2, -4:])


# Of 40 components a training reads the others with up to 54 steps of 48 ahead.
SUITED, TOO_LONG = 54, 56


def many():
    return TimeSeries.from_values(np.random.default_rng(0).normal(size=(120, 40)))


def test_weights_move_to_a_length_that_a_training_would_not_suit(tiny_model, reloaded, tmp_path):
    """A map moves with the others; all files of the model that it moved to hold it."""
    series = many()
    model = tiny_model(48, SUITED, n_epochs=0).fit(series)
    model.model.components.set_map(torch.randn(40, SUITED, 40 * 48) / 100)
    model.save(str(tmp_path / "short.pt"))
    longer = tiny_model(48, TOO_LONG)
    longer.load_weights(str(tmp_path / "short.pt"))
    forecast = longer.predict(TOO_LONG, series)
    np.testing.assert_allclose(
        forecast.values()[:SUITED], model.predict(SUITED, series).values(), rtol=1e-4, atol=1e-4
    )
    for loaded in reloaded(longer):
        assert loaded.predict(TOO_LONG, series) == forecast


def test_weights_move_from_a_length_that_did_not_suit(tiny_model, reloaded, tmp_path):
    series = many()
    model = tiny_model(48, TOO_LONG, n_epochs=0).fit(series)
    model.save(str(tmp_path / "long.pt"))
    shorter = tiny_model(48, SUITED)
    shorter.load_weights(str(tmp_path / "long.pt"))
    forecast = shorter.predict(SUITED, series)
    np.testing.assert_allclose(
        forecast.values(), model.predict(TOO_LONG, series).values()[:SUITED], rtol=1e-4, atol=1e-4
    )
    for loaded in reloaded(shorter):
        assert loaded.predict(SUITED, series) == forecast


def test_an_explanation_names_the_component_that_a_forecast_follows(tiny_model):
    """Deliveries four steps ahead are the orders of today, whatever was delivered before."""
    result = InformerExplainer(fitted(tiny_model, follow())).explain(horizons=[HORIZON])
    importance = result.get_importance(horizon=HORIZON, component="deliveries")
    most = {name: np.nanmax(np.abs(values)) for name, values in importance.items()}
    assert most["orders_target"] > most["deliveries_target"]
    assert np.nanargmax(np.abs(importance["orders_target"])) == 15  # the last step that is known
