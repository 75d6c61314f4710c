"""Numbers at the edges: constants, tiny and huge scales, long horizons, short floats."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from darts.models.components.layer_norm_variants import RINorm

from informer_forecaster import Informer, InformerConfig

SIZES = {"d_model": 8, "nhead": 2, "num_encoder_layers": 2, "dim_feedforward": 8}
KINDS = [
    {"attention": "full"},
    {"sampling_factor": 1, "sparsity": "sampled"},
    {"sampling_factor": 1, "sparsity": "moment", "patch_length": 1},
]
# A value above 2 ** 32 is refused by both adapters before it reaches the network.
EDGES = (0.0, 1e-38, 1e-30, 1e-6, 1.0, 1e6, 4e9)


def network(**changes):
    torch.manual_seed(0)
    return Informer(InformerConfig(**{**SIZES, "num_targets": 2, **changes}))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("lengths", [(1, 1), (1, 48), (48, 1), (96, 336)], ids=str)
def test_every_float_type_is_finite_forward_and_backward(dtype, kind, lengths):
    model = network(input_chunk_length=lengths[0], output_chunk_length=lengths[1], **kind)
    model.to(dtype).train()
    generator = torch.Generator().manual_seed(1)
    for scale in EDGES:
        for values in (
            torch.ones(2, lengths[0], 2),
            torch.randn(2, lengths[0], 2, generator=generator),
        ):
            model.zero_grad()
            forecast = model((values * scale).to(dtype))
            assert forecast.dtype == dtype
            assert bool(forecast.isfinite().all())
            forecast.float().abs().mean().backward()
            assert all(
                bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None
            )


@pytest.mark.parametrize(
    ("dtype", "scales", "rtol"),
    [(np.float64, (1e-3, 1e6, 1e30, 1e70), 1e-5), (np.float32, (1e-2, 1e3, 1e8), 1e-3)],
)
def test_instance_norm_follows_every_scale(tiny_model, waves, dtype, scales, rtol):
    """predict(a * y + b) = a * predict(y) + b, as far as the norm's epsilon and rounding allow."""
    series = waves(60, 2, dtype=dtype)
    model = tiny_model(16, 4).fit(series)
    spread = series.values().std()
    plain = model.predict(9).values()
    for a in scales:
        for b in (0.0, 3.0 * a):
            moved = model.predict(9, (series * a + b).astype(dtype)).values()
            np.testing.assert_allclose((moved - b) / a, plain, rtol=0, atol=rtol * spread)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("level", [0.0, 1e-30, -7.0, 4e9])
def test_a_constant_stays_what_it_is(tiny_model, waves, dtype, level):
    """A window without deviation: the network adds no more than the norm's epsilon."""
    model = tiny_model(8, 4).fit(waves(dtype=dtype))
    constant = (waves(dtype=dtype) * 0.0 + level).astype(dtype)
    forecast = model.predict(30, constant).values()
    np.testing.assert_allclose(forecast, level, rtol=1e-6, atol=1e-5)
    trained = tiny_model(8, 4).fit(constant).predict(30).values()
    np.testing.assert_allclose(trained, level, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("lengths", [(1, 1), (8, 4)])
def test_a_horizon_of_hundreds_of_chunks_is_finite(tiny_model, waves, lengths):
    forecast = tiny_model(*lengths).fit(waves()).predict(300 * lengths[1])
    assert len(forecast) == 300 * lengths[1]
    assert np.isfinite(forecast.values()).all()


def train_on_any_scale(num_steps, norm, kind):
    """Train with Adam; every batch has another scale, level and shape, and jumps in it."""
    model = network(input_chunk_length=16, output_chunk_length=8, **kind).train()
    rin = RINorm(input_dim=2, eps=1e-12) if norm else None
    parameters = [*model.parameters(), *(rin.parameters() if rin else ())]
    adam = torch.optim.Adam(parameters)
    generator = torch.Generator().manual_seed(2)
    for step in range(num_steps):
        values = torch.randn(4, 24, 2, generator=generator)
        values *= 10 ** (torch.rand(4, 1, 2, generator=generator) * 39 - 30)  # 1e-30 to 1e9
        values[0] = values[0, :1]  # a constant
        values[1, 12:] += 1e9  # a jump
        past, future = values.split((16, 8), dim=1)
        forecast = model(past if rin is None else rin(past))
        forecast = forecast if rin is None else rin.inverse(forecast)
        loss = (forecast.squeeze(3) - future).square().mean()
        adam.zero_grad()
        loss.backward()
        norms = torch.nn.utils.get_total_norm([p.grad.double() for p in parameters])
        assert bool(norms.isfinite()), f"step {step}"
        adam.step()
    assert all(bool(p.isfinite().all()) for p in parameters)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_gradients_stay_finite_on_any_scale(norm, kind):
    train_on_any_scale(20, norm, kind)


@pytest.mark.slow
@pytest.mark.parametrize("norm", [True, False])
def test_gradients_stay_finite_for_ten_thousand_steps(norm):
    train_on_any_scale(10_000, norm, {"sampling_factor": 1, "sparsity": "sampled"})
