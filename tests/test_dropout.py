"""The fast dropout against what dropout has to be."""

import pytest
import torch

from informer_forecaster._network.dropout import Dropout, drop


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rate_and_expectation(p: float, dtype: torch.dtype) -> None:
    """A wrong rate, or a scale that does not undo it, shifts what every layer sees."""
    torch.manual_seed(0)
    dropped = drop(torch.ones(400_003, dtype=dtype), p)
    assert dropped.dtype == dtype
    kept = dropped != 0
    assert kept.double().mean() == pytest.approx(1 - p, abs=0.004)
    assert dropped[kept].double().unique().tolist() == pytest.approx([1 / (1 - p)], rel=4e-3)


def test_each_of_the_four_lanes_has_the_rate() -> None:
    """A random integer without its sign bit would never drop every fourth value as often."""
    torch.manual_seed(0)
    kept = drop(torch.ones(100_000, 4), 0.3) != 0
    assert kept.double().mean(0).tolist() == pytest.approx([0.7] * 4, abs=0.006)


def test_draws_are_independent() -> None:
    """Neighbours, and the lanes of one integer, are dropped independently."""
    torch.manual_seed(0)
    kept = (drop(torch.ones(50_000, 8), 0.5) != 0).double()
    assert torch.corrcoef(kept.T).fill_diagonal_(0).abs().max() < 0.02


def test_a_rate_near_one_still_has_a_scale() -> None:
    assert bool(drop(torch.ones(10), 0.999999).isfinite().all())


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 3, 7)])
def test_gradient_is_the_mask(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    dropped = drop(x, 0.5)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad * x, dropped)


def test_a_seed_fixes_the_mask_and_prediction_drops_nothing() -> None:
    x = torch.ones(1000)
    layer = Dropout(0.5)
    draws = [torch.manual_seed(1) and layer(x) for _ in range(2)]
    assert torch.equal(*draws)
    assert not torch.equal(layer(x), layer(x))
    assert layer.eval()(x) is x
