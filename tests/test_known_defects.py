"""One test for each defect that existing implementations of the Informer have; ours has none."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from informer_forecaster import Informer, InformerConfig
from informer_forecaster._network.attention import FullAttention, ProbSparseAttention
from informer_forecaster._network.distilling import Distilling

SEEDS = range(3)
QUIET = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
TINY = {
    "d_model": 8,
    "nhead": 2,
    "n_epochs": 1,
    "random_state": 0,
    "pl_trainer_kwargs": {"accelerator": "cpu", **QUIET},
}


def make_network(seed: int = 0, **changes: object) -> Informer:
    torch.manual_seed(seed)
    lengths = {"input_chunk_length": 60, "output_chunk_length": 30, "num_targets": 2}
    sizes = {"d_model": 16, "nhead": 2, "dim_feedforward": 32, "sparsity": "sampled"}
    return Informer(InformerConfig(**{**lengths, **sizes, **changes})).eval()


def random_heads(seed: int, batch: int, heads: int, length: int, width: int) -> Tensor:
    return torch.randn(batch, heads, length, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("batch", "heads"), [(1, 1), (1, 4), (3, 1), (3, 4)])
def test_1_heads_and_time_are_not_scrambled(
    seed: int, causal: bool, batch: int, heads: int
) -> None:
    """Where every query is active, ProbSparse is full attention; scrambled heads would show."""
    lengths = [(20, 20)] if causal else [(20, 20), (20, 33), (33, 20)]
    for num_queries, num_keys in lengths:
        q = random_heads(seed, batch, heads, num_queries, 8)
        k = random_heads(seed + 1, batch, heads, num_keys, 8)
        v = random_heads(seed + 2, batch, heads, num_keys, 8)
        sparse = ProbSparseAttention(sampling_factor=50, causal=causal)(q, k, v)
        full = FullAttention(causal=causal)(q, k, v)
        torch.testing.assert_close(sparse, full, rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_1_each_active_row_holds_its_own_heads(seed: int) -> None:
    """Also where rows are selected: each row is full attention's row or the mean of the values."""
    q, k, v = (random_heads(seed + i, 2, 3, 80, 8) for i in range(3))
    sparse = ProbSparseAttention(sampling_factor=2)(q, k, v)
    is_active = (sparse - FullAttention()(q, k, v)).abs().amax(3) < 1e-5
    is_lazy = (sparse - v.mean(2, keepdim=True)).abs().amax(3) < 1e-5
    assert bool((is_active | is_lazy).all())
    assert is_active.sum(2).unique().tolist() == [10]


@pytest.mark.parametrize("seed", SEEDS)
def test_2_two_calls_are_equal_and_the_batch_does_not_matter(seed: int) -> None:
    network = make_network(seed, sampling_factor=1)
    x = torch.randn(7, 60, 2)
    assert torch.equal(network(x), network(x))
    alone = torch.cat([network(one) for one in x.split(1)])
    torch.testing.assert_close(network(x), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [50, 720])
def test_3_masked_lazy_rows_get_the_cumulative_mean(length: int) -> None:
    ones = torch.ones(2, 2, length, 4)
    q = torch.randn(2, 2, length, 4)
    attention = ProbSparseAttention(sampling_factor=1, causal=True)
    torch.testing.assert_close(attention(q, torch.randn_like(q), ones), ones)
    half = attention(q.bfloat16(), q.bfloat16(), ones.bfloat16())
    torch.testing.assert_close(half, ones.bfloat16())


