"""torch.compile: one graph, the same forecast, the same parameter names."""

import numpy as np
import pytest
import torch

from informer_forecaster import Informer, InformerConfig
from informer_forecaster._network.attention import ProbSparseAttention

MODES = [
    {},
    {"attention": "full"},
    {"sparsity": "sampled"},
    {"sparsity": "moment", "decoder_causal": False, "patch_length": 1},
    {"sparsity": "moment", "patch_length": 1, "sampling_factor": 1},
    {"patch_length": 4, "channel_independent": True, "num_encoder_stacks": 2},
]


def make_network(**mode: object) -> tuple[Informer, tuple[torch.Tensor, None, torch.Tensor]]:
    torch.manual_seed(0)
    sizes = {"d_model": 8, "nhead": 2, "dim_feedforward": 16, "sampling_factor": 2, **mode}
    config = InformerConfig(60, 30, 2, num_future_covariates=2, **sizes)
    return Informer(config), (torch.randn(3, 60, 2), None, torch.randn(3, 90, 2))


# A training of the defaults; the others take two minutes.
@pytest.mark.parametrize("training", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "mode",
    [pytest.param(each, marks=[pytest.mark.slow] * (at > 0)) for at, each in enumerate(MODES)],
    ids=str,
)
def test_the_network_is_one_graph(mode: dict[str, object], training: bool) -> None:
    """A break would cost a round trip through Python in every layer; `fullgraph` refuses one."""
    torch.compiler.reset()  # torch compiles a function for eight networks of a process at most
    network, inputs = make_network(**mode)
    network.train(training)
    network.compile(backend="aot_eager", fullgraph=True)
    forecast = network(*inputs)
    if training:
        forecast.square().mean().backward()
        assert all(p.grad is not None for p in network.parameters())
    else:
        plain, _ = make_network(**mode)
        torch.testing.assert_close(forecast, plain.eval()(*inputs))


@pytest.mark.slow
def test_a_compiled_model_trains_predicts_and_saves(tiny_model, waves, tmp_path) -> None:
    """Generated code rounds differently; files are those of the model without it."""
    from informer_forecaster import InformerModel

    torch.compiler.reset()  # the networks of the tests before count
    series = waves(60)
    # Generated code draws other random numbers: without dropout and sampling there are none.
    options = {"dropout": 0.0, "sparsity": "moment"}
    plain = tiny_model(24, 8, **options).fit(series)
    compiled = tiny_model(24, 8, **options, compile_network=True).fit(series)
    np.testing.assert_allclose(
        compiled.predict(8).values(), plain.predict(8).values(), rtol=1e-6, atol=1e-6
    )
    assert compiled.model.state_dict().keys() == plain.model.state_dict().keys()
    path = str(tmp_path / "compiled.pt")
    compiled.save(path)
    moved = tiny_model(24, 8, **options)
    moved.load_weights(path)
    np.testing.assert_allclose(moved.predict(8, series).values(), compiled.predict(8).values())
    assert len(InformerModel.load(path).predict(8)) == 8


@pytest.mark.slow
@pytest.mark.parametrize("length", [296, 301])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_to_second_order_is_compiled_right(causal: bool, length: int) -> None:
    """With gradients, and lengths that do not divide: generated code once read beyond a block."""
    torch.compiler.reset()
    attention = ProbSparseAttention(2, causal, sparsity="moment")
    outputs, gradients = [], []
    for function in (attention, torch.compile(attention)):
        generator = torch.Generator().manual_seed(0)
        heads = [torch.randn(2, 2, length, 8, generator=generator) for _ in range(3)]
        heads = [each.requires_grad_() for each in heads]
        outputs.append(function(*heads))
        outputs[-1].square().sum().backward()
        gradients.append(torch.stack([each.grad for each in heads]))
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_more_networks_than_torch_compiles_run_all_the_same(tiny_model, waves) -> None:
    """A search over sizes makes many: torch's limit is a matter of speed, not of the result."""
    torch.compiler.reset()
    with torch._dynamo.config.patch(recompile_limit=1):
        for d_model in (8, 16):
            options = {"d_model": d_model, "dropout": 0.0, "sparsity": "moment"}
            plain = tiny_model(24, 8, **options).fit(waves(60))
            compiled = tiny_model(24, 8, **options, compile_network=True).fit(waves(60))
            np.testing.assert_allclose(
                compiled.predict(8).values(), plain.predict(8).values(), rtol=1e-6, atol=1e-6
            )
