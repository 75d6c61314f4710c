"""The encoder: replica stacks that halve the input, and what distilling learns of it."""

import pytest
import torch

from informer_forecaster import Informer, InformerConfig
from informer_forecaster._network.convolution import convolve
from informer_forecaster._network.distilling import Distilling

SMALL = {"d_model": 8, "nhead": 2, "dim_feedforward": 16, "patch_length": 1}


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 9, 13, 33, 95, 96, 97])
@pytest.mark.parametrize("num_stacks", [2, 3])
def test_replica_stacks_see_the_end_of_the_input(num_stacks: int, num_tokens: int) -> None:
    """Stack n sees the last 1/2**n of the tokens, rounded up; all outputs have one length.

    Half of nine is five: distilling keeps five too, and a stack that saw four would weigh less.
    """
    sizes = {"num_encoder_layers": 3, "num_encoder_stacks": num_stacks, **SMALL}
    encoder = Informer(InformerConfig(num_tokens, 4, 1, **sizes)).eval().encoder
    tokens = torch.randn(2, num_tokens, 8)
    memory = encoder(tokens)
    length = num_tokens
    for _ in range(2):  # distillings of the first stack
        length = (length + 1) // 2
    assert memory.shape == (2, num_stacks * length, 8)
    seen = num_tokens
    for stack, part in zip(encoder.stacks, memory.split(length, dim=1), strict=True):
        torch.testing.assert_close(part, stack(tokens[:, -seen:]))
        seen = (seen + 1) // 2


@pytest.mark.parametrize("padding_mode", ["replicate", "circular"])
@pytest.mark.parametrize("num_tokens", [1, 2, 9])
def test_one_product_convolves_as_torch_does(num_tokens: int, padding_mode: str) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv1d(4, 6, kernel_size=3, padding=1, padding_mode=padding_mode)
    x = torch.randn(3, num_tokens, 4)
    torch.testing.assert_close(convolve(x, layer), layer(x.transpose(1, 2)).transpose(1, 2))


def test_distilling_remembers_a_tenth_of_each_batch() -> None:
    """Statistics that forecast are a running mean, a tenth of which is the newest batch's."""
    torch.manual_seed(0)
    layer = Distilling(4).train()
    mean, variance = torch.zeros(4), torch.ones(4)
    for _ in range(3):
        x = 3 * torch.randn(5, 7, 4) + 2
        seen = layer.convolution(x.transpose(1, 2)).transpose(0, 1).flatten(1)
        mean = 0.9 * mean + 0.1 * seen.mean(1)
        variance = 0.9 * variance + 0.1 * seen.var(1)
        layer(x)
    torch.testing.assert_close(layer.norm.running_mean, mean)
    torch.testing.assert_close(layer.norm.running_var, variance)


def test_distilling_forecasts_by_what_it_remembers() -> None:
    """A window is normalised by the statistics of the training, not by its own batch's."""
    torch.manual_seed(0)
    layer = Distilling(4).train()
    for _ in range(20):
        layer(torch.randn(50, 8, 4))
    x = 5 * torch.randn(3, 8, 4)
    batch = layer.eval()(x)
    torch.testing.assert_close(batch, torch.cat([layer(one) for one in x.split(1)]))


def test_a_batch_of_one_token_leaves_the_statistics_as_they_are() -> None:
    """Its variance is no number; the running ones would be lost."""
    layer = Distilling(4).train()
    layer(torch.randn(20, 8, 4))
    before = layer.norm.running_mean.clone(), layer.norm.running_var.clone()
    assert layer(torch.randn(1, 1, 4)).isfinite().all()
    assert torch.equal(layer.norm.running_mean, before[0])
    assert torch.equal(layer.norm.running_var, before[1])
