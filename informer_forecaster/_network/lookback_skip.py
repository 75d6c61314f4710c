"""A linear map from the look-back to the horizon, beside the network."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .component_maps import ComponentMaps
from .config import InformerConfig
from .products import without_autocast

# Numbers that a map reads, at most, and blocks of steps among them where there are more steps.
MOST_INPUTS = 1024
NUM_BLOCKS = 128
# Weights of one map, at most, where the horizon leaves it two inputs a block.
MOST_WEIGHTS = 2**22
# Products of inputs with inputs and outputs, of all components, from which each gets a map of its
# own: half a gigabyte in five folds. Beyond that all share one.
MOST_PRODUCTS = 2**26 // 5
# Steps of a map in a file, at most, that is moved to another length.
LONGEST = 2**22


class Pooling(NamedTuple):
    """Steps of a long look-back, before the recent ones, as sums over blocks of equal length.

    A sum is over the root of the length, so that it is as large as one step of noise. A look-back
    that is short has no blocks. Measured on ETT, beyond some thousand steps: blocks forecast as
    well as all steps one by one, and as well as principal components.

    Parameters
    ----------
    lookback : int
        Steps in all, ``L``.
    num_recent : int
        Steps that are read one by one.
    block_length : int
        Steps of a block.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.lookback_skip import Pooling
    >>> Pooling(lookback=9, num_recent=2, block_length=4).pool(torch.ones(9))
    tensor([1.5000, 2.0000, 1.0000, 1.0000])
    """

    lookback: int
    num_recent: int
    block_length: int = 1

    @classmethod
    def of(cls, lookback: int, horizon: int, num_components: int = 1) -> Pooling:
        """Pool as many steps as a map of bounded size leaves no room for.

        Fewer inputs leave room for maps of more components, if they leave two a block.
        """
        most = max(2 * NUM_BLOCKS, min(MOST_INPUTS, MOST_WEIGHTS // horizon))
        # The largest number of products, and the deviation of the window beside the steps.
        root = math.isqrt(horizon**2 + 4 * (MOST_PRODUCTS // num_components))
        own = (root - horizon) // 2 - 1
        if own >= 2 * NUM_BLOCKS:
            most = min(most, own)
        if lookback <= most:
            return cls(lookback, lookback)
        recent = most - NUM_BLOCKS
        return cls(lookback, recent, -(-(lookback - recent) // NUM_BLOCKS))

    @property
    def num_inputs(self) -> int:
        """Blocks and recent steps, ``N``."""
        return self.num_recent - (self.num_recent - self.lookback) // self.block_length

    def pool(self, steps: Tensor) -> Tensor:
        """Map ``(..., L)`` to ``(..., N)``: blocks, then recent steps."""
        older, recent = steps.tensor_split([self.lookback - self.num_recent], dim=-1)
        if not older.shape[-1]:
            return steps
        # The block that is farthest has fewer steps.
        whole = F.pad(older, (-older.shape[-1] % self.block_length, 0))
        blocks = whole.unflatten(-1, (-1, self.block_length)).sum(-1) * self.block_length**-0.5
        return torch.cat([blocks, recent], dim=-1)

    def spread(self, weight: Tensor) -> Tensor:
        """Weights ``(..., L)`` of the steps that do what ``weight`` ``(..., N)`` does."""
        blocks, recent = weight.tensor_split([weight.shape[-1] - self.num_recent], dim=-1)
        older = (blocks * self.block_length**-0.5).repeat_interleave(self.block_length, dim=-1)
        return torch.cat([older, recent], dim=-1)[..., -self.lookback :]


class LookbackSkip(ComponentMaps):
    """Linear map from the last ``L`` values of a component to each of its next ``H``.

    Of a long look-back the older values are pooled: see :class:`Pooling`. All components share the
    weights, until weights of each component are set or loaded. Where that changes their shape, an
    optimizer that already took a step needs its own state loaded, or to be made again.

    Parameters
    ----------
    config : InformerConfig
        Lengths, and the parameters ``P`` forecast for each value.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster import InformerConfig
    >>> from informer_forecaster._network.lookback_skip import LookbackSkip
    >>> config = InformerConfig(input_chunk_length=48, output_chunk_length=24, num_targets=3)
    >>> LookbackSkip(config)(torch.randn(2, 48, 3)).shape
    torch.Size([2, 24, 3, 1])
    """

    # NOTE[DIFF] the paper has no such map; TiDE has. It is zero, the network alone, until it is set
    # or trained.

    lengths: Tensor

    def __init__(self, config: InformerConfig) -> None:
        super().__init__(config.num_targets)
        horizon = config.output_chunk_length
        self.pooling = Pooling.of(config.input_chunk_length, horizon, config.num_targets)
        inputs = self.pooling.num_inputs
        self.weight = nn.Parameter(torch.zeros(1, config.num_parameters, horizon, inputs))
        self.bias = nn.Parameter(torch.zeros(1, config.num_parameters, horizon, 1))
        # A file of other lengths says by it how to read its weights.
        lengths = [self.pooling.num_recent, self.pooling.block_length]
        self.register_buffer("lengths", torch.tensor(lengths))

    def forward(self, past_target: Tensor) -> Tensor:
        """Map ``(B, L, C)`` to ``(B, H, C, P)``."""
        weight, bias = self.weight.flatten(1, 2), self.bias.flatten(1)
        wide = past_target.to(weight.dtype)
        # Mixed precision is for the network: a forecast would keep 8 bits.
        with without_autocast(wide):
            inputs = self.pooling.pool(wide.permute(2, 0, 1))  # (C, B, N)
            steps = inputs @ weight.mT + bias.unsqueeze(1)  # (C, B, P*H)
        return steps.unflatten(2, self.bias.shape[1:3]).permute(1, 3, 0, 2)

    @property
    def is_zero(self) -> bool:
        """Whether nothing was set or trained yet."""
        return not bool(self.weight.any())

    def set_map(self, weight: Tensor, bias: Tensor) -> None:
        """Set the weights ``(C, P, H, N)`` and the bias ``(C, P, H)``; a ``C`` of 1 is shared."""
        with torch.no_grad():
            self.match_components(len(weight))
            self.weight.copy_(weight)
            self.bias.copy_(bias.unsqueeze(3))

    def fit_to_lengths(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Fit the map of a file to these lengths, step by step where either is pooled."""
        weight: Any = state_dict.get(prefix + "weight")
        lengths: Any = state_dict.get(prefix + "lengths")
        ours = self.pooling
        is_given = (
            isinstance(weight, Tensor) and isinstance(lengths, Tensor) and not lengths.is_meta
        )
        if is_given and weight.dim() == 4 and lengths.shape == (2,):
            recent, block_length = lengths.tolist()
            theirs = Pooling(
                recent + (weight.shape[3] - recent) * block_length, recent, block_length
            )
            is_pooled = ours.block_length > 1 or theirs.block_length > 1
            is_other = theirs[1:] != ours[1:] or theirs.num_inputs != ours.num_inputs
            # A damaged file may ask for any number.
            if is_pooled and is_other and 0 < recent <= theirs.lookback < LONGEST:
                spread = theirs.spread(weight)[..., -ours.lookback :]
                spread = F.pad(spread, (ours.lookback - spread.shape[3], 0))
                state_dict[prefix + "weight"] = ours.pool(spread)
            state_dict[prefix + "lengths"] = lengths.new_tensor(
                [ours.num_recent, ours.block_length]
            )
        super().fit_to_lengths(state_dict, prefix)
