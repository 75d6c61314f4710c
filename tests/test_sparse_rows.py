"""The hand-written gradient of sparse rows, and the block-wise running means, in float64."""

import pytest
import torch
from torch import Tensor

from informer_forecaster._network.causal_mean import (
    BLOCK_LENGTH,
    mean_of_earlier,
    spread_to_earlier,
)
from informer_forecaster._network.sparse_rows import attend_sparsely


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("num_keys", [5, BLOCK_LENGTH + 3])
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


@pytest.mark.parametrize("length", [1, BLOCK_LENGTH - 1, BLOCK_LENGTH, BLOCK_LENGTH + 1, 100])
def test_running_means_equal_a_loop(length: int) -> None:
    """The blocks' ends are where a carried sum could be lost or added twice."""
    v = draw(2, 3, length, 4)
    loop = torch.stack([v[:, :, : i + 1].mean(2) for i in range(length)], dim=2)
    torch.testing.assert_close(mean_of_earlier(v), loop)
    # <mean(v), g> = <v, spread(g)>: the second is the gradient of the first.
    gradient = draw(2, 3, length, 4, seed=1)
    torch.testing.assert_close((loop * gradient).sum(), (v * spread_to_earlier(gradient)).sum())


def test_running_means_of_half_precision_do_not_stop_growing() -> None:
    """A sum of ones in bfloat16 stays at 256, and the mean would fall to a tenth."""
    ones = torch.ones(1, 1, 3000, 1, dtype=torch.bfloat16)
    assert torch.equal(mean_of_earlier(ones), ones)
