"""ProbSparse attention to second order against its formulas, full attention, and its bounds."""

import math

import pytest
import torch
from heads import draw
from torch import Tensor

from informer_forecaster._network.attention import FullAttention, ProbSparseAttention
from informer_forecaster._network.second_order import attend_to_second_order
from informer_forecaster._network.sparsity import num_selected


def plain(q: Tensor, k: Tensor, v: Tensor, num_active: int) -> Tensor:
    """Loop over heads and rows, as the formulas read."""
    output = torch.empty_like(q)
    for b, h in torch.cartesian_prod(torch.arange(q.shape[0]), torch.arange(q.shape[1])):
        keys, values = k[b, h], v[b, h]
        scores = q[b, h] @ keys.T / math.sqrt(q.shape[3])
        measurement = scores.var(1, correction=0) / 2
        active = measurement.topk(num_active).indices.tolist()
        moved = torch.cov(torch.cat([keys, values], dim=1).T, correction=0)
        covariance = moved[: q.shape[3], q.shape[3] :] / math.sqrt(q.shape[3])
        farthest = math.sqrt(2 * math.log(len(keys)))
        for i in range(q.shape[2]):
            if i in active:
                output[b, h, i] = scores[i].softmax(0) @ values
            else:
                gain = min(1.0, farthest / math.sqrt(2 * measurement[i]))
                output[b, h, i] = values.mean(0) + gain * q[b, h, i] @ covariance
    return output


@pytest.mark.parametrize("size", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("lengths", [(300, 300), (150, 200), (260, 180)])
def test_it_equals_the_formulas(lengths: tuple[int, int], size: float) -> None:
    q, k, v = (draw(2, 3, n, 4, parts=1, seed=n, size=size)[0] for n in (*lengths, lengths[1]))
    attention = ProbSparseAttention(2, sparsity="moment")
    expected = plain(q, k, v + 3, num_selected(lengths[0], 2))
    torch.testing.assert_close(attention(q, k, v + 3), expected)


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("num_keys", [6, 9])
def test_the_gradient_is_that_of_finite_differences(num_keys: int, dropped: bool) -> None:
    """Autograd does not derive it, so nothing else would notice a wrong term."""
    q = draw(2, 2, 7, 3, parts=1, size=0.5)[0]
    k, v = draw(2, 2, num_keys, 3, parts=2, seed=1, size=0.5)
    active = torch.stack([draw(2, 7, parts=1, seed=s)[0].topk(3).indices for s in (2, 3)])
    mask = (draw(2, 2, 1, num_keys, parts=1, seed=4)[0] > 0) * 2.0 if dropped else None
    inputs = [x.requires_grad_() for x in (q, k, v + 1)]
    assert torch.autograd.gradcheck(
        lambda q, k, v: attend_to_second_order(q, k, v, active, mask), inputs
    )


@pytest.mark.parametrize("length", [150, 720])
def test_it_is_nearer_to_full_attention_than_means_are(length: int) -> None:
    """What it exists for: half of the distance, on queries and keys without any structure."""
    q, k, v = draw(2, 4, length, 16)
    full = FullAttention()(q, k, v)
    distance = {
        sparsity: float((ProbSparseAttention(5, sparsity=sparsity).eval()(q, k, v) - full).norm())
        for sparsity in ("sampled", "moment")
    }
    assert distance["moment"] < 0.7 * distance["sampled"]


def test_values_that_follow_gaussian_keys_are_found_exactly() -> None:
    """For such keys the first-order term is all of attention, however many queries are lazy."""
    k = draw(1, 1, 100_000, 3, parts=1)[0]
    q, slope = draw(1, 1, 200, 3, parts=1, seed=1)[0], draw(3, 3, parts=1, seed=2)[0]
    v = k @ slope + 2
    full, second = (
        a(q, k, v) for a in (FullAttention(), ProbSparseAttention(1, sparsity="moment"))
    )
    torch.testing.assert_close(second, full, rtol=0, atol=0.1)
    assert (full - v.mean(2, keepdim=True)).abs().max() > 1


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("length", "width"), [(16, 4), (48, 8), (96, 64)])
def test_short_sequences_get_exact_attention(length: int, width: int, causal: bool) -> None:
    """Where a few rows would take as long as all."""
    q, k, v = draw(2, 2, length, width)
    attention = ProbSparseAttention(5, causal, sparsity="moment")
    torch.testing.assert_close(attention(q, k, v), FullAttention(causal)(q, k, v))
    assert attention.active(q, k) is None


@pytest.mark.parametrize("size", [1.0, 1e2, 1e4])
def test_no_row_leaves_the_values_far_behind(size: float) -> None:
    """A linear term grows with the query; attention cannot, and half precision would overflow."""
    q, k, v = draw(2, 2, 500, 8)
    rows = ProbSparseAttention(1, sparsity="moment")(size * q, k, v)
    deviations = (rows - v.mean(2, keepdim=True)) / v.std(2, correction=0, keepdim=True)
    assert deviations.abs().max() <= math.sqrt(2 * math.log(500)) * (1 + 1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_what_single_does(dtype: torch.dtype) -> None:
    """Forward and backward, with moments that exceed the largest number of 16 bits."""
    q, k, v = (x.to(dtype) for x in draw(2, 2, 720, 8, size=30.0))
    outputs, gradients = [], []
    for kind in (dtype, torch.float32):
        heads = [x.detach().to(kind).requires_grad_() for x in (q, k, v)]
        output = ProbSparseAttention(5, sparsity="moment")(*heads)
        assert output.dtype == kind
        output.float().mean().backward()
        outputs.append(output.float())
        gradients.append(heads[2].grad.float())
        assert all(bool(x.grad.isfinite().all()) for x in heads)
    # Rounded queries of nearly equal measurement may change places: rows are compared in the mean.
    assert (outputs[0] - outputs[1]).abs().mean() < 0.05 * outputs[1].abs().mean()
    assert (gradients[0] - gradients[1]).abs().mean() < 0.05 * gradients[1].abs().mean()


def test_equal_values_come_back() -> None:
    """All weights of a row sum to one, those of a lazy row too."""
    q, k, _ = draw(2, 2, 300, 4)
    ones = torch.ones_like(k)
    attention = ProbSparseAttention(1, sparsity="moment")
    torch.testing.assert_close(attention(q, k, ones), ones)
    rows = torch.arange(300).expand(2, 2, -1)
    torch.testing.assert_close(attention.weights(q, k, rows).sum(3), torch.ones_like(ones[..., 0]))


def test_the_weights_are_those_of_every_row() -> None:
    q, k, v = draw(2, 2, 300, 4, size=2.0)
    attention = ProbSparseAttention(1, sparsity="moment")
    rows = torch.arange(300).expand(2, 2, -1)
    torch.testing.assert_close(attention.weights(q, k, rows) @ v, attention(q, k, v))


def test_training_and_prediction_do_the_same() -> None:
    """Nothing is sampled."""
    q, k, v = draw(2, 2, 300, 4)
    attention = ProbSparseAttention(1, sparsity="moment")
    assert torch.equal(attention.train()(q, k, v), attention.eval()(q, k, v))
