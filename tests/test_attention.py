"""ProbSparse and full attention against plain formulas in float64."""

import math

import pytest
import torch
from torch import Tensor

from informer_forecaster._network.attention import FullAttention, ProbSparseAttention
from informer_forecaster._network.layers import MultiHeadAttention
from informer_forecaster._network.sparsity import moment_measurement, num_selected

SHAPES = [(1, 1, 1, 1), (2, 1, 7, 4), (1, 3, 33, 8), (3, 4, 96, 16), (2, 2, 250, 5)]


def random_heads(shape: tuple[int, ...], parts: int = 3, seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(parts))


def plain_full(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    if causal:
        hidden = torch.ones(scores.shape[2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(hidden, -torch.inf)
    return scores.softmax(3) @ v


def plain_uniform(v: Tensor, num_queries: int, causal: bool) -> Tensor:
    if not causal:
        return torch.stack([v.mean(2)] * num_queries, dim=2)
    return torch.stack([v[:, :, : i + 1].mean(2) for i in range(num_queries)], dim=2)


def plain_prob_sparse(
    q: Tensor, k: Tensor, v: Tensor, keys: list[int], c: int, causal: bool
) -> Tensor:
    """Loop over every query of every head, as the paper's algorithm 1 reads."""
    full = plain_full(q, k, v, causal)
    output = plain_uniform(v, q.shape[2], causal).clone()
    kept = num_selected(q.shape[2], c)
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            scores = (q[b, h].detach() @ k[b, h, keys].detach().T / math.sqrt(q.shape[3])).tolist()
            measurement = [max(row) - sum(row) / len(row) for row in scores]
            ranked = sorted(range(len(scores)), key=lambda i: -measurement[i])
            for i in ranked[:kept]:
                output[b, h, i] = full[b, h, i]
    return output


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_full_attention_equals_the_formula(shape: tuple[int, ...], causal: bool) -> None:
    q, k, v = random_heads(shape)
    torch.testing.assert_close(FullAttention(causal)(q, k, v), plain_full(q, k, v, causal))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_prob_sparse_equals_the_loop(shape: tuple[int, ...], factor: int, causal: bool) -> None:
    """The vectorised selection, gather and scatter are the paper's algorithm, head by head."""
    q, k, v = random_heads(shape)
    attention = ProbSparseAttention(factor, causal).eval()
    keys = attention.sample_keys(k.shape[2]).tolist()
    expected = plain_prob_sparse(q, k, v, keys, factor, causal)
    torch.testing.assert_close(attention(q, k, v), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_equal_those_of_the_loop(causal: bool) -> None:
    """Training follows the same function as the forecast."""
    q, k, v = (x.requires_grad_() for x in random_heads((2, 2, 40, 4)))
    attention = ProbSparseAttention(1, causal).eval()
    keys = attention.sample_keys(40).tolist()
    weight = random_heads((2, 2, 40, 4), parts=1, seed=1)[0]
    got = torch.autograd.grad((attention(q, k, v) * weight).sum(), (q, k, v))
    expected = torch.autograd.grad(
        (plain_prob_sparse(q, k, v, keys, 1, causal) * weight).sum(), (q, k, v)
    )
    for ours, plain in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("num_keys", [1, 2, 5, 24, 96, 97, 720, 5760])
def test_key_sample_is_distinct_and_in_range(num_keys: int) -> None:
    """A repeated key would be counted twice, one out of range is a crash or another's data."""
    for training in (True, False):
        attention = ProbSparseAttention(5).train(training)
        for _ in range(20):
            keys = attention.sample_keys(num_keys)
            assert keys.unique().numel() == keys.numel() == num_selected(num_keys, 5)
            assert 0 <= int(keys.min()) <= int(keys.max()) < num_keys


@pytest.mark.parametrize("season", [7, 12, 24, 48, 52, 96, 168])
def test_fixed_key_sample_does_not_alias_with_a_season(season: int) -> None:
    """Evenly spaced keys near a season's length see one phase of it, and rank queries by that."""
    attention = ProbSparseAttention(5).eval()
    for num_keys in (season * 4, season * 7 + 3, 20 * season):
        phases = torch.tensor(attention.sample_keys(num_keys).tolist()) % season
        halves = (phases < season / 2).float().mean()
        possible = min(season, phases.numel())
        assert phases.unique().numel() >= 0.4 * possible
        assert 0.2 < halves < 0.8


def test_key_sample_is_random_in_training_and_fixed_otherwise() -> None:
    """Training explores keys; a forecast must not change from call to call."""
    attention = ProbSparseAttention(5)
    torch.manual_seed(0)
    draws = {tuple(attention.train().sample_keys(500).tolist()) for _ in range(10)}
    assert len(draws) == 10
    fixed = {tuple(attention.eval().sample_keys(500).tolist()) for _ in range(10)}
    assert len(fixed) == 1


@pytest.mark.parametrize("length", [1, 2, 3, 10, 96, 720])
@pytest.mark.parametrize("factor", [1, 5, 100])
def test_number_selected_stays_within_the_length(length: int, factor: int) -> None:
    expected = max(1, min(length, factor * math.ceil(math.log(length))))
    assert num_selected(length, factor) == expected


@pytest.mark.parametrize("shape", [(1, 1, 2, 1), (2, 3, 40, 8)])
def test_moment_measurement_is_half_the_variance_of_the_scores(shape: tuple[int, ...]) -> None:
    """It is q C q / (2 D), the variance of a query's scaled scores over all keys, halved."""
    q, k = random_heads(shape, parts=2)
    scores = q @ k.transpose(2, 3) / math.sqrt(shape[3])
    torch.testing.assert_close(moment_measurement(q, k), scores.var(3, correction=0) / 2)


def test_moment_measurement_equals_the_exact_one_for_gaussian_keys() -> None:
    """Log-sum-exp minus mean, equation 2, as the number of Gaussian keys grows."""
    q, _ = random_heads((1, 1, 30, 4), parts=2)
    (k,) = random_heads((1, 1, 200_000, 4), parts=1, seed=1)
    scores = q @ k.transpose(2, 3) / 2
    exact = scores.logsumexp(3) - math.log(k.shape[2]) - scores.mean(3)
    torch.testing.assert_close(moment_measurement(q, k), exact, rtol=0.05, atol=0.02)


def test_moment_ranking_finds_more_of_the_active_queries() -> None:
    """It exists because it ranks better than a sample: recall of the exact top queries."""
    q, k = random_heads((4, 4, 300, 32), parts=2)
    scores = q @ k.transpose(2, 3) / math.sqrt(32)
    kept = num_selected(300, 5)

    def top(measurement: Tensor) -> Tensor:
        chosen = torch.zeros_like(measurement)
        return chosen.scatter(2, measurement.topk(kept, 2).indices, 1.0)

    exact = top(scores.logsumexp(3) - scores.mean(3))
    recall = {
        sparsity: float((top(attention.sparsity_measurement(q, k)) * exact).sum() / exact.sum())
        for sparsity in ("sampled", "moment")
        for attention in [ProbSparseAttention(5, sparsity=sparsity).eval()]
    }
    assert recall["moment"] > 0.7 > 0.5 > recall["sampled"]


def test_no_tensor_grows_with_queries_times_keys() -> None:
    """Memory for the backward pass grows with L ln L, the reason to use ProbSparse at all."""

    def saved_numbers(length: int) -> int:
        count = 0

        def pack(x: Tensor) -> Tensor:
            nonlocal count
            count += x.numel()
            return x

        q, k, v = (torch.randn(1, 1, length, 4, requires_grad=True) for _ in range(3))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            ProbSparseAttention(1, causal=True)(q, k, v)
        return count

    short, long = saved_numbers(256), saved_numbers(4096)
    assert long < 2.5 * 16 * short  # 16 times the length; 256 times if it were quadratic


def test_causal_attention_refuses_other_numbers_of_keys() -> None:
    q, k = torch.randn(1, 1, 30, 4), torch.randn(1, 1, 20, 4)
    for attention in (FullAttention(causal=True), ProbSparseAttention(1, causal=True)):
        with pytest.raises(ValueError, match="30 queries and 20 keys"):
            attention(q, k, k)


def test_heads_are_joined_in_order() -> None:
    """With identity projections each head's slice of the width stays in its place."""
    layer = MultiHeadAttention(FullAttention(), d_model=6, nhead=3).double()
    with torch.no_grad():
        layer.query_key_value.weight.copy_(torch.eye(6).repeat(3, 1))
        layer.query_key_value.bias.zero_()
        layer.output.weight.copy_(torch.eye(6))
        layer.output.bias.zero_()
    x = random_heads((2, 5, 6), parts=1)[0]
    slices = [x[..., i : i + 2].unsqueeze(1) for i in (0, 2, 4)]
    expected = torch.cat([plain_full(s, s, s, False).squeeze(1) for s in slices], dim=2)
    torch.testing.assert_close(layer(x), expected)
    memory = random_heads((2, 9, 6), parts=1, seed=1)[0]
    torch.testing.assert_close(layer(memory, memory), layer(memory))
