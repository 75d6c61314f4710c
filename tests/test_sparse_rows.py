"""The hand-written gradient of sparse rows, and the running means, in float64."""

import pytest
import torch
from torch import Tensor

from informer_forecaster._network import causal_mean, products
from informer_forecaster._network.causal_mean import mean_of_earlier, spread_to_earlier
from informer_forecaster._network.products import multiply_heads
from informer_forecaster._network.sparse_rows import attend_sparsely

BLOCK = causal_mean.BLOCK_LENGTH
LENGTHS = pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK, BLOCK + 1, 100])


@pytest.fixture(params=["as few numbers", "as many numbers"])
def way(request, monkeypatch):
    """Compute what is small as what is small is computed, and as what is large is."""
    threshold = 2**60 if request.param == "as few numbers" else 0
    monkeypatch.setattr(causal_mean, "ROWS_FROM", threshold)
    monkeypatch.setattr(products, "OWN_CALL_FROM", threshold)


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("num_keys", [5, BLOCK + 3])
def test_the_gradient_is_that_of_finite_differences(
    num_keys: int, dropped: bool, causal: bool
) -> None:
    """Autograd does not derive it, so nothing else would notice a wrong term."""
    num_queries = num_keys if causal else 7
    q, k, v = draw(2, 2, num_queries, 3), draw(2, 2, num_keys, 3), draw(2, 2, num_keys, 3, seed=1)
    active = torch.stack([draw(2, num_queries, seed=s).topk(3).indices for s in (2, 3)])
    mask = (draw(2, 2, 1, num_keys, seed=4) > 0) * 2.0 if dropped else None
    inputs = [x.requires_grad_() for x in (q, k, v)]
    assert torch.autograd.gradcheck(
        lambda q, k, v: attend_sparsely(q, k, v, active, mask, causal), inputs
    )


@pytest.mark.usefixtures("way")
@LENGTHS
def test_running_means_equal_a_loop(length: int) -> None:
    """The blocks' ends are where a carried sum could be lost or added twice."""
    v = draw(2, length, 3, 4).transpose(1, 2)
    given = v.clone()
    loop = torch.stack([v[:, :, : i + 1].mean(2) for i in range(length)], dim=2)
    torch.testing.assert_close(mean_of_earlier(v), loop)
    # <mean(v), g> = <v, spread(g)>: the second is the gradient of the first.
    gradient = draw(2, 3, length, 4, seed=1)
    torch.testing.assert_close((loop * gradient).sum(), (v * spread_to_earlier(gradient)).sum())
    assert torch.equal(v, given)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e300])
@pytest.mark.parametrize("position", [0, 1, BLOCK - 1, BLOCK, 40, 99])
def test_no_value_reaches_an_earlier_row(position: int, value: float) -> None:
    """Zero times NaN is NaN: what multiplies later rows by zero is not causal."""
    v = draw(1, 2, 100, 3)
    changed = v.clone()
    changed[:, :, position] = value
    one, other = mean_of_earlier(v), mean_of_earlier(changed)
    assert torch.equal(one[:, :, :position], other[:, :, :position])
    assert not torch.isclose(one[:, :, position:], other[:, :, position:]).any()


@pytest.mark.usefixtures("way")
def test_running_means_of_half_precision_do_not_stop_growing() -> None:
    """A sum of ones in bfloat16 stays at 256, and the mean would fall to a tenth."""
    ones = torch.ones(1, 1, 3000, 1, dtype=torch.bfloat16)
    assert torch.equal(mean_of_earlier(ones), ones)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("side_by_side", [False, True])
def test_a_product_of_heads_is_that_of_each(batch: int, side_by_side: bool) -> None:
    """Whichever call is faster, the numbers are the same."""
    a, b = draw(batch, 2, 5, 7), draw(batch, 2, 7, 3, seed=1)
    if side_by_side:
        a, b = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (a, b))
    torch.testing.assert_close(multiply_heads(a, b), torch.einsum("bhmn,bhnp->bhmp", a, b))
