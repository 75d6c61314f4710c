"""What each input adds to a forecast: complete, equal to slopes of the forecast, and named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from darts import concatenate
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression

from informer_forecaster import register_attention
from informer_forecaster._network.attention import FullAttention
from informer_forecaster.explain import InformerExplainer

COVARIATES = ("past_covariates", "future_covariates")


def predicted(model, **given):
    """Forecast as the explainer names it: values, or the parameters of the likelihood."""
    parameters = model.likelihood is not None
    return model.predict(4, **given, predict_likelihood_parameters=parameters).values()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"attention": "full", "distil": False, "use_reversible_instance_norm": False},
        {"sparsity": "moment", "num_encoder_stacks": 2, "num_encoder_layers": 3, "patch_length": 1},
        {"patch_length": 3, "channel_independent": True},
        {"likelihood": QuantileRegression([0.1, 0.5, 0.9]), "decoder_causal": False},
        {"likelihood": GaussianLikelihood(), "output_chunk_shift": 2},
        {"use_reversible_instance_norm": {"affine": True}, "num_decoder_layers": 2},
    ],
    ids=lambda arguments: ", ".join(arguments) or "defaults",
)
def test_what_is_added_sums_to_the_forecast_less_that_of_the_baseline(tiny_model, waves, arguments):
    """An attribution that is not complete hides an input, or counts one twice."""
    static = pd.DataFrame({"size": [1.0, 2.0]})
    series = [waves(90, 2, seed=seed, static=static * (seed + 1)) for seed in range(2)]
    given = {name: [waves(110, 2, seed=seed + 5) for seed in range(2)] for name in COVARIATES}
    model = tiny_model(48, **{"sampling_factor": 1, "sparsity": "sampled", **arguments}).fit(
        series, **given
    )
    background = {f"background_{name}": value for name, value in given.items()}
    result = InformerExplainer(model, series, **background, num_points=64).explain()
    forecasts = [
        predicted(model, series=one, **{name: value[i] for name, value in given.items()})
        for i, one in enumerate(series)
    ]
    for explanation, forecast in zip(result.explanations, forecasts, strict=True):
        np.testing.assert_allclose(explanation.forecast, forecast, rtol=1e-4)
        table = explanation.completeness()
        size = (table["forecast"] - table["baseline"]).abs().max()
        assert size > 1e-3, "nothing is explained: the test would pass for zeros"
        assert table["gap"].abs().max() < 1e-3 * size
        assert set(explanation.added) == {"target", "pastcov", "futcov", "statcov"}


def test_a_linear_forecast_gives_its_weights(tiny_model, waves):
    """Where the forecast is a sum of weighted steps, what a step adds is known."""
    series = waves(60, 2)
    model = tiny_model(use_reversible_instance_norm=False, time_features=False).fit(series)
    network = model.model.network
    with torch.no_grad():
        network.projection.weight.zero_()
        network.lookback_skip.weight.normal_()
    window = waves(30, 2, seed=1)
    explanation = InformerExplainer(model).explain(window).explanations[0]
    weights = network.lookback_skip.weight[:, 0].detach().numpy()  # (C, H, L)
    distance = (window.values()[-8:] - series.values().mean(0)).T  # (C, L)
    for output in range(2):
        added = explanation.added["target"][:, output]  # (H, L, C)
        expected = weights[output] * distance[output]
        np.testing.assert_allclose(added[..., output], expected, rtol=1e-5, atol=1e-9)
        assert not added[..., 1 - output].any()


def test_a_step_adds_its_distance_times_the_slope_of_the_forecast(tiny_model, waves, with_value):
    """With the instance norm too, whose mean and deviation Darts takes as constants."""
    series = waves(60)
    model = tiny_model(time_features=False, trainer={"precision": "64-true"}).fit(series)
    window = waves(30, seed=1)
    table = InformerExplainer(model).explain(window, horizons=2).get_importance()
    # The forecast of a window b + a (x - b) is linear in a: its slope is the same along the path.
    step, mean = 1e-5, series.values().mean()
    for position in (-8, -3, -1):
        value = window.values()[position, 0]
        ends = [
            predicted(model, series=with_value(window, position, value + sign * step))[1, 0]
            for sign in (1, -1)
        ]
        slope = (ends[0] - ends[1]) / (2 * step)
        added = table["wave_0_target"][window.time_index[position]]
        assert added == pytest.approx((value - mean) * slope, rel=1e-4)


@pytest.fixture(scope="module")
def explained(tiny_model, waves):
    """Explain a forecast of two components with covariates of all kinds."""
    static = pd.DataFrame({"size": [1.0, 2.0]})
    given = {name: waves(60, 2).with_columns_renamed(["wave_0"], [name]) for name in COVARIATES}
    model = tiny_model().fit(waves(40, 2, static=static), **given)
    return InformerExplainer(model).explain(horizons=[1, 4])


def test_tables_lie_on_the_time_axis(explained, waves):
    table = explained.get_importance(4, "wave_1")
    axis = waves(60).time_index
    pd.testing.assert_index_equal(table.index, axis[32:44], check_names=False, exact=False)
    assert list(table.columns) == [
        *("wave_0_target", "wave_1_target"),
        *("past_covariates_pastcov", "wave_1_pastcov"),
        *("future_covariates_futcov", "wave_1_futcov"),
        *(f"{name}_futcov" for name in ("hour_of_day", "day_of_week", "day_of_month")),
        "day_of_year_futcov",
    ]
    known = table.notna().sum()
    assert (known.filter(like="futcov") == 12).all()
    assert (known.drop(known.filter(like="futcov").index) == 8).all()
    series = explained.get_explanation(4, "wave_1")
    assert list(series.components) == list(table.columns)
    np.testing.assert_array_equal(series.values(), table.to_numpy())


def test_the_mean_of_the_horizons_is_explained_by_default(explained):
    both = [explained.get_importance(horizon, "wave_0") for horizon in (1, 4)]
    mean = explained.get_importance(component="wave_0")
    pd.testing.assert_frame_equal(mean, (both[0] + both[1]) / 2)
    assert not both[0].equals(both[1])


def test_shares_count_every_input_once(explained):
    shares = explained.get_shares(1, "wave_0")
    assert shares.sum() == pytest.approx(1)
    assert shares.is_monotonic_decreasing
    columns = set(explained.get_importance(1, "wave_0").columns)
    assert set(shares.index) == columns | {"size_statcov"}


def test_static_covariates_count_against_the_mean_of_the_background(tiny_model, waves):
    series = [waves(40, 1, static=pd.DataFrame({"size": [size]})) for size in (1.0, 3.0)]
    model = tiny_model().fit(series)
    model.model.share.fill_(0.5)  # the start reads none
    both = InformerExplainer(model, series).explain()
    first, second = (table.loc["all", "size_statcov"] for table in both.get_static_importance())
    assert first * second < 0, "one lies below the mean and the other above it"
    alone = InformerExplainer(model, series[0]).explain()
    assert not alone.get_static_importance().to_numpy().any()


def test_an_input_without_weights_adds_nothing(tiny_model, waves):
    covariates = waves(60, 2)
    options = {"time_features": False, "covariate_effects": False}
    options["early_stopping_patience"] = None  # whatever the network has learnt
    model = tiny_model(**options).fit(waves(40), future_covariates=covariates)
    with torch.no_grad():
        for embedding in (
            model.model.network.encoder_embedding,
            model.model.network.decoder_embedding,
        ):
            embedding.time_stamp.weight[:, 1] = 0
    shares = InformerExplainer(model).explain().get_shares()
    assert shares["wave_1_futcov"] == 0
    assert shares["wave_0_futcov"] > 0


def test_a_covariate_with_the_name_of_a_calendar_feature_is_kept(tiny_model, waves):
    hours = waves(60).with_columns_renamed("wave_0", "hour_of_day")
    model = tiny_model().fit(waves(40), future_covariates=hours)
    result = InformerExplainer(model).explain()
    columns = list(result.get_importance(1).columns)
    assert columns.count("hour_of_day_futcov") == 2
    assert len(result.get_shares()) == len(columns) == result.get_explanation().n_components


def test_a_series_that_counts_its_steps_and_a_shifted_horizon(tiny_model, waves):
    model = tiny_model(output_chunk_shift=3).fit(waves(40, index="range"))
    series = InformerExplainer(model).explain(horizons=1).get_explanation()
    assert list(series.time_index) == list(range(37, 52))
    table = InformerExplainer(model).explain(horizons=1).get_importance()
    assert list(table.index) == [*range(37, 45), *range(48, 52)]


def test_half_precision_is_explained_in_single(tiny_model, waves):
    model = tiny_model(trainer={"precision": "bf16-true"}).fit(waves(40, dtype=np.float32))
    table = InformerExplainer(model).explain().get_completeness()
    np.testing.assert_allclose(table["forecast"], model.predict(4).values()[:, 0], rtol=0.05)
    assert table["gap"].abs().max() < 1e-3


class Strongest(FullAttention):
    """Attention of a user's own, which is a full one by its class only."""

    def forward(self, *heads):
        return heads[-1].amax(dim=2, keepdim=True).expand_as(heads[0])


def test_an_attention_of_the_users_own_is_part_of_the_forecast_only(tiny_model, waves):
    """What it adds counts; which rows it looks at is not made up."""
    register_attention("strongest", lambda *_unused: Strongest())
    model = tiny_model(16, attention="strongest", decoder_causal=False).fit(waves(60))
    result = InformerExplainer(model).explain()
    table = result.get_completeness()
    np.testing.assert_allclose(table["forecast"], model.predict(4).values()[:, 0], rtol=1e-4)
    assert table["gap"].abs().max() < 1e-3 * (table["forecast"] - table["baseline"]).abs().max()
    assert result.encoder_layers == ()
    assert [one.kind for one in result.decoder_layers] == ["decoder cross"]


def test_the_baseline_of_sample_paths_is_that_of_their_mean(tiny_model, waves):
    """A background of several sample paths stands for the mean over steps and paths."""
    paths = concatenate([waves(60, seed=seed) for seed in range(3)], axis="sample")
    target = waves(40)
    model = tiny_model(time_features=False).fit(target, paths)
    results = [
        InformerExplainer(model, target, background).explain(target, waves(60), horizons=1)
        for background in (paths, paths.mean())
    ]
    pd.testing.assert_frame_equal(*(one.get_completeness() for one in results))
