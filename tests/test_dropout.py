"""Dropout: what it has to be, and where the network drops what."""

import pytest
import torch
from torch import nn

from informer_forecaster import Informer, InformerConfig, InformerModel
from informer_forecaster._network.attention import FullAttention, ProbSparseAttention
from informer_forecaster._network.dropout import Dropout, drawing_together, drop


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


def test_small_masks_that_are_drawn_together_are_their_own() -> None:
    """No number decides twice, and the rate is that of masks that are drawn one by one."""
    torch.manual_seed(0)
    with drawing_together():
        kept = torch.stack([drop(torch.ones(5000), 0.5) for _ in range(20)]) != 0
    assert kept.double().mean(1).tolist() == pytest.approx([0.5] * 20, abs=0.03)
    assert torch.corrcoef(kept.double()).fill_diagonal_(0).abs().max() < 0.06


def test_what_one_pass_leaves_over_does_not_reach_the_next() -> None:
    """Else a training that goes on from a checkpoint would drop other values."""

    def draw(before: int) -> torch.Tensor:
        with drawing_together():
            drop(torch.ones(before), 0.5)
        torch.manual_seed(1)
        with drawing_together():
            return drop(torch.ones(1000), 0.5)

    assert torch.equal(draw(100), draw(5000))


# In the network

SIZES = {"d_model": 8, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 2}
SPARSE = {"sampling_factor": 1, "sparsity": "sampled"}
CONFIG = InformerConfig(60, 30, 2, dropout=0.5, token_dropout=0.5, **SPARSE, **SIZES)
PLACES = [name for name, one in Informer(CONFIG).named_modules() if isinstance(one, nn.Dropout)]


def test_each_layer_drops_in_the_places_of_the_paper() -> None:
    """After the embedding, on attention weights, and in both halves of every layer."""
    layers = {place.rpartition(".")[0] for place in PLACES}
    for part, attentions in (("encoder", ["self"]), ("decoder", ["self", "cross"])):
        assert f"{part}_embedding" in layers
        for index in range(2):
            stack = "encoder.stacks.0" if part == "encoder" else "decoder"
            layer = f"{stack}.layers.{index}"
            expected = {layer, f"{layer}.feed_forward"}
            expected |= {f"{layer}.{which}_attention.attention" for which in attentions}
            assert {one for one in layers if one.startswith(layer)} == expected


def test_the_default_drops_in_hidden_layers_alone() -> None:
    """Noise in the tokens gained nothing, and takes time; the paper has as much of it."""
    lengths = {"input_chunk_length": 60, "output_chunk_length": 30, "num_targets": 1}
    network = Informer(InformerConfig(**lengths, num_future_covariates=1))
    rates = {name: one.p for name, one in network.named_modules() if isinstance(one, nn.Dropout)}
    dropping = {name for name, rate in rates.items() if rate}
    assert dropping == {name for name in rates if "feed_forward" in name or "step_head" in name}
    assert InformerConfig.paper(**lengths).token_dropout == 0.05
    assert InformerConfig.paper(**lengths, dropout=0.1).token_dropout == 0.1
    assert InformerModel.paper(60, 30, dropout=0.2).model_params["token_dropout"] == 0.2
    assert InformerModel.paper(60, 30, token_dropout=0.0).model_params["dropout"] == 0.05


@pytest.mark.parametrize("place", PLACES)
def test_every_dropout_drops(place: str) -> None:
    """A module that is made and not called would leave the network without its regularisation."""
    torch.manual_seed(0)
    network = Informer(CONFIG).eval()
    nn.init.normal_(network.projection.weight)
    x = torch.randn(3, 60, 2)
    before = network(x)
    network.get_submodule(place).train()
    draws = network(x), network(x)
    assert not torch.allclose(draws[0], before, atol=1e-6)
    assert not torch.allclose(*draws, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", [FullAttention, ProbSparseAttention])
def test_every_sample_and_head_draws_its_own_mask(kind: type[FullAttention], causal: bool) -> None:
    """One mask for the whole batch drops the same keys everywhere: its noise does not average."""
    torch.manual_seed(0)
    attention = kind(causal=causal, dropout=0.5).train()
    q, k, v = (torch.randn(1, 1, 40, 4).expand(6, 5, -1, -1) for _ in range(3))
    outputs = attention(q, k, v).flatten(2).flatten(0, 1)
    assert len(outputs.unique(dim=0)) == 6 * 5


@pytest.mark.parametrize(
    "attention",
    [FullAttention(dropout=0.3), ProbSparseAttention(1, dropout=0.3, sparsity="moment")],
)
def test_the_keys_that_are_left_are_scaled(attention: FullAttention) -> None:
    """In the mean over many masks, attention is what it is without dropout."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 1, 30, 4) for _ in range(3))
    mean = attention.train()(*(x.expand(4000, 1, -1, -1) for x in (q, k, v))).mean(0)
    torch.testing.assert_close(mean, attention.eval()(q, k, v)[0], rtol=0, atol=0.06)
