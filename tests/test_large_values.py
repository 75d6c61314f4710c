"""Values far from one: scores, gradients and forecasts stay finite, and are those of float64."""

import copy

import pytest
import torch

from informer_forecaster import Informer, InformerConfig

# Width of a head, which decides how fused attention adds up.
WIDTHS = pytest.mark.parametrize("d_model", [8, 32])
ATTENTIONS = pytest.mark.parametrize("attention", ["prob", "full"])
# Of 32-bit numbers, whose squares of squares are finite, as the optimizer needs them.
LARGEST = 2.0**31


def make_network(d_model: int, attention: str, **changes: object) -> Informer:
    torch.manual_seed(0)
    lengths = {"input_chunk_length": 40, "output_chunk_length": 10, "num_targets": 1}
    covariates = dict.fromkeys(
        ("num_past_covariates", "num_future_covariates", "num_static_covariates"), 1
    )
    sizes = {"d_model": d_model, "nhead": 1, "dim_feedforward": 8, "dropout": 0.0}
    sparse = {"attention": attention, "sampling_factor": 1, "sparsity": "sampled"}
    config = InformerConfig(**lengths, **covariates, **sizes, **sparse, **changes)
    return Informer(config).eval()


def make_inputs(*sizes: float) -> list[torch.Tensor]:
    """Draw target and past, future and static covariates, each times its size."""
    generator = torch.Generator().manual_seed(1)
    shapes = [(3, 40, 1), (3, 40, 1), (3, 50, 1), (3, 1)]
    return [
        torch.randn(shape, generator=generator) * size
        for shape, size in zip(shapes, sizes, strict=True)
    ]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("size", [1e3, 1e6, LARGEST])
@ATTENTIONS
@WIDTHS
def test_inputs_of_any_size_leave_gradients_finite(
    d_model: int, attention: str, size: float, kind: int
) -> None:
    """Scores of 1e9 overflow in the gradient of fused attention, and all weights become NaN."""
    network = make_network(d_model, attention, lookback_skip=False)
    inputs = make_inputs(*(size if i == kind else 1.0 for i in range(4)))
    forecast = network(*inputs)
    forecast.square().mean().backward()
    assert bool(forecast.isfinite().all())
    for parameter in network.parameters():
        assert bool(parameter.grad.isfinite().all())
        # Adam squares it.
        assert bool(parameter.grad.square().isfinite().all())


@pytest.mark.parametrize("size", [1.0, 100.0, 1e6, 1e9])
@ATTENTIONS
def test_large_inputs_give_what_they_give_in_double_precision(attention: str, size: float) -> None:
    """Finite is not enough: rounding of a large score would be multiplied by ``e``."""
    network = make_network(8, attention, lookback_skip=False)
    wide = copy.deepcopy(network).double()
    inputs = make_inputs(1.0, size, size, size)
    forecast, expected = network(*inputs), wide(*(x.double() for x in inputs))
    torch.testing.assert_close(forecast.double(), expected, rtol=1e-3, atol=1e-3)
    forecast.sum().backward()
    expected.sum().backward()
    for narrow, one in zip(network.parameters(), wide.parameters(), strict=True):
        scale = float(one.grad.abs().max())
        torch.testing.assert_close(narrow.grad.double(), one.grad, rtol=0, atol=0.02 * scale + 1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@ATTENTIONS
def test_mixed_precision_embeds_what_exceeds_its_largest_number(
    attention: str, dtype: torch.dtype
) -> None:
    """A covariate of 1e6 is infinite in 16 bits."""
    network = make_network(8, attention, lookback_skip=False)
    with torch.autocast("cpu", dtype=dtype):
        forecast = network(*make_inputs(1.0, 1e6, 1e6, 1e6))
    forecast.float().square().mean().backward()
    assert bool(forecast.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


@pytest.mark.parametrize("size", [1e3, 1e6])
def test_a_fit_on_unscaled_covariates_forecasts_numbers(tiny_model, waves, size):
    """The head of width 8 is one whose fused attention overflowed."""
    covariate = waves(80) * size
    model = tiny_model(12, 1, nhead=1, num_encoder_layers=1)
    model.fit(waves(60), future_covariates=covariate)
    assert all(bool(p.isfinite().all()) for p in model.model.parameters())
    assert abs(model.predict(1).values().item() - 10) < 3