def test_4_the_mean_term_is_over_the_sampled_keys() -> None:
    """With equal keys every score is equal, so the measurement, max minus mean, is zero."""
    q = torch.randn(1, 1, 300, 8)
    k = torch.randn(1, 1, 1, 8).expand(1, 1, 300, 8)
    measurement = ProbSparseAttention(sampling_factor=2).sparsity_measurement(q, k)
    torch.testing.assert_close(measurement, torch.zeros(1, 1, 300), rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_5_one_head_does_not_leak_between_samples(seed: int) -> None:
    network = make_network(seed, nhead=1, sampling_factor=1)
    x = torch.randn(2, 60, 2)
    changed = x.clone()
    changed[1] += 1.0
    torch.testing.assert_close(network(x)[0], network(changed)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("attention", ["prob", "full"])
def test_6_attention_dropout_is_applied(attention: str) -> None:
    """In training the weights of self- and cross-attention are dropped; at prediction none are."""
    network = make_network(attention=attention, token_dropout=0.5)
    attentions = [module for module in network.modules() if isinstance(module, FullAttention)]
    assert len(attentions) == 4
    for module in attentions:
        module.dropout.train()
    x = torch.randn(2, 60, 2)
    torch.manual_seed(0)
    first = network(x)
    assert not torch.allclose(first, network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 95, 96, 97])
def test_7_distilling_halves_exactly(length: int) -> None:
    x = torch.randn(2, length, 8)
    for mode in ("replicate", "circular"):
        assert Distilling(8, mode)(x).shape == (2, (length + 1) // 2, 8)


@pytest.mark.parametrize("seed", SEEDS)
def test_8_the_instance_norm_covers_the_start_token(seed: int) -> None:
    """predict(a*y + b) = a*predict(y) + b fails if the decoder sees raw values."""
    from darts import TimeSeries

    from informer_forecaster import InformerModel

    model = InformerModel(
        30,
        10,
        start_token_length=20,
        **{**TINY, "random_state": seed},
    )
    values = np.random.default_rng(seed).normal(size=100).cumsum()
    series = TimeSeries.from_values(values)
    model.fit(series)
    # It begins at zero, and an epoch leaves it so small that nothing before it shows.
    torch.nn.init.normal_(model.model.network.projection.weight)
    model.model.share.fill_(1.0)
    plain = model.predict(10, series).values()
    for scale, level in ((40.0, 700.0), (1e-3, 0.0), (1e-3, 0.5)):
        moved = model.predict(10, series * scale + level).values()
        np.testing.assert_allclose(moved, scale * plain + level, rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_9_every_window_is_scored_by_the_training_scaler(batch_size: int) -> None:
    """A dropped last batch or a scaler that has seen the test part changes the published score."""
    from darts import TimeSeries
    from darts.dataprocessing.transformers import Scaler

    from informer_forecaster import InformerModel

    values = np.random.default_rng(0).normal(size=120).cumsum()
    scaler = Scaler()
    train = scaler.fit_transform(TimeSeries.from_values(values[:90]))
    series = scaler.transform(TimeSeries.from_values(values))
    np.testing.assert_array_equal(series[:90].values(), train.values())
    model = InformerModel(20, 5, **TINY).fit(train)
    backtest = {"start": 95, "forecast_horizon": 5, "last_points_only": False, "retrain": False}
    forecasts = model.historical_forecasts(
        series, predict_kwargs={"batch_size": batch_size}, **backtest
    )
    assert [f.start_time() for f in forecasts] == list(range(95, 116))
    expected = [model.predict(5, series[:origin]).values() for origin in range(95, 116)]
    for forecast, one in zip(forecasts, expected, strict=True):
        np.testing.assert_allclose(forecast.values(), one, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 30])
def test_9_new_rows_do_not_move_the_scale_of_the_training(rows: int) -> None:
    """Two updates that differ before the look-back window only leave the same forecast."""
    import pandas as pd

    from informer_forecaster import InformerForecaster

    values = np.random.default_rng(0).normal(size=60).cumsum()
    window = values[-12:]
    forecasts = []
    for between in (0.0, 1e3):
        forecaster = InformerForecaster(
            12, **TINY, scaler="standard", use_reversible_instance_norm=False
        )
        forecaster.fit(pd.Series(values), fh=[1, 2, 3])
        new = np.concatenate([np.full(rows, between), window])
        index = pd.RangeIndex(60, 60 + len(new))
        forecaster.update(pd.Series(new, index), update_params=False)
        forecasts.append(forecaster.predict().to_numpy())
    np.testing.assert_array_equal(*forecasts)


def test_9_the_benchmark_scales_by_its_training_part() -> None:
    """Whatever the later parts hold, the training part is the same, with mean 0 and deviation 1."""
    from darts import TimeSeries

    path = Path(__file__).parents[1] / "docs" / "benchmarks" / "protocol.py"
    benchmark = runpy.run_path(str(path))
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(200, 1))
    trainings = []
    for factor in (1.0, 50.0):
        values[100:] *= factor
        series = TimeSeries.from_values(values)
        dataset = benchmark["Dataset"](lambda _, series=series: series, (100, 50, 50), (8,))
        trainings.append(benchmark["load_parts"](dataset, None, 24)[0].values())
    np.testing.assert_array_equal(*trainings)
    assert abs(trainings[0].mean()) < 1e-5
    assert abs(trainings[0].std() - 1) < 1e-5


def test_11_the_learning_rate_is_not_halved_every_epoch() -> None:
    """Most published scores are of networks that stopped learning after three epochs."""
    from darts import TimeSeries
    from pytorch_lightning.callbacks import Callback

    from informer_forecaster import InformerModel

    rates: list[float] = []

    class Recorder(Callback):
        def on_train_epoch_end(self, trainer, pl_module):  # noqa: ARG002 - Lightning's names
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    trainer = {**TINY["pl_trainer_kwargs"], "callbacks": [Recorder()]}
    changes = {"n_epochs": 6, "early_stopping_patience": None, "pl_trainer_kwargs": trainer}
    model = InformerModel(20, 5, **{**TINY, **changes})
    model.fit(TimeSeries.from_values(np.random.default_rng(0).normal(size=40)))
    assert len(rates) == 6
    assert rates[2] > 0.5 * max(rates)


@pytest.mark.parametrize("sparsity", ["sampled", "moment"])
@pytest.mark.parametrize(("dtype", "level"), [(torch.bfloat16, 1000.0), (torch.float16, 1000.0)])
def test_10_half_precision_is_finite_at_720(
    dtype: torch.dtype, level: float, sparsity: str
) -> None:
    """Of 720 tokens each, and away from zero, where scores and running sums grow largest."""
    lengths = {"input_chunk_length": 720, "output_chunk_length": 720, "patch_length": 1}
    network = make_network(**lengths, sparsity=sparsity).train()
    with torch.autocast("cpu", dtype=dtype):
        forecast = network(torch.randn(2, 720, 2) + level)
    assert bool(forecast.isfinite().all())
    (forecast.float() / level).square().mean().backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("sparsity", ["sampled", "moment"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_10_scores_and_sums_beyond_half_precision_are_those_of_single(
    causal: bool, sparsity: str, autocast: bool
) -> None:
    """Scores of 300 times 300, and 720 values of 200: both exceed the largest float16."""
    q, k, noise = (random_heads(i, 1, 2, 720, 8) for i in range(3))
    q, k, v = (300 * q).half(), (300 * k).half(), (200 + noise).half()
    attention = ProbSparseAttention(causal=causal, sparsity=sparsity).eval()
    with torch.autocast("cpu", dtype=torch.float16, enabled=autocast):
        sparse = attention(q, k, v).float()
    wide = attention(q.float(), k.float(), v.float())
    torch.testing.assert_close(sparse, wide, rtol=0, atol=0.5)


@pytest.mark.parametrize("position", [0, 31, 60, 95])
def test_4_a_large_value_leaves_earlier_rows_as_they_are(position: int) -> None:
    """Also in rounding: what a row may not see must not cancel what it sees."""
    q, v = random_heads(0, 1, 1, 96, 8), random_heads(1, 1, 1, 96, 8)
    changed = v.clone()
    changed[:, :, position] *= 1e8
    attention = ProbSparseAttention(sampling_factor=2, causal=True).eval()
    one, other = attention(q, q, v), attention(q, q, changed)
    assert torch.equal(one[:, :, :position], other[:, :, :position])


@pytest.mark.parametrize("seed", SEEDS)
def test_12_known_future_rows_reach_the_forecast_and_nothing_else_can(seed: int) -> None:
    """The network is given only the past and the known future; each input it is given matters."""
    network = make_network(
        seed, num_past_covariates=1, num_future_covariates=3, num_static_covariates=2
    )
    inputs = [
        torch.randn(1, 60, 2),
        torch.randn(1, 60, 1),
        torch.randn(1, 90, 3),
        torch.randn(1, 2),
    ]
    forecast = network(*inputs)
    for position in range(4):
        changed = [x + (i == position) for i, x in enumerate(inputs)]
        assert not torch.allclose(network(*changed), forecast, atol=1e-4)
