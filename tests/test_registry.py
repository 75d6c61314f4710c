"""Self-attentions of users: what may be registered, how it is used, saved and loaded."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from informer_forecaster import Informer, InformerConfig, InformerModel, register_attention
from informer_forecaster._network import registry
from informer_forecaster._network.attention import FullAttention

SIZES = {"input_chunk_length": 16, "output_chunk_length": 8, "num_targets": 2}
SMALL = {"d_model": 8, "nhead": 2, "dim_feedforward": 8}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Start each test with none registered, and leave none behind."""
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))


class Weighted(FullAttention):
    """Full attention, each head scaled by a weight of its own."""

    def __init__(self, nhead: int, causal: bool, dropout: nn.Module) -> None:
        super().__init__(causal, dropout)
        self.weight = nn.Parameter(torch.ones(nhead, 1, 1))

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self.weight * super().forward(q, k, v)


def make(config: InformerConfig, causal: bool, dropout: nn.Module) -> nn.Module:
    return Weighted(config.nhead, causal, dropout)


def test_every_self_attention_is_the_registered_one():
    """Each layer asks the factory once, with its mask; a factory of full attention is full."""
    asked = []

    def factory(config, causal, dropout):
        asked.append((config.nhead, causal))
        return FullAttention(causal, dropout)

    register_attention("mine", factory)
    network = Informer(InformerConfig(**SIZES, **SMALL, attention="mine")).eval()
    assert asked == [(2, False), (2, False), (2, True)]
    full = Informer(InformerConfig(**SIZES, **SMALL, attention="full")).eval()
    full.load_state_dict(network.state_dict())
    x = torch.randn(3, 16, 2)
    torch.testing.assert_close(network(x), full(x))


def test_its_dropout_is_the_networks(tiny_model, waves):
    """So Monte Carlo dropout reaches it."""
    register_attention("mine", make)
    model = tiny_model(attention="mine", token_dropout=0.3).fit(waves())
    drops = [m.attention.dropout for m in model.model.modules() if hasattr(m, "attention")]
    assert any(type(one).__name__ == "_Dropout" and one.p == 0.3 for one in drops)


def test_its_weights_are_trained_and_saved(tiny_model, waves, tmp_path):
    register_attention("mine", make)
    model = tiny_model(attention="mine", early_stopping_patience=None).fit(waves())
    weights = {name: value for name, value in model.model.state_dict().items() if ".weight" in name}
    own = [value for name, value in weights.items() if name.endswith("attention.attention.weight")]
    assert own
    assert all((value != 1).all() for value in own)
    path = str(tmp_path / "model.pt")
    model.save(path)
    assert InformerModel.load(path).predict(4, waves()) == model.predict(4, waves())


def test_a_saved_model_needs_its_attention_registered(tiny_model, waves, tmp_path, monkeypatch):
    register_attention("mine", make)
    path = str(tmp_path / "model.pt")
    tiny_model(attention="mine").fit(waves()).save(path)
    monkeypatch.delitem(registry._FACTORIES, "mine")
    with pytest.raises(ValueError, match=r"got 'mine'.*register_attention"):
        InformerModel.load(path)


def test_an_unregistered_name_is_refused():
    register_attention("mine", make)
    with pytest.raises(ValueError, match=r"one of 'prob', 'full', 'mine'; got 'yours'"):
        InformerConfig(**SIZES, attention="yours")


@pytest.mark.parametrize("name", ["prob", "full", "mine"])
def test_a_taken_name_is_refused(name):
    """A built-in one too: what is saved under a name must stay what it was."""
    register_attention("mine", make)
    with pytest.raises(ValueError, match=rf"`name` must be none of .*; got '{name}'"):
        register_attention(name, make)


@pytest.mark.parametrize("name", ["", " ", 3, None])
def test_a_name_is_a_word(name):
    with pytest.raises(ValueError, match="`name` must be a string"):
        register_attention(name, make)


def test_a_factory_is_callable_and_makes_modules():
    with pytest.raises(ValueError, match="`factory` must be callable"):
        register_attention("mine", "full")
    register_attention("mine", lambda *_: "full")
    with pytest.raises(ValueError, match=r"'mine' must make a torch.nn.Module; got 'full'"):
        Informer(InformerConfig(**SIZES, attention="mine"))


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda v: v[:1], r"\(1, 2, "),
        (lambda v: v[:, :, :1], r"\(6, 2, 1, 4\)"),
        (lambda v: v.transpose(1, 2), r"\(6, 16, "),
        (lambda v: (v, None), "tuple"),
    ],
    ids=["one sample", "one row", "heads last", "two results"],
)
def test_an_output_of_another_shape_is_refused(change, got):
    """A smaller one would be repeated over the batch or the queries, and nobody told."""

    class Wrong(nn.Module):
        def forward(self, *heads):
            return change(heads[2])

    register_attention("wrong", lambda *_: Wrong())
    network = Informer(InformerConfig(**SIZES, **SMALL, attention="wrong"))
    with pytest.raises(ValueError, match=f"attention Wrong must return a tensor .* got {got}"):
        network(torch.randn(3, 16, 2))
