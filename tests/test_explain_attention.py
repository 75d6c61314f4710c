"""The attentions of a forecast: those that the network computed, at the steps they stand for."""

from __future__ import annotations

import copy
import gc

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from informer_forecaster import Informer, InformerConfig
from informer_forecaster._network.distilling import Distilling
from informer_forecaster._network.embedding import fold_patches
from informer_forecaster._network.layers import MultiHeadAttention
from informer_forecaster._network.sparsity import num_selected
from informer_forecaster.explain import InformerExplainer
from informer_forecaster.explain.attention import sites
from informer_forecaster.explain.tokens import TokenSteps

LENGTH = 48
SPARSE = {"sampling_factor": 1, "sparsity": "sampled"}
ARCHITECTURES = pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"attention": "full", "distil": False},
        {"sparsity": "moment", "num_encoder_layers": 3, "num_encoder_stacks": 3, "patch_length": 1},
        {"patch_length": 3, "channel_independent": True, "decoder_causal": False},
        {"num_decoder_layers": 2, "start_token_length": 0},
    ],
    ids=lambda arguments: ", ".join(arguments) or "defaults",
)


def maps_of(result):
    return [*result.encoder_layers, *result.decoder_layers]


def watch(model, series):
    """Inputs and outputs of every attention while the model itself forecasts."""
    seen = {}
    modules = [m for m in model.model.modules() if isinstance(m, MultiHeadAttention)]
    hooks = [
        module.register_forward_hook(lambda m, inputs, output: seen.update({m: (inputs, output)}))
        for module in modules
    ]
    model.predict(12, series)
    for hook in hooks:
        hook.remove()
    return seen


@ARCHITECTURES
def test_the_maps_give_what_the_network_computed(tiny_model, waves, arguments):
    """Weights times values must be the output of the attention in the model's own forecast."""
    model = tiny_model(LENGTH, 12, **{**SPARSE, **arguments}).fit(waves(100, 2))
    window = waves(90, 2, seed=3)
    maps = maps_of(InformerExplainer(model).explain(window, horizons=1, attention_rows="all"))
    seen = watch(model, window)
    assert len(seen) == len(maps)
    for site, one in zip(sites(model.model.network), maps, strict=True):
        (x, *memory), output = seen[site.heads]
        keys = memory[0] if memory else x
        weights = torch.from_numpy(one.weights).to(x.dtype)  # (E, H, L, S)
        assert weights.shape == (len(x), site.heads.nhead, x.shape[1], keys.shape[1])
        with torch.inference_mode():
            *_, value = site.heads.query_key_value(keys).chunk(3, dim=2)
            value = value.unflatten(2, (site.heads.nhead, -1)).transpose(1, 2)
            rebuilt = site.heads.output((weights @ value).transpose(1, 2).flatten(2))
        torch.testing.assert_close(rebuilt, output, rtol=1e-4, atol=1e-6)


@ARCHITECTURES
def test_kept_rows_are_those_of_the_largest_measurement(tiny_model, waves, arguments):
    model = tiny_model(LENGTH, 12, **{**SPARSE, **arguments}).fit(waves(100, 2))
    explainer = InformerExplainer(model)
    kept, every = (
        maps_of(explainer.explain(horizons=1, attention_rows=rows)) for rows in ("kept", "all")
    )
    sparse = model.model.network.config.attention == "prob"
    for one, full in zip(kept, every, strict=True):
        count = num_selected(len(one.queries), 1)
        assert one.rows.shape[2] == one.weights.shape[2] == count < len(one.queries)
        np.testing.assert_allclose(one.weights.sum(3), 1, rtol=1e-5)
        for place in np.ndindex(*one.rows.shape[:2]):
            largest = np.sort(np.argsort(-one.sparsity[place], kind="stable")[:count])
            np.testing.assert_array_equal(one.rows[place], largest)
            np.testing.assert_allclose(full.weights[place][largest], one.weights[place])
            active = one.active[place]
            # By the moment, short sequences get exact attention.
            exact = arguments.get("sparsity") == "moment" and len(one.keys) < 20
            if sparse and not exact and one.kind != "decoder cross":
                assert np.flatnonzero(active).tolist() == largest.tolist()
            else:
                assert active.all()


