"""Weights under the original's names: our network against the same formulas written out plainly.

The state dicts are synthetic: random weights of the original's names and shapes.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import pytest
import torch
from torch import Tensor

from informer_forecaster import Informer, load_original_weights

LENGTHS = {"input_chunk_length": 24, "output_chunk_length": 8, "start_token_length": 12}
HEADS = 2


class StateDict(OrderedDict):
    """Random weights of the original's names and shapes."""

    def __init__(self, *, width, hidden):
        super().__init__()
        self.width, self.hidden = width, hidden
        self.generator = torch.Generator().manual_seed(0)

    def random(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def add(self, name, *shape, bias=True):
        self[f"{name}.weight"] = self.random(*shape) / math.sqrt(math.prod(shape[1:]))
        if bias:
            self[f"{name}.bias"] = self.random(shape[0]) * 0.3

    def add_norm(self, name):
        self[f"{name}.weight"] = 1 + self.random(self.width).abs()
        self[f"{name}.bias"] = self.random(self.width) * 0.3

    def add_embedding(self, name, channels, stamps, *, biases):
        self.add(f"{name}.value_embedding.tokenConv", self.width, channels, 3, bias=biases)
        self[f"{name}.position_embedding.pe"] = position_code(5000, self.width)
        self.add(f"{name}.temporal_embedding.embed", self.width, stamps, bias=biases)

    def add_layer(self, name, attentions, norms):
        for attention in attentions:
            for part in ("query", "key", "value", "out"):
                self.add(f"{name}.{attention}.{part}_projection", self.width, self.width)
        self.add(f"{name}.conv1", self.hidden, self.width, 1)
        self.add(f"{name}.conv2", self.width, self.hidden, 1)
        for n in range(norms):
            self.add_norm(f"{name}.norm{n + 1}")

    def add_distilling(self, name):
        self.add(f"{name}.downConv", self.width, self.width, 3)
        self.add_norm(f"{name}.norm")
        self[f"{name}.norm.running_mean"] = self.random(self.width) * 0.3
        self[f"{name}.norm.running_var"] = 1 + self.random(self.width).abs()
        self[f"{name}.norm.num_batches_tracked"] = torch.tensor(7)

    def add_stack(self, name, layers, *, distil):
        for layer in range(layers):
            self.add_layer(f"{name}.attn_layers.{layer}", ["attention"], norms=2)
        for layer in range(layers - 1 if distil else 0):
            self.add_distilling(f"{name}.conv_layers.{layer}")
        self.add_norm(f"{name}.norm")


def make_state_dict(
    channels=3,
    targets=3,
    width=8,
    layers=(2,),
    stacked=False,
    decoder_layers=2,
    distil=True,
    biases=True,
):
    """Make the state dict of an original model."""
    weights = StateDict(width=width, hidden=12)
    for side in ("enc", "dec"):
        weights.add_embedding(f"{side}_embedding", channels, 4, biases=biases)
    for n, depth in enumerate(layers):
        name = f"encoder.encoders.{n}" if stacked else "encoder"
        weights.add_stack(name, depth, distil=distil)
    for layer in range(decoder_layers):
        attentions = ["self_attention", "cross_attention"]
        weights.add_layer(f"decoder.layers.{layer}", attentions, norms=3)
    weights.add_norm("decoder.norm")
    weights.add("projection", targets, width)
    return OrderedDict(weights)


def position_code(length, width):
    """Write sines and cosines of angles in 32 bits, ``(1, length, width)``."""
    steps = torch.arange(length).float().unsqueeze(1)
    frequencies = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
    code = torch.zeros(length, width)
    code[:, 0::2] = torch.sin(steps * frequencies)
    code[:, 1::2] = torch.cos(steps * frequencies)
    return code.unsqueeze(0)


class Plain:
    """The original's forward pass by its formulas, one head and one window at a time."""

    def __init__(self, weights, mix, activation="gelu"):
        self.weights = {name: one.double() for name, one in weights.items()}
        self.mix = mix
        self.activation = activation

    def affine(self, name, x: Tensor) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        bias = self.weights.get(f"{name}.bias", 0.0)
        return x @ weight.reshape(weight.shape[0], -1).T + bias

    def circular(self, name, x: Tensor) -> Tensor:
        """Mix each step with its neighbours; the ends are neighbours of each other."""
        before, here, after = self.weights[f"{name}.weight"].unbind(2)
        bias = self.weights.get(f"{name}.bias", 0.0)
        return x.roll(1, 1) @ before.T + x @ here.T + x.roll(-1, 1) @ after.T + bias

    def norm(self, name, x: Tensor) -> Tensor:
        centred = x - x.mean(2, keepdim=True)
        deviation = (centred.square().mean(2, keepdim=True) + 1e-5).sqrt()
        return centred / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def embed(self, name, values: Tensor, stamps: Tensor) -> Tensor:
        position = self.weights[f"{name}.position_embedding.pe"][:, : values.shape[1]]
        tokens = self.circular(f"{name}.value_embedding.tokenConv", values)
        return tokens + position + self.affine(f"{name}.temporal_embedding.embed", stamps)

    def attention(self, name, x: Tensor, memory: Tensor, *, causal=False, mix=False) -> Tensor:
        q = self.affine(f"{name}.query_projection", x)
        k = self.affine(f"{name}.key_projection", memory)
        v = self.affine(f"{name}.value_projection", memory)
        heads = []
        for q_head, k_head, v_head in zip(*(one.chunk(HEADS, 2) for one in (q, k, v)), strict=True):
            scores = q_head @ k_head.transpose(1, 2) / math.sqrt(q_head.shape[2])
            if causal:
                future = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
                scores = scores.masked_fill(future, -math.inf)
            heads.append(scores.softmax(2) @ v_head)
        # Mixed, all steps of a head lie side by side before the rows are cut anew.
        joined = torch.stack(heads, 1).reshape(x.shape) if mix else torch.cat(heads, 2)
        return self.affine(f"{name}.out_projection", joined)

    def feed_forward(self, name, x: Tensor) -> Tensor:
        hidden = self.affine(f"{name}.conv1", x)
        if self.activation == "relu":
            hidden = hidden.clamp(min=0)
        else:
            hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
        return self.affine(f"{name}.conv2", hidden)

    def distil(self, name, x: Tensor) -> Tensor:
        x = self.circular(f"{name}.downConv", x)
        mean, variance, weight, bias = (
            self.weights[f"{name}.norm.{part}"]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / (variance + 1e-5).sqrt() * weight + bias
        x = torch.where(x > 0, x, x.exp() - 1)
        windows = [x[:, max(0, i - 1) : i + 2].amax(1) for i in range(0, x.shape[1], 2)]
        return torch.stack(windows, 1)

    def encode(self, name, x: Tensor) -> Tensor:
        layer = 0
        while f"{name}.attn_layers.{layer}.conv1.weight" in self.weights:
            prefix = f"{name}.attn_layers.{layer}"
            x = self.norm(f"{prefix}.norm1", x + self.attention(f"{prefix}.attention", x, x))
            x = self.norm(f"{prefix}.norm2", x + self.feed_forward(prefix, x))
            if f"{name}.conv_layers.{layer}.downConv.weight" in self.weights:
                x = self.distil(f"{name}.conv_layers.{layer}", x)
            layer += 1
        return self.norm(f"{name}.norm", x)

    def __call__(self, values, stamps, decoder_values, decoder_stamps, horizon) -> Tensor:
        x = self.embed("enc_embedding", values, stamps)
        if "encoder.norm.weight" in self.weights:
            memory = self.encode("encoder", x)
        else:
            stacks = {n.split(".")[2] for n in self.weights if n.startswith("encoder.encoders")}
            memory = torch.cat(
                [
                    self.encode(f"encoder.encoders.{n}", x[:, -(x.shape[1] // 2**n) :])
                    for n in range(len(stacks))
                ],
                dim=1,
            )
        x = self.embed("dec_embedding", decoder_values, decoder_stamps)
        layer = 0
        while f"decoder.layers.{layer}.conv1.weight" in self.weights:
            name = f"decoder.layers.{layer}"
            mixed = self.attention(f"{name}.self_attention", x, x, causal=True, mix=self.mix)
            x = self.norm(f"{name}.norm1", x + mixed)
            crossed = self.attention(f"{name}.cross_attention", x, memory)
            x = self.norm(f"{name}.norm2", x + crossed)
            x = self.norm(f"{name}.norm3", x + self.feed_forward(name, x))
            layer += 1
        return self.affine("projection", self.norm("decoder.norm", x))[:, -horizon:]


def compare(path, weights, *, mix=True, activation="gelu", **lengths):
    """Load ``weights`` and give the largest difference from the plain forward pass."""
    torch.save(weights, path)
    lengths = {**LENGTHS, **lengths}
    options = {"nhead": HEADS, "mix": mix, "activation": activation}
    network = load_original_weights(path, **lengths, **options)
    past, horizon, start = lengths.values()
    generator = torch.Generator().manual_seed(1)
    channels = weights["enc_embedding.value_embedding.tokenConv.weight"].shape[1]
    targets = weights["projection.weight"].shape[0]
    values = torch.randn(5, past, channels, generator=generator)
    stamps = torch.rand(5, past + horizon, 4, generator=generator) - 0.5
    decoder_values = torch.cat([values[:, past - start :], torch.zeros(5, horizon, channels)], 1)
    expected = Plain(weights, mix, activation)(
        values.double(),
        stamps[:, :past].double(),
        decoder_values.double(),
        stamps[:, past - start :].double(),
        horizon,
    )
    covariates = values[..., : channels - targets] if channels > targets else None
    with torch.no_grad():
        forecast = network(values[..., channels - targets :], covariates, stamps)
    assert forecast.shape == (5, horizon, targets, 1)
    assert expected.std() > 0.05
    return float((forecast.squeeze(3) - expected).abs().max())


MODELS = {
    "Informer": {},
    "InformerStack": {"layers": (3, 2, 1), "stacked": True},
    "a stack of one": {"layers": (2,), "stacked": True},
    "four layers, one in the decoder": {"layers": (4,), "decoder_layers": 1},
    "without distilling": {"layers": (3,), "distil": False},
    "stacks without distilling": {"layers": (2, 1), "stacked": True, "distil": False},
    "one column": {"channels": 1, "targets": 1},
    "many columns to one": {"channels": 4, "targets": 1},
    "without the embeddings' biases": {"biases": False},
}


@pytest.mark.parametrize("mix", [True, False])
@pytest.mark.parametrize("sizes", MODELS.values(), ids=MODELS)
def test_the_network_computes_what_the_original_does(tmp_path, sizes, mix):
    assert compare(tmp_path / "checkpoint.pth", make_state_dict(**sizes), mix=mix) < 1e-5


@pytest.mark.parametrize("lengths", [(24, 8, 0), (23, 7, 5), (96, 24, 48), (720, 168, 336)])
def test_it_does_at_any_length(tmp_path, lengths):
    lengths = dict(zip(LENGTHS, lengths, strict=True))
    weights = make_state_dict(layers=(3,), width=16)
    assert compare(tmp_path / "checkpoint.pth", weights, **lengths) < 1e-5


def test_it_does_with_relu(tmp_path):
    assert compare(tmp_path / "checkpoint.pth", make_state_dict(), activation="relu") < 1e-5


def test_weights_of_several_gpus_are_the_same(tmp_path):
    weights = make_state_dict()
    torch.save({f"module.{name}": one for name, one in weights.items()}, tmp_path / "gpus.pth")
    torch.save(weights, tmp_path / "one.pth")
    x, stamps = torch.randn(2, 24, 3), torch.randn(2, 32, 4)
    networks = [
        load_original_weights(tmp_path / name, **LENGTHS, nhead=HEADS)
        for name in ("gpus.pth", "one.pth")
    ]
    one, other = (network(x, future_covariates=stamps) for network in networks)
    assert one.equal(other)


def test_the_options_matter(tmp_path):
    """Each stands for what the weights do not tell: the wrong one gives another forecast."""
    path = tmp_path / "checkpoint.pth"
    torch.save(make_state_dict(width=8), path)
    x, stamps = torch.randn(2, 24, 3), torch.randn(2, 32, 4)

    def forecast(**options):
        network = load_original_weights(path, **{**LENGTHS, "nhead": HEADS, **options})
        assert not network.training
        return network(x, future_covariates=stamps)

    base = forecast()
    assert forecast().equal(base)
    for change in ({"mix": False}, {"activation": "relu"}, {"nhead": 4}):
        assert not torch.allclose(forecast(**change), base, atol=1e-3), change
    assert forecast(attention="prob").shape == base.shape


def change_names(weights, old, new):
    return OrderedDict((name.replace(old, new), one) for name, one in weights.items())


def without(weights, name):
    return OrderedDict((key, one) for key, one in weights.items() if key != name)


BROKEN = {
    "fixed embedding": (
        lambda w: change_names(w, "temporal_embedding.embed", "temporal_embedding.hour_embed.emb"),
        {},
        "timeF",
    ),
    "something else": (lambda _: [1, 2], {}, "must hold a state dict"),
    "a whole checkpoint": (lambda w: {"state_dict": w, "epoch": 3}, {}, "must hold a state dict"),
    "a whole model": (lambda _: torch.nn.Linear(1, 1), {}, "holds more than tensors"),
    "a weight less": (lambda w: without(w, "decoder.norm.bias"), {}, "has no 'decoder.norm.bias'"),
    "a weight more": (
        lambda w: {**w, "decoder.layers.0.conv3.weight": torch.zeros(1)},
        {},
        "'decoder.layers.0.conv3.weight', which is no weight of the original",
    ),
    "other shape": (
        lambda w: {**w, "decoder.norm.bias": torch.zeros(3)},
        {},
        "size mismatch for decoder.norm.bias",
    ),
    "no names": (lambda _: {1: torch.zeros(2)}, {}, "a state dict, names and tensors"),
    "a vector": (
        lambda w: {**w, "projection.weight": torch.zeros(4)},
        {},
        "has no .* of 2 dimensions",
    ),
    "rows of another width": (
        lambda w: {**w, "projection.weight": torch.zeros(99, 8)},
        {},
        "columns that it reads",
    ),
    "heads that do not divide": (lambda w: w, {"nhead": 3}, "`d_model` must be divisible"),
    "long start token": (lambda w: w, {"start_token_length": 25}, "`start_token_length` must not"),
    "other positions": (
        lambda w: {**w, "enc_embedding.position_embedding.pe": position_code(5000, 16) + 0.01},
        {},
        "position code of the original must be",
    ),
    "beyond the positions": (lambda w: w, {"input_chunk_length": 5001}, "5000 steps"),
    "stacks of other depths": (
        lambda _: make_state_dict(layers=(3, 1), stacked=True),
        {},
        r"\[3, 1\] layers",
    ),
    "odd length of a stack": (
        lambda _: make_state_dict(layers=(3, 2, 1), stacked=True),
        {"input_chunk_length": 26},
        "`input_chunk_length` must be divisible by 4",
    ),
}


@pytest.mark.parametrize(("change", "options", "message"), BROKEN.values(), ids=BROKEN)
def test_what_would_not_be_the_original_is_refused(tmp_path, change, options, message):
    path = tmp_path / "checkpoint.pth"
    torch.save(change(make_state_dict()), path)
    with pytest.raises(ValueError, match=message):
        load_original_weights(path, **{**LENGTHS, "nhead": HEADS, **options})


def test_a_file_can_run_no_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit('code of the file was run')",))

    torch.save({**make_state_dict(), "trap": Trap()}, tmp_path / "checkpoint.pth")
    with pytest.raises(ValueError, match="holds more than tensors"):
        load_original_weights(tmp_path / "checkpoint.pth", **LENGTHS, nhead=HEADS)


@pytest.mark.parametrize("mix", [True, False])
def test_the_state_dict_fits_networks_that_mix_alike(tmp_path, mix):
    """Mixed heads are no weights: another network would take these and forecast otherwise."""
    path = tmp_path / "checkpoint.pth"
    torch.save(make_state_dict(), path)
    network = load_original_weights(path, **LENGTHS, nhead=HEADS, mix=mix)
    plain, alike = (
        Informer(network.config),
        load_original_weights(path, **LENGTHS, nhead=HEADS, mix=mix),
    )
    alike.load_state_dict(network.state_dict())
    if mix:
        with pytest.raises(RuntimeError, match="mixes_heads"):
            plain.load_state_dict(network.state_dict())
    else:
        plain.load_state_dict(network.state_dict())


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint\.pth holds more than tensors, or is damaged"):
        load_original_weights(path, **LENGTHS, nhead=HEADS)


def test_mix_is_a_switch(tmp_path):
    with pytest.raises(ValueError, match="`mix` must be True or False; got 'no'"):
        load_original_weights(tmp_path / "none", **LENGTHS, nhead=HEADS, mix="no")
