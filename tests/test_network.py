"""Shapes, invariances and errors of the network, for any weights."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from informer_forecaster import Informer, InformerConfig
from informer_forecaster._network.embedding import fold_patches, sinusoidal_position

SMALL = {"d_model": 8, "nhead": 2, "dim_feedforward": 16}
LENGTHS = [(1, 1), (1, 9), (9, 1), (13, 7), (96, 24)]
MODES = [
    {},
    {"attention": "full"},
    {"sparsity": "sampled", "sampling_factor": 1},
    {"cross_attention": "prob", "sampling_factor": 1},
    {"distil": False},
    {"num_encoder_layers": 3, "num_encoder_stacks": 3},
    {"num_decoder_layers": 2},
    {"start_token_length": 0},
    {"start_token_length": 1},
    {"padding_mode": "circular"},
    {"patch_length": 5},
    {"channel_independent": True},
    {"lookback_skip": True},
    {"decoder_causal": False},
    {"patch_length": 4, "channel_independent": True, "lookback_skip": True, "activation": "relu"},
]


def make_inputs(config: InformerConfig, batch: int = 2) -> list[torch.Tensor | None]:
    past, ahead = config.input_chunk_length, config.output_chunk_length
    shapes = [
        (batch, past, config.num_targets),
        (batch, past, config.num_past_covariates),
        (batch, past + ahead, config.num_future_covariates),
        (batch, config.num_static_covariates),
    ]
    return [torch.randn(shape) if shape[-1] else None for shape in shapes]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize(("length", "horizon"), LENGTHS)
@pytest.mark.parametrize("covariates", [(0, 0, 0), (2, 0, 0), (0, 3, 0), (2, 3, 4)], ids=str)
def test_every_mode_maps_every_length(
    mode: dict[str, object], length: int, horizon: int, covariates: tuple[int, int, int]
) -> None:
    """Any lengths and covariates give (B, H, C, P), and every weight that is used learns."""
    past, future, static = covariates
    config = InformerConfig(
        length,
        horizon,
        num_targets=3,
        num_past_covariates=past,
        num_future_covariates=future,
        num_static_covariates=static,
        num_parameters=2,
        **{**SMALL, **mode},
    )
    network = Informer(config)
    forecast = network(*make_inputs(config))
    assert forecast.shape == (2, horizon, 3, 2)
    assert bool(forecast.isfinite().all())
    forecast.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())
    network.eval()
    inputs = make_inputs(config, batch=1)
    assert torch.equal(network(*inputs), network(*inputs))


def test_one_sample_of_one_step_trains() -> None:
    """Batch norm has no variance over one token; the last batch of an epoch can be that small."""
    config = InformerConfig(1, 1, num_targets=1, **SMALL)
    forecast = Informer(config).train()(torch.randn(1, 1, 1))
    assert bool(forecast.isfinite().all())


@pytest.mark.parametrize("patch_length", [1, 4])
def test_channel_independence(patch_length: int) -> None:
    """Changing one component leaves the forecasts of the others as they are."""
    config = InformerConfig(
        24, 12, num_targets=3, channel_independent=True, patch_length=patch_length, **SMALL
    )
    network = Informer(config).eval()
    x = torch.randn(2, 24, 3)
    changed = x.clone()
    changed[:, :, 1] += 1.0
    before, after = network(x), network(changed)
    torch.testing.assert_close(before[:, :, [0, 2]], after[:, :, [0, 2]], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, :, 1], after[:, :, 1])


def test_channel_independent_components_share_weights() -> None:
    """Permuting the components permutes the forecast."""
    config = InformerConfig(24, 12, num_targets=3, channel_independent=True, **SMALL)
    network = Informer(config).eval()
    x = torch.randn(2, 24, 3)
    order = [2, 0, 1]
    torch.testing.assert_close(network(x[:, :, order]), network(x)[:, :, order])


@pytest.mark.parametrize("num_maps", [1, 2])
def test_lookback_skip_adds_the_linear_map(num_maps: int) -> None:
    """One for all components, or one for each."""
    config = InformerConfig(24, 12, num_targets=2, num_parameters=3, lookback_skip=True, **SMALL)
    network = Informer(config).eval()
    network.lookback_skip.match_components(num_maps)
    nn.init.normal_(network.lookback_skip.weight)
    nn.init.normal_(network.lookback_skip.bias)
    x = torch.randn(2, 24, 2)
    with_skip = network(x)
    weight, bias = network.lookback_skip.weight, network.lookback_skip.bias.squeeze(3)
    expected = torch.einsum("blc,cphl->bhcp", x, weight.expand(2, -1, -1, -1))
    expected = expected + bias.permute(2, 0, 1)
    network.lookback_skip = None
    torch.testing.assert_close(with_skip - network(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("lookback", "horizon"), [(24, 12), (30, 12), (10, 12), (24, 5), (30, 20)])
def test_lookback_skip_moves_to_other_lengths(lookback: int, horizon: int) -> None:
    """The weight of "k steps back, h ahead" stays with k and h; what was not learnt is zero."""
    sizes = {"num_targets": 1, "lookback_skip": True, **SMALL}
    saved = Informer(InformerConfig(24, 12, **sizes))
    nn.init.normal_(saved.lookback_skip.weight)
    nn.init.normal_(saved.lookback_skip.bias)
    moved = Informer(InformerConfig(lookback, horizon, **sizes))
    moved.load_state_dict(saved.state_dict())
    x = torch.zeros(1, 30, 1)
    x[:, -10:] = torch.randn(1, 10, 1)
    both = min(horizon, 12)
    torch.testing.assert_close(
        moved.lookback_skip(x[:, 30 - lookback :])[:, :both],
        saved.lookback_skip(x[:, 6:])[:, :both],
    )
    assert not moved.lookback_skip(torch.ones(1, lookback, 1))[:, 12:].any()


def test_maps_of_another_number_drop_the_gradient_of_the_old() -> None:
    """Else the next backward pass fails, with a message about shapes that nobody gave."""
    config = InformerConfig(24, 12, num_targets=2, lookback_skip=True, **SMALL)
    saved, network = Informer(config), Informer(config)
    saved.lookback_skip.match_components(2)
    x = torch.randn(3, 24, 2)
    network(x).sum().backward()
    network.load_state_dict(saved.state_dict())
    network(x).sum().backward()
    assert len(network.lookback_skip.weight.grad) == 2


@pytest.mark.parametrize("assign", [False, True])
def test_a_network_made_without_memory_is_whole_after_loading(assign: bool) -> None:
    """The position code is in no state dict: left as it was made, it would be what memory held."""
    config = InformerConfig(13, 7, num_targets=2, **SMALL)
    saved = Informer(config).eval()
    with torch.device("meta"):
        network = Informer(config).eval()
    if not assign:
        network = network.to_empty(device="cpu")
    network.load_state_dict(saved.state_dict(), assign=assign)
    x = torch.randn(3, 13, 2)
    assert torch.equal(network(x), saved(x))


def test_a_causal_decoder_cannot_see_later_time_stamps() -> None:
    """Full masked attention: time stamps of later steps leave earlier steps unchanged."""
    config = InformerConfig(
        24,
        12,
        num_targets=1,
        num_future_covariates=2,
        attention="full",
        num_decoder_layers=2,
        **SMALL,
    )
    x, future = torch.randn(1, 24, 1), torch.randn(1, 36, 2)
    changed = future.clone()
    changed[:, 30:] += 1.0
    for causal in (True, False):
        network = Informer(dataclasses.replace(config, decoder_causal=causal)).eval()
        before, after = network(x, None, future), network(x, None, changed)
        assert torch.allclose(before[:, :6], after[:, :6], atol=1e-6) == causal
        assert not torch.allclose(before[:, 6:], after[:, 6:], atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"sampling_factor": 2},
        {"sparsity": "sampled"},
        {"cross_attention": "prob"},
        {"attention": "full"},
        {"decoder_causal": False},
        {"distil": False},
        {"activation": "gelu"},
        {"padding_mode": "circular"},
        {"start_token_length": 10},
    ],
    ids=str,
)
def test_every_option_reaches_the_forecast(change: dict[str, object]) -> None:
    """The same weights with another option: one that is not passed on changes nothing."""
    config = InformerConfig(90, 30, 2, patch_length=1, sampling_factor=1, **SMALL)
    network = Informer(config).eval()
    nn.init.normal_(network.projection.weight)
    other = Informer(dataclasses.replace(config, **change)).eval()
    other.load_state_dict(network.state_dict(), strict=change != {"distil": False})
    x = torch.randn(2, 90, 2)
    assert (network(x) - other(x)).abs().max() > 1e-4


@pytest.mark.parametrize("sparsity", ["sampled", "moment"])
def test_all_active_queries_are_full_attention(sparsity: str) -> None:
    """In encoder and decoder, masked and not, whatever ranks them."""
    config = InformerConfig(90, 30, 2, patch_length=1, sampling_factor=100, **SMALL)
    network = Informer(dataclasses.replace(config, sparsity=sparsity)).eval()
    other = Informer(dataclasses.replace(config, attention="full", sampling_factor=1)).eval()
    other.load_state_dict(network.state_dict())
    x = torch.randn(2, 90, 2)
    torch.testing.assert_close(network(x), other(x), rtol=1e-4, atol=1e-5)


def test_the_decoder_attends_to_the_encoder_by_second_order() -> None:
    """Near full attention, and equal to it where all queries are active."""
    config = InformerConfig(90, 30, 2, patch_length=1, attention="full", distil=False, **SMALL)
    network = Informer(config).eval()

    def distance(factor: int) -> float:
        change = {"cross_attention": "prob", "sampling_factor": factor}
        other = Informer(dataclasses.replace(config, **change)).eval()
        other.load_state_dict(network.state_dict())
        x = torch.randn(2, 90, 2, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = network(x)
            return float((other(x) - expected).norm() / expected.norm())

    assert 1e-6 < distance(1) < 0.05
    assert distance(100) < 1e-5


def test_the_last_layer_drops_start_tokens_without_a_change() -> None:
    """Cutting them before the feed-forward network saves time and gives the same forecast."""
    config = InformerConfig(24, 12, num_targets=1, num_decoder_layers=2, **SMALL)
    network = Informer(config).eval()
    tokens, memory = torch.randn(2, 24, 8), torch.randn(2, 6, 8)
    cut = network.decoder(tokens, memory, num_placeholders=12)
    whole = network.decoder(tokens, memory, num_placeholders=24)
    torch.testing.assert_close(cut, whole[:, -12:])


@pytest.mark.parametrize(("length", "patch_length"), [(1, 1), (5, 2), (7, 7), (3, 8), (12, 4)])
def test_folding_keeps_order_and_repeats_ends(length: int, patch_length: int) -> None:
    x = torch.arange(float(length)).view(1, length, 1)
    left = fold_patches(x, patch_length, pad_left=True).flatten()
    right = fold_patches(x, patch_length, pad_left=False).flatten()
    assert left[-length:].tolist() == right[:length].tolist() == list(range(length))
    assert set(left[:-length].tolist()) <= {0.0}
    assert set(right[length:].tolist()) <= {float(length - 1)}


@pytest.mark.parametrize("d_model", [1, 2, 7, 64])
def test_position_code(d_model: int) -> None:
    """Any width, odd ones too, and any length; longer codes begin with the shorter ones."""
    code = sinusoidal_position(6000, d_model)
    assert code.shape == (6000, d_model)
    torch.testing.assert_close(code[:, 0], torch.arange(6000.0).double().sin().float())
    assert torch.equal(code[:10], sinusoidal_position(10, d_model))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_chunk_length": 0}, "`input_chunk_length` must be an integer of at least 1; got 0"),
        ({"output_chunk_length": 1.5}, "`output_chunk_length` must be an integer .* got 1.5"),
        ({"num_targets": True}, "`num_targets` must be an integer"),
        ({"num_past_covariates": -1}, "`num_past_covariates` .* at least 0; got -1"),
        (
            {"d_model": 10, "nhead": 4},
            "divisible by `nhead`; got d_model=10 and nhead=4.*d_model=12",
        ),
        (
            {"start_token_length": 25},
            "must not exceed `input_chunk_length`; got start_token_length=25",
        ),
        ({"start_token_length": -1}, "`start_token_length` must be an integer of at least 0"),
        ({"activation": "gulu"}, "`activation` must be one of 'gelu', 'relu'; got 'gulu'"),
        ({"attention": "sparse"}, "`attention` must be one of 'prob', 'full'.*; got 'sparse'"),
        ({"cross_attention": "moment"}, "`cross_attention` must be one of 'full', 'prob'; got"),
        ({"sparsity": "random"}, "`sparsity` must be one of 'sampled', 'moment'; got 'random'"),
        ({"padding_mode": "zeros"}, "`padding_mode` must be one of"),
        ({"dropout": 1.0}, r"`dropout` must be a number in \[0, 1\); got 1.0"),
        ({"dropout": "0.1"}, "`dropout` must be a number"),
        ({"distil": 1}, "`distil` must be True or False; got 1"),
        ({"num_encoder_stacks": 3}, "must not exceed `num_encoder_layers`"),
    ],
)
def test_a_bad_field_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InformerConfig(
            **{"input_chunk_length": 24, "output_chunk_length": 12, "num_targets": 1, **changes}
        )


@pytest.mark.parametrize("position", range(4))
def test_a_bad_shape_is_refused(position: int) -> None:
    """Broadcasting would otherwise give a forecast from the wrong numbers."""
    config = InformerConfig(24, 12, 2, 1, 3, 4, **SMALL)
    network = Informer(config)
    names = ["past_target", "past_covariates", "future_covariates", "static_covariates"]
    inputs = make_inputs(config)
    inputs[position] = inputs[position][..., :-1]
    with pytest.raises(ValueError, match=f"`{names[position]}` must have the shape"):
        network(*inputs)
    if position:
        inputs[position] = None
        with pytest.raises(ValueError, match=f"`{names[position]}` must have .* got none"):
            network(*inputs)
    inputs[position] = [1.0]
    with pytest.raises(ValueError, match=f"`{names[position]}` must .* got <class 'list'>"):
        network(*inputs)
    plain = Informer(InformerConfig(24, 12, 2, **SMALL))
    with pytest.raises(ValueError, match="`past_covariates` must be left out"):
        plain(torch.randn(1, 24, 2), torch.randn(1, 24, 1))


@pytest.mark.parametrize("attention", ["prob", "full"])
def test_no_samples_give_no_forecasts(attention: str) -> None:
    """The last share of a data set may be empty."""
    config = InformerConfig(
        48, 12, 1, patch_length=1, sampling_factor=1, d_model=8, nhead=2, attention=attention
    )
    assert Informer(config)(torch.zeros(0, 48, 1)).shape == (0, 12, 1, 1)


@pytest.mark.parametrize("given", [torch.zeros(48, 2), np.zeros((1, 48, 2)), [1.0]], ids=type)
def test_what_is_no_batch_is_named(given: object) -> None:
    network = Informer(InformerConfig(48, 12, 2, d_model=8, nhead=2))
    with pytest.raises(ValueError, match=r"`past_target` must be a tensor \(B, L, C\), with"):
        network(given)


@pytest.mark.parametrize("given", [None, {"num_targets": 1}, InformerConfig], ids=repr)
def test_a_network_is_made_from_a_configuration(given: object) -> None:
    with pytest.raises(ValueError, match=r"`config` must be .*; got .* Make one by"):
        Informer(given)


def test_switches_of_numpy_are_switches() -> None:
    assert InformerConfig(48, 12, 1, distil=np.False_).distil is False
    with pytest.raises(ValueError, match="`sparsity` must be one of"):
        InformerConfig(48, 12, 1, sparsity=np.array(["moment"]))


def test_each_component_reads_its_own_static_covariates() -> None:
    """In a batch of several: those of one sample or of another component must not reach it."""
    config = InformerConfig(24, 12, num_targets=3, num_static_covariates=2, **SMALL)
    network = Informer(config).eval()
    x, static = torch.randn(2, 24, 3), torch.randn(2, 3, 2)
    together = network(x, None, None, static)
    order = [2, 0, 1]
    torch.testing.assert_close(
        network(x[:, :, order], None, None, static[:, order]), together[:, :, order]
    )
    for sample in range(2):
        alone = network(x[sample : sample + 1], None, None, static[sample : sample + 1])
        torch.testing.assert_close(alone[0], together[sample])
    changed = static.clone()
    changed[1, 2] += 1.0
    moved = (network(x, None, None, changed) - together).abs().amax(1).squeeze(2) > 1e-6
    assert moved.tolist() == [[False, False, False], [False, False, True]]


@pytest.mark.parametrize("horizon", [10, 12])
def test_each_step_ahead_has_the_time_stamp_of_its_own_token(horizon: int) -> None:
    """Also where the last token is not full: patches of the horizon begin at its first step."""
    config = InformerConfig(
        16,
        horizon,
        num_targets=1,
        num_future_covariates=1,
        patch_length=4,
        start_token_length=4,
        **SMALL,
    )
    network = Informer(config).eval()
    x, stamps = torch.randn(1, 16, 1), torch.randn(1, 16 + horizon, 1)
    before = network(x, None, stamps)
    for step in range(horizon):
        changed = stamps.clone()
        changed[0, 16 + step] += 1.0
        moved = (network(x, None, changed) - before).abs()[0, :, 0, 0] > 1e-6
        token = step // 4 * 4
        assert bool(moved[token : token + 4].all())
        # The decoder is causal: no token before it sees the step.
        assert not bool(moved[:token].any())