def test_channels_are_named_where_components_are_forecast_alone(tiny_model, waves):
    together = tiny_model(16, channel_independent=False).fit(waves(60, 2))
    alone = tiny_model(16).fit(waves(60, 2))
    (first, *_), (second, *_) = (
        maps_of(InformerExplainer(model).explain(horizons=1)) for model in (together, alone)
    )
    assert (first.channels, second.channels) == (("all",), ("wave_0", "wave_1"))
    assert (len(first.sparsity), len(second.sparsity)) == (1, 2)
    tables = [second.attention(head=1, channel=name) for name in second.channels]
    assert not np.allclose(tables[0], tables[1])
    pd.testing.assert_frame_equal(second.attention(head=1), tables[0])


def test_the_long_tail_is_ranked(tiny_model, waves):
    model = tiny_model(LENGTH, patch_length=1, **{**SPARSE, "sampling_factor": 2}).fit(waves(100))
    one = InformerExplainer(model).explain(horizons=1).encoder_layers[0]
    table = one.ranked(head=1)
    assert table["sparsity"].is_monotonic_decreasing
    assert table["active"].tolist() == [True] * 8 + [False] * 40
    assert sorted(table["time"]) == list(waves(100).time_index[-LENGTH:])


# Token positions


def test_patches_lie_where_the_network_folds_them():
    steps = torch.arange(7.0).view(1, 7, 1)
    for pad_left in (True, False):
        tokens = TokenSteps.fold(0, 7, 3, pad_left=pad_left)
        folded = fold_patches(steps, 3, pad_left=pad_left)[0]
        assert tokens.first.tolist() == folded.amin(1).tolist()
        assert tokens.last.tolist() == folded.amax(1).tolist()


@pytest.mark.parametrize("length", [1, 2, 9, 16])
def test_no_step_beyond_first_and_last_reaches_a_distilled_token(length):
    """And both do, where the largest of the neighbours is theirs."""
    tokens = TokenSteps.fold(0, length, 1, pad_left=True).distilled().distilled()
    layers = [Distilling(1).eval() for _ in range(2)]
    reached = torch.zeros(len(tokens), length, dtype=torch.bool)
    for seed in range(50):
        x = torch.randn(1, length, 1, generator=torch.manual_seed(seed))
        slopes = torch.autograd.functional.jacobian(lambda x: layers[1](layers[0](x)), x)
        reached |= slopes[0, :, 0, 0, :, 0] != 0
    for token, steps in enumerate(reached):
        found = steps.nonzero().flatten()
        assert (found.min(), found.max()) == (tokens.first[token], tokens.last[token])
        assert tokens.first[token] <= tokens.middle[token] <= tokens.last[token]


def test_replica_stacks_and_the_decoder_lie_at_their_steps():
    config = InformerConfig(
        16, 6, 1, num_encoder_layers=2, num_encoder_stacks=2, start_token_length=4
    )
    found = {(s.kind, s.stack, s.layer): s for s in sites(Informer(config))}
    assert found["encoder", 1, 0].queries.middle.tolist() == list(range(8, 16))
    assert found["encoder", 0, 1].keys.middle.tolist() == list(range(0, 16, 2))
    decoder = found["decoder self", 0, 0]
    assert decoder.queries.middle.tolist() == list(range(12, 22))
    cross = found["decoder cross", 0, 0]
    assert cross.queries.middle.tolist() == list(range(16, 22))
    assert cross.keys.middle.tolist() == [*range(0, 16, 2), *range(8, 16)]


# The model is left alone


def structure(module):
    """Attributes of every module below ``module``, and the identity of every tensor."""

    def describe(value):
        return id(value) if isinstance(value, torch.Tensor) else str(value)

    return {
        name: {key: describe(value) for key, value in vars(one).items()}
        for name, one in module.named_modules()
    }


