"""First-order attention under a mask against its formulas, full attention, and its bounds."""

import math

import pytest
import torch
from heads import draw
from torch import Tensor

from informer_forecaster._network.attention import FullAttention, ProbSparseAttention
from informer_forecaster._network.running_moments import NUM_BLOCKS, attend_to_running_moments
from informer_forecaster._network.sparsity import num_selected


def plain(q: Tensor, k: Tensor, v: Tensor, num_active: int) -> Tensor:
    """Loop over heads and rows, as the formulas read."""
    output = torch.empty_like(q)
    size = q.shape[2] // NUM_BLOCKS
    first = q.shape[2] - (NUM_BLOCKS - 1) * size
    for b, h in torch.cartesian_prod(torch.arange(q.shape[0]), torch.arange(q.shape[1])):
        scores, values = q[b, h] @ k[b, h].T / math.sqrt(q.shape[3]), v[b, h]
        starts = [first + (i - first) // size * size for i in range(q.shape[2])]
        sights = [
            row[: start if start >= first else 0] for row, start in zip(scores, starts, strict=True)
        ]
        variance = torch.stack([s.var(correction=0) if len(s) else s.sum() for s in sights])
        active = variance.topk(num_active).indices.tolist()
        for i, sight in enumerate(sights):
            output[b, h, i] = values[: i + 1].mean(0)
            if i in active:
                output[b, h, i] = scores[i, : i + 1].softmax(0) @ values[: i + 1]
            elif len(sight):
                gain = min(1.0, math.sqrt(2 * math.log(len(sight)) / variance[i]))
                moved = (sight - sight.mean()) @ values[: len(sight)]
                output[b, h, i] += gain * moved / (i + 1)
    return output


@pytest.mark.parametrize("size", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("length", [150, 201, 264])
def test_it_equals_the_formulas(length: int, size: float) -> None:
    """With keys and values far from zero, too, and a last block that is not full."""
    q, k, v = draw(2, 3, length, 4, size=size)
    attention = ProbSparseAttention(2, causal=True, sparsity="moment")
    expected = plain(q, k + 3, v + 3, num_selected(length, 2))
    torch.testing.assert_close(attention(q, k + 3, v + 3), expected)


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("length", [7, 16, 19])
def test_the_gradient_is_that_of_finite_differences(length: int, dropped: bool) -> None:
    """Autograd does not derive it, so nothing else would notice a wrong term."""
    q, k, v = draw(2, 2, length, 3, size=0.5)
    active = torch.stack([draw(2, length, parts=1, seed=s)[0].topk(3).indices for s in (2, 3)])
    mask = (draw(2, 2, 1, length, parts=1, seed=4)[0] > 0) * 2.0 if dropped else None
    inputs = [x.requires_grad_() for x in (q, k + 1, v + 1)]
    assert torch.autograd.gradcheck(
        lambda q, k, v: attend_to_running_moments(q, k, v, active, mask), inputs
    )


@pytest.mark.parametrize("length", [200, 720])
def test_it_is_nearer_to_full_attention_than_means_are(length: int) -> None:
    """What it exists for, without any structure that would help; early rows have few keys."""
    q, k, v = draw(2, 4, length, 16)
    full = FullAttention(causal=True)(q, k, v)
    rows = slice(length // 2, None)
    distance = {}
    for sparsity in ("sampled", "moment"):
        got = ProbSparseAttention(5, True, sparsity=sparsity).eval()(q, k, v)
        distance[sparsity] = float((got - full)[:, :, rows].norm())
    assert distance["moment"] < 0.75 * distance["sampled"]


def test_no_row_sees_a_later_key() -> None:
    """Of the same active queries: which these are is decided among all of them."""
    q, k, v = draw(2, 2, 203, 4)
    active = torch.tensor([5, 60, 199]).expand(2, 2, -1)
    later = [x.clone() for x in (k, v)]
    for x in later:
        x[:, :, 120:] += 100
    before, after = (attend_to_running_moments(q, *x, active, None) for x in ((k, v), later))
    torch.testing.assert_close(before[:, :, :120], after[:, :, :120])
    assert not torch.allclose(before[:, :, 120:], after[:, :, 120:])


@pytest.mark.parametrize("size", [1.0, 1e2, 1e4])
def test_no_row_leaves_the_values_far_behind(size: float) -> None:
    """A linear term grows with the query; attention cannot, and half precision would overflow."""
    q, k, v = draw(2, 2, 500, 8)
    rows = ProbSparseAttention(1, True, sparsity="moment")(size * q, k, v)
    assert rows.abs().max() <= math.sqrt(2 * math.log(500)) * v.abs().max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_what_single_does(dtype: torch.dtype) -> None:
    """Forward and backward, with moments that exceed the largest number of 16 bits."""
    q, k, v = (x.to(dtype) for x in draw(2, 2, 720, 8, size=30.0))
    active = torch.arange(0, 720, 20).expand(2, 2, -1)
    outputs, gradients = [], []
    for kind in (dtype, torch.float32):
        heads = [x.detach().to(kind).requires_grad_() for x in (q, k, v)]
        output = attend_to_running_moments(*heads, active, None)
        assert output.dtype == kind
        output.float().mean().backward()
        outputs.append(output.float())
        gradients.append(heads[2].grad.float())
        assert all(bool(x.grad.isfinite().all()) for x in heads)
    assert (outputs[0] - outputs[1]).abs().mean() < 0.05 * outputs[1].abs().mean()
    assert (gradients[0] - gradients[1]).abs().mean() < 0.05 * gradients[1].abs().mean()


def test_the_weights_are_those_of_every_row() -> None:
    """They sum to one, as equal values come back, and none is on a later key."""
    q, k, v = draw(2, 2, 300, 4, size=2.0)
    attention = ProbSparseAttention(1, True, sparsity="moment")
    weights = attention.weights(q, k, torch.arange(300).expand(2, 2, -1))
    torch.testing.assert_close(weights @ v, attention(q, k, v))
    torch.testing.assert_close(weights.sum(3), torch.ones_like(weights[..., 0]))
    assert not weights.triu(1).any()
