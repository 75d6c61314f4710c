"""What acts step by step, and the sizes that follow from covariates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from informer_forecaster import InformerConfig
from informer_forecaster._network.curves import average_before
from informer_forecaster._network.steps import StepHead

SMALL = {"d_model": 8, "nhead": 2, "dim_feedforward": 16}


def test_a_step_sees_its_own_covariates_and_those_before() -> None:
    config = InformerConfig(24, 12, num_targets=1, num_future_covariates=1, **SMALL)
    head = StepHead(config, nn.Dropout).eval()
    tokens = torch.randn(1, 12, 8)
    future = torch.randn(1, 36, 1)
    before = head(tokens, future)
    changed = future.clone()
    changed[0, 24 + 5] += 1.0
    moved = (head(tokens, changed) - before).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [step >= 5 for step in range(12)]


def test_a_step_after_a_gap_has_forgotten_as_much() -> None:
    """A steady change of the look-back fades over the gap, as over steps that are known."""
    torch.manual_seed(0)
    sizes = {"num_targets": 1, "num_future_covariates": 1, **SMALL}
    near = StepHead(InformerConfig(24, 12, **sizes), nn.Dropout).eval()
    with torch.no_grad():
        near.layers[0].weight[:, -1] = 0.0  # of the share of the horizon that has passed
    far = StepHead(InformerConfig(24, 4, **sizes, output_chunk_shift=8), nn.Dropout).eval()
    far.load_state_dict(near.state_dict())
    tokens, future = torch.zeros(1, 12, 8), torch.randn(1, 36, 1)
    # As the gap shows it: in each half the known value that is nearer.
    future[:, 24:28], future[:, 28:33] = future[:, 23:24], future[:, 32:33]
    left_out = torch.cat([future[:, :24], future[:, 32:]], dim=1)
    of_all = near(tokens, future)
    of_last = far(tokens[:, :4], left_out)
    torch.testing.assert_close(of_last, of_all[:, 8:])


@pytest.mark.parametrize("length", [1, 32, 75])
def test_averages_fade_from_step_to_step(length: int) -> None:
    """Blocks of steps pass on what they saw: a step forgets as much wherever it lies."""
    torch.manual_seed(0)
    values = torch.randn(2, length, 3, dtype=torch.float64)
    half_lives = torch.tensor([1, 24])
    averages = average_before(values, half_lives).unflatten(2, (2, 3)).unbind(2)
    for half_life, average in zip(half_lives.tolist(), averages, strict=True):
        kept = 2 ** (-1 / half_life)
        expected = [values[:, 0]]
        for step in range(1, length):
            expected.append(kept * expected[-1] + (1 - kept) * values[:, step])
        torch.testing.assert_close(average, torch.stack(expected, dim=1))


@pytest.mark.parametrize("num_last", [1, 32, 43, 75])
def test_averages_of_the_last_steps_are_those_of_all(num_last: int) -> None:
    """A head of a step reads those of the horizon alone: the look-back costs one sum a block."""
    torch.manual_seed(0)
    values = torch.randn(2, 75, 3, dtype=torch.float64)
    half_lives = torch.tensor([1, 24])
    of_all = average_before(values, half_lives)
    of_last = average_before(values, half_lives, num_last)
    torch.testing.assert_close(of_last, of_all[:, -num_last:])


def test_more_calendar_features_than_covariates_are_refused() -> None:
    with pytest.raises(ValueError, match="num_calendar_features"):
        InformerConfig(24, 12, num_targets=1, num_calendar_features=1)
