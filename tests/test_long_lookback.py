"""The linear map of long look-backs: recent steps one by one, older ones pooled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from informer_forecaster import Informer, InformerConfig
from informer_forecaster._network import lookback_skip
from informer_forecaster._network.lookback_skip import LookbackSkip, Pooling
from informer_forecaster._training.sums import has_room


@pytest.fixture
def few_inputs(monkeypatch):
    """Twelve inputs: eight recent steps, and four blocks of what is older."""
    monkeypatch.setattr(lookback_skip, "MOST_INPUTS", 12)
    monkeypatch.setattr(lookback_skip, "NUM_BLOCKS", 4)


def make_map(lookback, horizon=6, *, random=True):
    skip = LookbackSkip(InformerConfig(lookback, horizon, num_targets=2))
    if random:
        nn.init.normal_(skip.weight)
        nn.init.normal_(skip.bias)
    return skip


@pytest.mark.parametrize("lookback", [1, 23, 1024])
def test_a_look_back_that_is_no_longer_is_read_step_by_step(lookback):
    steps = torch.randn(2, lookback)
    assert torch.equal(Pooling.of(lookback, 96).pool(steps), steps)


@pytest.mark.parametrize(("lookback", "horizon"), [(1025, 96), (2880, 720), (11520, 11520)])
def test_older_steps_are_pooled_and_recent_ones_are_not(lookback, horizon):
    pooling = Pooling.of(lookback, horizon)
    steps = torch.randn(lookback, dtype=torch.double)
    pooled = pooling.pool(steps)
    assert len(pooled) == pooling.num_inputs <= 1024
    recent, width = pooling.num_recent, pooling.block_length
    assert torch.equal(pooled[-recent:], steps[-recent:])
    last = pooled[-recent - 1], steps[-recent - width : -recent].sum() / width**0.5
    torch.testing.assert_close(*last)
    # Every step is in one block: the first, shorter one has what is left.
    torch.testing.assert_close(pooled[:-recent].sum() * width**0.5, steps[:-recent].sum())


@pytest.mark.parametrize(("lookback", "horizon"), [(720, 192), (720, 720), (1024, 96)])
def test_many_components_have_room_for_maps_of_their_own(lookback, horizon):
    """By what the start sums up, one input more, the deviation, included."""
    pooling = Pooling.of(lookback, horizon, 21)
    assert 256 <= pooling.num_inputs < lookback
    assert has_room(pooling.num_inputs + 1, horizon, 21)
    assert not has_room(lookback + 1, horizon, 21)


def test_components_that_are_too_many_for_that_share_every_step():
    assert Pooling.of(336, 96, 321) == Pooling.of(336, 96)


@pytest.mark.parametrize(("lookback", "horizon"), [(1025, 96), (2880, 720)])
def test_weights_of_blocks_say_what_each_step_adds(lookback, horizon):
    pooling = Pooling.of(lookback, horizon)
    weight = torch.randn(3, pooling.num_inputs, dtype=torch.double)
    steps = torch.randn(lookback, dtype=torch.double)
    spread = pooling.spread(weight)
    assert spread.shape == (3, lookback)
    torch.testing.assert_close(spread @ steps, weight @ pooling.pool(steps))


def test_the_weights_of_a_long_map_are_bounded():
    with torch.device("meta"):
        skip = LookbackSkip(InformerConfig(11520, 11520, num_targets=1))
    assert skip.weight.numel() <= 2**22 < 11520 * 11520 / 30


@pytest.mark.usefixtures("few_inputs")
@pytest.mark.parametrize(("saved", "moved"), [(24, 40), (40, 24), (10, 24), (24, 12), (12, 40)])
def test_a_pooled_map_moves_to_other_lengths(saved, moved):
    """Where older values are equal, blocks of other lengths do the same; beyond both it is zero."""
    old, new = make_map(saved), make_map(moved, random=False)
    new.load_state_dict(old.state_dict())
    x = torch.randn(3, 1, 2).repeat(1, 40, 1)
    x[:, -8:] = torch.randn(3, 8, 2)
    if moved < saved:
        x[:, :-moved] = 0.0
    torch.testing.assert_close(new(x[:, -moved:]), old(x[:, -saved:]), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("few_inputs")
@pytest.mark.parametrize("lengths", [[-4, 4], [8, 10**12], [0, 0]])
def test_lengths_of_a_damaged_file_take_no_memory(lengths):
    saved = {**make_map(24).state_dict(), "lengths": torch.tensor(lengths)}
    skip = make_map(24)
    skip.load_state_dict(saved)
    assert torch.equal(skip.weight, saved["weight"])


@pytest.mark.usefixtures("few_inputs")
@pytest.mark.parametrize("normalises", [True, False])
def test_training_begins_at_the_pooled_map(tiny_model, waves, normalises):
    """The level of the next steps is that of the older ones, which only blocks hold."""
    random = np.random.default_rng(0)
    levels = np.repeat(random.normal(size=100), 8) + 0.05 * random.normal(size=800)
    values = (levels + 5.0)[:, None]
    values[16:] = values[:-16] + 0.02 * random.normal(size=(784, 1))
    options = {"likelihood": None, "use_reversible_instance_norm": normalises, "n_epochs": 0}
    model = tiny_model(24, 4, trainer={"limit_train_batches": 1.0}, **options)
    series = waves(800).with_values(values)
    forecast = model.fit(series[:-4]).predict(4, series[:-4])
    assert isinstance(model.model.network, Informer)
    assert model.model.network.lookback_skip.weight.shape == (1, 1, 4, 12)
    scale = values.std()
    assert np.abs(forecast.values() - values[-4:]).mean() < 0.6 * scale
