"""What a forecast may depend on, and what it may not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from darts import concatenate
from darts.utils.data.torch_datasets.utils import ModuleStage, PLModuleInput

# With this factor most queries are lazy, so that the choice of the active ones matters.
SPARSE = {"sampling_factor": 1, "sparsity": "sampled"}
ATTENTIONS = [{"attention": "prob", **SPARSE}, {"attention": "full"}]


def values_close(one, other, rtol=1e-9):
    return np.allclose(one.values(), other.values(), rtol=rtol, atol=0)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("distil", [True, False])
def test_two_forecasts_are_bit_equal_whatever_the_generators_state(
    tiny_model, waves, attention, distil
):
    """Random key samples at prediction would make backtests and exports unrepeatable."""
    model = tiny_model(30, 6, distil=distil, **attention).fit(waves(60))
    first = model.predict(6)
    torch.manual_seed(1234)
    assert model.predict(6, random_state=99) == first


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("components", [1, 3])
def test_a_forecast_does_not_depend_on_its_batch(tiny_model, waves, attention, components):
    """Queries are chosen for each sample: neighbours in a batch must not change the choice."""
    seven = [waves(40 + i, components, seed=i) for i in range(7)]
    model = tiny_model(30, 6, **attention).fit(seven)
    together = model.predict(6, seven)
    for series, forecast in zip(seven, together, strict=True):
        assert values_close(model.predict(6, series), forecast)


def test_a_forecast_does_not_depend_on_the_batch_size_or_the_number_of_jobs(tiny_model, waves):
    seven = [waves(40, seed=i) for i in range(7)]
    model = tiny_model().fit(seven)
    usual = model.predict(6, seven)
    for options in ({"batch_size": 2}, {"batch_size": 100}, {"n_jobs": 2}, {"n_jobs": -1}):
        for one, other in zip(usual, model.predict(6, seven, **options), strict=True):
            assert values_close(one, other)


def test_a_shorter_horizon_is_the_start_of_the_chunk(tiny_model, waves):
    model = tiny_model(8, 6).fit(waves())
    assert model.predict(2) == model.predict(6)[:2]


# Darts lets the last chunk end at the horizon: of the chunk before it, only the rest is kept.
@pytest.mark.parametrize("kept", [(4, 4), (1, 4), (4, 4, 1, 4)])
def test_a_longer_horizon_feeds_the_forecast_back(tiny_model, waves, kept):
    """Rolling out by hand, and letting Darts do it, are the same."""
    series = waves()
    model = tiny_model(8, 4).fit(series)
    known = series
    for steps in kept:
        known = concatenate([known, model.predict(4, known)[:steps]])
    assert values_close(model.predict(sum(kept)), known[len(series) :])


@pytest.mark.parametrize("roll_size", [1, 3])
def test_roll_size_keeps_only_the_first_steps_of_a_chunk(tiny_model, waves, roll_size):
    model = tiny_model(8, 4).fit(waves())
    assert model.predict(9, roll_size=roll_size)[:roll_size] == model.predict(roll_size)


def test_only_the_look_back_counts(tiny_model, waves, with_value):
    """Steps before the input chunk may be missing altogether, or hold anything."""
    series = waves()
    model = tiny_model(8, 4).fit(series)
    assert model.predict(4, series[-8:]) == model.predict(4, series)
    assert model.predict(4, with_value(series, slice(0, 32), 1e9)) == model.predict(4, series)
    assert model.predict(4, with_value(series, 32, 12.0)) != model.predict(4, series)


def test_another_series_than_the_training_one(tiny_model, waves):
    """One model serves many series: other times, other length, another frequency's offset."""
    model = tiny_model().fit(waves())
    other = waves(17, seed=5).shift(1000)
    forecast = model.predict(7, other)
    assert forecast.start_time() == other.end_time() + pd.Timedelta("1h")
    assert len(forecast) == 7


@pytest.mark.parametrize("lengths", [(1, 1), (1, 5), (5, 1), (2, 3), (3, 2), (13, 7)])
@pytest.mark.parametrize("attention", ["prob", "full"])
@pytest.mark.parametrize("distil", [True, False])
def test_the_smallest_and_the_odd_lengths(tiny_model, waves, lengths, attention, distil):
    """One training sample of one step must work: batch norm, sampling and halving have corners."""
    options = {"attention": attention, "distil": distil, "num_encoder_layers": 3}
    for index in ("range", "datetime"):
        model = tiny_model(*lengths, **options).fit(waves(sum(lengths), index=index))
        forecast = model.predict(2 * lengths[1] + 1)
        assert np.isfinite(forecast.values()).all()


