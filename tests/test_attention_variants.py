"""Each attention variant of the benchmarks against its formula, written out row by row."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from informer_forecaster import Informer, InformerConfig
from informer_forecaster._network.attention import FullAttention, ProbSparseAttention

B, H, L, D = 2, 2, 30, 4
CONFIG = InformerConfig(L, 12, num_targets=2, d_model=H * D, nhead=H)
NAMES = (
    *("logsparse", "longformer", "strided", "blockwise", "memory-compressed", "linear"),
    *("linformer", "synthesizer-dense", "synthesizer-random", "routing", "lsh"),
    *("inducing-points", "sinkhorn", "segment-recurrence", "compressed-memory"),
)
UNMASKED = ("linformer", "inducing-points", "sinkhorn")
MASKED = [
    (name, causal)
    for name in NAMES
    for causal in (False, True)
    if not causal or name not in UNMASKED
]


@pytest.fixture
def make(script):
    """Make a variant in evaluation mode; its weights are always the same."""

    def build(name: str, causal: bool = False, dropout: nn.Module | None = None) -> nn.Module:
        torch.manual_seed(0)
        factory = script("attention_variants").VARIANTS[name]
        return factory(CONFIG, causal, dropout or nn.Identity()).double().eval()

    return build


def random_heads(parts: int = 3, tokens: int = L) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    shape = (B, H, tokens, D)
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(parts))


def attend(q, k, v, keys):
    """Attention of one query ``(B, H, D)`` to the keys at some positions."""
    k, v = k[:, :, keys], v[:, :, keys]
    weights = (torch.einsum("bhd,bhsd->bhs", q, k) / D**0.5).softmax(dim=-1)
    return torch.einsum("bhs,bhsd->bhd", weights, v)


def log_sparse(i, j):
    return i == j or abs(i - j) in (1, 2, 4, 8, 16)


def sliding_window(i, j):
    return abs(i - j) in (0, 2, 4, 6, 8, 10, 12, 14, 16) or i == 0 or j == 0


def strided(i, j):
    return abs(i - j) < 8 or abs(i - j) in (8, 16, 24)


def blockwise(i, j):
    return j // 24 == i // 24 or j // 24 == i // 24 - 1


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("name", "sees"),
    [
        ("logsparse", log_sparse),
        ("longformer", sliding_window),
        ("strided", strided),
        ("blockwise", blockwise),
    ],
)
def test_patterns(make, name, sees, causal):
    q, k, v = random_heads()
    got = make(name, causal)(q, k, v)
    for i in range(L):
        keys = [j for j in range(L) if sees(i, j) and not (causal and j > i)]
        torch.testing.assert_close(got[:, :, i], attend(q[:, :, i], k, v, keys))


def test_blocks_are_cut(script):
    """A sequence of three blocks: the third does not see the first, nor the first the second."""
    positions = torch.arange(72)
    seen = script("attention_variants").blockwise(positions[:, None], positions)
    assert seen[50].nonzero().flatten().tolist() == list(range(24, 72))
    assert seen[3].nonzero().flatten().tolist() == list(range(24))


@pytest.mark.parametrize("causal", [False, True])
def test_lazy_rows_are_right_to_first_order(script, causal):
    """Ten times smaller scores leave a hundredth of the error; the mean alone, a tenth."""
    q, k, v = random_heads()
    full = FullAttention(causal)

    def error(attention, scale):
        return float((attention(scale * q, k, v) - full(scale * q, k, v)).abs().sum())

    linear = script("attention_lazy").make(CONFIG, causal, nn.Identity()).eval()
    mean = ProbSparseAttention(causal=causal).eval()
    assert error(linear, 0.1) > 0
    assert error(linear, 0.01) < 0.02 * error(linear, 0.1)
    assert error(mean, 0.01) > 0.08 * error(mean, 0.1)


@pytest.mark.parametrize("causal", [False, True])
def test_memory_compressed(make, causal):
    q, k, v = random_heads()
    attention = make("memory-compressed", causal)

    def shorten(convolution, x):
        blocks = [
            torch.einsum("bhsd,eds->bhe", x[:, :, t : t + 3], convolution.weight) + convolution.bias
            for t in range(0, L, 3)
        ]
        return torch.stack([torch.zeros_like(blocks[0]), *blocks], dim=2)

    short_k, short_v = shorten(attention.keys, k), shorten(attention.values, v)
    got = attention(q, k, v)
    for i in range(L):
        blocks = list(range(1 + (i + 1) // 3)) if causal else list(range(1, 11))
        expected = attend(q[:, :, i], short_k, short_v, blocks)
        torch.testing.assert_close(got[:, :, i], expected)


@pytest.mark.parametrize("causal", [False, True])
def test_linear(make, causal):
    q, k, v = random_heads()
    got = make("linear", causal)(q, k, v)
    for i in range(L):
        last = i + 1 if causal else L
        similar = torch.einsum("bhd,bhsd->bhs", F.elu(q[:, :, i]) + 1, F.elu(k[:, :, :last]) + 1)
        weights = similar / similar.sum(dim=2, keepdim=True)
        expected = torch.einsum("bhs,bhsd->bhd", weights, v[:, :, :last])
        torch.testing.assert_close(got[:, :, i], expected)


@pytest.mark.parametrize("tokens", [L, 11])
def test_linformer(make, tokens):
    q, k, v = random_heads(tokens=tokens)
    attention = make("linformer")
    short_k, short_v = (
        torch.einsum("rs,bhsd->bhrd", layer.weight[:, :tokens], x)
        for layer, x in ((attention.keys, k), (attention.values, v))
    )
    got = attention(q, k, v)
    rank = list(range(short_k.shape[2]))
    for i in range(tokens):
        torch.testing.assert_close(got[:, :, i], attend(q[:, :, i], short_k, short_v, rank))


@pytest.mark.parametrize("name", UNMASKED)
def test_what_mixes_all_times_refuses_a_mask(make, name):
    with pytest.raises(ValueError, match="decoder_causal=False"):
        make(name, causal=True)


def test_inducing_points(make):
    """Points attend to the tokens, and queries to what the points got."""
    q, k, v = random_heads()
    attention = make("inducing-points")
    points = attention.points.expand(B, -1, -1, -1)
    count = range(points.shape[2])
    gathered = [
        torch.stack([attend_with(points[:, :, p], k, x) for p in count], dim=2) for x in (k, v)
    ]
    got = attention(q, k, v)
    for i in range(L):
        torch.testing.assert_close(got[:, :, i], attend(q[:, :, i], *gathered, list(count)))


def attend_with(q, k, x):
    weights = (torch.einsum("bhd,bhsd->bhs", q, k) / D**0.5).softmax(dim=-1)
    return torch.einsum("bhs,bhsd->bhd", weights, x)


def test_sinkhorn(make):
    """Thirty tokens in blocks of five: each sees its own, and one that is sorted beside it."""
    q, k, v = random_heads()
    attention = make("sinkhorn")
    attention.block = 5
    order = attention.sort(k.unflatten(2, (6, 5)))
    torch.testing.assert_close(order.sum(dim=2), torch.ones(B, H, 6).double())
    torch.testing.assert_close(order.sum(dim=3), torch.ones(B, H, 6).double(), atol=0.02, rtol=0)
    got = attention(q, k, v)
    for i in range(L):
        n = i // 5
        keys, values = (
            torch.cat(
                [
                    x[:, :, 5 * n : 5 * n + 5],
                    sum(
                        order[:, :, n, m, None, None] * x[:, :, 5 * m : 5 * m + 5] for m in range(6)
                    ),
                ],
                dim=2,
            )
            for x in (k, v)
        )
        expected = attend(q[:, :, i], keys, values, list(range(10)))
        torch.testing.assert_close(got[:, :, i], expected)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", ["segment-recurrence", "compressed-memory"])
def test_segments(make, name, causal):
    """Content and distance, each with its bias; older segments as convolutions of three tokens."""
    q, k, v = random_heads()
    attention = make(name, causal)
    attention.segment = 6
    got = attention(q, k, v)

    def key_of(distance):
        angle = distance / 10_000 ** (torch.arange(0, D, 2) / D)
        code = torch.cat([angle.sin(), angle.cos()]).double()
        return (attention.distances.weight @ code).unflatten(0, (H, D))

    def short(convolution, x, t):
        block = x[:, :, 3 * t : 3 * t + 3]
        return torch.einsum("bhsd,eds->bhe", block, convolution.weight) + convolution.bias

    for i in range(L):
        segment = i // 6
        near = [j for j in range(L) if segment - j // 6 in (0, 1) and not (causal and j > i)]
        keys = [(k[:, :, j], v[:, :, j], i - j) for j in near]
        if name == "compressed-memory":
            keys += [
                (short(attention.keys, k, t), short(attention.values, v, t), i - (3 * t + 2))
                for t in range(max(0, 2 * (segment - 1)))
            ]
        scores = [
            ((q[:, :, i] + attention.content_bias[:, 0]) * key).sum(2)
            + ((q[:, :, i] + attention.distance_bias[:, 0]) * key_of(distance)).sum(2)
            for key, _, distance in keys
        ]
        weights = (torch.stack(scores, dim=2) / D**0.5).softmax(dim=2)
        expected = sum(weights[..., n, None] * value for n, (_, value, _) in enumerate(keys))
        torch.testing.assert_close(got[:, :, i], expected, rtol=1e-5, atol=1e-6)


def test_no_gradient_goes_to_the_segment_before(make):
    heads = [x.requires_grad_() for x in random_heads()]
    attention = make("segment-recurrence")
    attention.segment = 15
    attention(*heads)[:, :, 15:].sum().backward()
    assert not heads[1].grad[:, :, :15].any()
    assert not heads[2].grad[:, :, :15].any()
    assert heads[2].grad[:, :, 15:].all()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", ["synthesizer-dense", "synthesizer-random"])
def test_synthesizers(make, name, causal):
    q, k, v = random_heads()
    attention = make(name, causal)
    got = attention(q, k, v)
    for i in range(L):
        last = i + 1 if causal else L
        if name == "synthesizer-dense":
            first, _, second = attention.scores
            hidden = (q[:, :, i] @ first.weight.T + first.bias).relu()
            scores = hidden @ second.weight.T + second.bias
        else:
            scores = attention.scores[:, i].expand(B, -1, -1)
        weights = scores[..., :last].softmax(dim=2)
        expected = torch.einsum("bhs,bhsd->bhd", weights, v[:, :, :last])
        torch.testing.assert_close(got[:, :, i], expected)
    torch.testing.assert_close(attention(q, torch.randn_like(k), v), got)


@pytest.mark.parametrize("causal", [False, True])
def test_routing(make, causal):
    q, k, v = random_heads()
    attention = make("routing", causal)
    got = attention(q, k, v)

    def normalise(x):
        centred = x - x.mean(dim=3, keepdim=True)
        return centred / (centred.square().mean(dim=3, keepdim=True) + 1e-5).sqrt()

    q, k = normalise(q), normalise(k)
    for b in range(B):
        for h in range(H):
            cluster = [
                [int((attention.centroids[h] @ x).argmax()) for x in part[b, h]] for part in (q, k)
            ]
            for i in range(L):
                keys = [j for j in range(L) if cluster[0][i] == cluster[1][j] or i == j]
                keys = [j for j in keys if not (causal and j > i)]
                expected = attend(q[:, :, i], k, v, keys)[b, h]
                torch.testing.assert_close(got[b, h, i], expected)


def test_centroids_follow_their_tokens_in_training_only(make):
    q, k, v = random_heads()
    attention = make("routing")
    attention.decay = 0.0
    before = attention.centroids.clone()
    attention(q, k, v)
    assert torch.equal(attention.centroids, before)
    attention.train()(q, k, v)
    x = torch.cat([F.layer_norm(q, (D,)), F.layer_norm(k, (D,))], dim=2)[:, 1].flatten(0, 1)
    nearest = (x @ before[1].T).argmax(dim=1)
    for cluster in nearest.unique():
        mean = x[nearest == cluster].mean(dim=0)
        torch.testing.assert_close(attention.centroids[1, cluster], mean / mean.norm())


@pytest.mark.parametrize("causal", [False, True])
def test_hashing(make, causal):
    q, _, v = random_heads()
    attention = make("lsh", causal)
    attention.bucket_size = 5
    got = attention(q, torch.randn_like(q), v)
    keys = q / q.norm(dim=3, keepdim=True)
    buckets = attention.hash(keys)
    assert buckets.unique().tolist() == list(range(6))
    for b in range(B):
        for h in range(H):
            for i in range(L):
                last = i + 1 if causal else L
                same = (buckets[b, h, i] == buckets[b, h, :last]).any(dim=1).nonzero().flatten()
                others = [j for j in same.tolist() if j != i] or [i]
                expected = attend(q[:, :, i], keys, v, others)[b, h]
                torch.testing.assert_close(got[b, h, i], expected)


def test_hashes_are_drawn_anew_in_training_only(make):
    keys = F.normalize(random_heads(1)[0], dim=3)
    attention = make("lsh")
    attention.bucket_size = 5
    assert torch.equal(attention.hash(keys), attention.hash(keys))
    attention.train()
    assert not torch.equal(attention.hash(keys), attention.hash(keys))


@pytest.mark.parametrize("name", [name for name, causal in MASKED if causal])
def test_no_query_sees_what_is_ahead(make, name):
    heads = random_heads()
    attention = make(name, causal=True)
    changed = [x.index_fill(2, torch.arange(17, L), 3.0) for x in heads]
    torch.testing.assert_close(attention(*heads)[:, :, :17], attention(*changed)[:, :, :17])


@pytest.mark.parametrize(("name", "causal"), MASKED)
def test_dropout_reaches_the_weights(make, name, causal):
    q, k, v = random_heads()
    dropped = make(name, causal, dropout=nn.Dropout(1.0).train()).eval()
    dropped.dropout.train()
    assert (dropped(q, k, v) == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_network_trains_with_it(script, name):
    """Odd lengths, halved by distilling, and a decoder longer than the input."""
    assert name in script("attention_variants").VARIANTS
    config = InformerConfig(
        *(13, 17),
        num_targets=2,
        d_model=8,
        nhead=2,
        dim_feedforward=8,
        num_encoder_layers=3,
        attention=name,
        lookback_skip=False,
        decoder_causal=name not in UNMASKED,
    )
    network = Informer(config)
    forecast = network(torch.randn(3, 13, 2))
    forecast.square().mean().backward()
    assert forecast.shape == (3, 17, 2, 1)
    for part, parameter in network.named_parameters():
        assert parameter.grad is not None, part
        assert parameter.grad.isfinite().all(), part


def test_the_names_are_those_of_the_registry(script):
    assert tuple(script("attention_variants").VARIANTS) == NAMES