def count_tensors():
    """Tensors that anything holds."""
    gc.collect()
    return sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())


def test_nothing_of_an_explanation_stays_on_the_model(tiny_model, waves):
    model = tiny_model(16).fit(waves(60))
    weights = copy.deepcopy(model.model.state_dict())
    forecast = model.predict(4)
    before = structure(model.model)
    explainer = InformerExplainer(model)
    explainer.explain()
    tensors = count_tensors()
    explainer.explain()
    assert count_tensors() == tensors
    assert structure(model.model) == before
    torch.testing.assert_close(model.model.state_dict(), weights, rtol=0, atol=0)
    assert model.predict(4) == forecast


def test_a_compiled_network_is_explained_without_compiling(tiny_model, waves):
    model = tiny_model(16).fit(waves(60))
    plain = InformerExplainer(model).explain().get_completeness()

    def fail(*_unused):
        raise AssertionError("compiled")

    model.model.network.compile(backend=fail)
    pd.testing.assert_frame_equal(InformerExplainer(model).explain().get_completeness(), plain)


# Plots


@pytest.fixture
def figures():
    yield
    plt.close("all")


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize("index", ["datetime", "range"])
def test_plots_lie_on_the_time_axis(tiny_model, waves, index):
    series = waves(60, index=index)
    model = tiny_model(LENGTH, patch_length=1, **SPARSE).fit(series)
    result = InformerExplainer(model).explain()
    window = series.time_index[-LENGTH:]
    for figure in (result.plot_importance(2), result.plot_sparsity()):
        axis = figure.axes[0]
        expected = axis.convert_xunits(window)
        drawn = [line.get_xdata(orig=False).tolist() for line in axis.lines]
        assert list(expected) in drawn
    axis = result.plot_attention(1, head=1).axes[0]
    mesh = axis.collections[0]
    assert mesh.get_array().shape == (4, LENGTH // 2)
    edges = mesh.get_coordinates()[0, :, 0]
    np.testing.assert_allclose((edges[1:] + edges[:-1]) / 2, axis.convert_xunits(window[::2]))


@pytest.mark.usefixtures("figures")
def test_titles_say_horizon_unit_and_number_of_inputs(tiny_model, waves):
    result = InformerExplainer(tiny_model(LENGTH).fit(waves(60))).explain(horizons=[1, 2])
    window, bars, steps = result.plot_importance(2, num_inputs=1).axes
    assert window.get_title() == "look-back, and the forecast of wave_0 2 steps ahead"
    count = len(result.get_shares(2))
    assert steps.get_title() == (
        f"what each step adds 2 steps ahead, in units of wave_0: the largest 1 of {count} inputs"
    )
    assert "2 steps ahead" in bars.get_title(loc="right")
    (lags,) = steps.child_axes
    names = [label.get_text() for label in lags.get_xticklabels()]
    seen = lags.convert_xunits(waves(60).time_index[-LENGTH:])
    assert "0" in names
    assert [seen[int(name) - 1] for name in names] == lags.get_xticks().tolist()
    assert "1 to 2 steps ahead, on average" in result.plot_importance().axes[0].get_title()


@pytest.mark.usefixtures("figures")
def test_an_explanation_of_several_series_gives_lists(tiny_model, waves):
    series = [waves(60, 2), waves(50, 2, seed=1)]
    model = tiny_model(16, channel_independent=True).fit(series)
    result = InformerExplainer(model, series).explain(horizons=[1, 2])
    for items in (
        result.plot_importance(component="wave_1"),
        result.plot_sparsity(0, "decoder", "wave_1"),
        result.plot_attention(1, 1, "decoder", "wave_1"),
        result.get_explanation(1, "wave_0"),
        result.get_shares(1, "wave_0"),
        result.encoder_layers,
    ):
        assert len(items) == 2