@pytest.mark.parametrize("start_token_length", [0, 1, 8])
def test_every_start_token_length_forecasts(tiny_model, waves, start_token_length):
    model = tiny_model(8, 4, start_token_length=start_token_length).fit(waves())
    assert np.isfinite(model.predict(6).values()).all()


@pytest.mark.parametrize("start_token_length", [0, 4, 8])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_instance_norm_follows_scale_and_level(tiny_model, waves, start_token_length, attention):
    """predict(a*y + b) = a*predict(y) + b: the start token is normalised as the input is."""
    # A small epsilon, as this one term of the norm is no multiple of the scale.
    options = {"use_reversible_instance_norm": {"affine": True, "eps": 1e-12}, **attention}
    series = waves(60, components=2)
    model = tiny_model(16, 4, start_token_length=start_token_length, **options).fit(series)
    moved = series * 250.0 - 4000.0
    assert values_close(model.predict(6, moved), model.predict(6) * 250.0 - 4000.0, rtol=1e-6)


def test_without_instance_norm_the_level_counts(tiny_model, waves):
    """The counterpart: the test above would hold for a constant network too, were this not so."""
    series = waves()
    model = tiny_model(use_reversible_instance_norm=False).fit(series)
    assert not values_close(model.predict(4, series + 50.0), model.predict(4) + 50.0, rtol=1e-3)


@pytest.mark.parametrize("shift", [1, 3, 9])
@pytest.mark.parametrize("covariates", [False, True])
def test_a_shifted_chunk_starts_later(tiny_model, waves, shift, covariates):
    """The gap is not forecast, and covariates and calendar are those of the shifted steps."""
    series, future = waves(40), waves(60, seed=3)
    given = {"future_covariates": future} if covariates else {}
    model = tiny_model(8, 4, output_chunk_shift=shift).fit(series, **given)
    forecast = model.predict(3, **given)
    assert forecast.start_time() == series.end_time() + (shift + 1) * series.freq
    assert len(forecast) == 3
    with pytest.raises(ValueError, match="output_chunk_shift"):
        model.predict(5, **given)


def test_future_covariates_of_a_shifted_chunk_begin_after_the_gap(tiny_model, waves, with_value):
    series, future = waves(40), waves(60, seed=3)
    # The network reads these, and has a share where nothing validates.
    model = tiny_model(8, 4, output_chunk_shift=2, early_stopping_patience=None)
    forecast = model.fit(series, future_covariates=future).predict(4, future_covariates=future)
    in_gap = with_value(future, slice(40, 42), 99.0)
    assert model.predict(4, future_covariates=in_gap) == forecast
    in_chunk = with_value(future, 45, 99.0)
    assert model.predict(4, future_covariates=in_chunk) != forecast


@pytest.mark.parametrize("stage", list(ModuleStage))
def test_the_future_target_is_never_read(tiny_model, waves, stage):
    """Darts hands the truth to the module in training and validation: reading it is a leak."""
    model = tiny_model(8, 4, time_features=False).fit(waves())
    model.model.network.train(stage is ModuleStage.TRAIN)

    def forecast(future_target):
        torch.manual_seed(0)
        past = torch.linspace(0, 1, 16, dtype=torch.float64).view(2, 8, 1)
        given = PLModuleInput(past, future_target=future_target, stage=stage)
        return model.model(given).prediction

    truth = torch.full((2, 4, 1), 1e6, dtype=torch.float64)
    assert torch.equal(forecast(truth), forecast(None))


def test_past_covariates_beyond_the_origin_are_not_read(tiny_model, waves, with_value):
    """They exist in a backtest, where they would leak; a plain forecast must not look either."""
    series, past = waves(40), waves(60, seed=1)
    model = tiny_model(8, 4).fit(series, past_covariates=past)
    unknown = with_value(past, slice(40, None), -1e6)
    assert model.predict(4, past_covariates=unknown) == model.predict(4, past_covariates=past)
