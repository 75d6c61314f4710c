"""A linear map from the look-back to the horizon, beside the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .config import InformerConfig


class LookbackSkip(nn.Module):
    """Linear map from the last ``L`` values of a component to each of its next ``H``.

    Its weights are tied to distances from the forecast origin, so those of another length fit:
    what is too long is cut off far from the origin, what is missing there is zero. All components
    share them, until weights of each component are set or loaded. Where that changes their shape,
    an optimizer that already took a step needs its own state loaded, or to be made again.

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

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        self.num_targets = config.num_targets
        horizon, lookback = config.output_chunk_length, config.input_chunk_length
        self.weight = nn.Parameter(torch.zeros(1, config.num_parameters, horizon, lookback))
        self.bias = nn.Parameter(torch.zeros(1, config.num_parameters, horizon, 1))
        self.register_load_state_dict_pre_hook(fit_to_lengths)  # type: ignore[no-untyped-call]

    def forward(self, past_target: Tensor) -> Tensor:
        """Map ``(B, L, C)`` to ``(B, H, C, P)``."""
        weight, bias = self.weight.flatten(1, 2), self.bias.flatten(1)
        steps = past_target.permute(2, 0, 1) @ weight.mT + bias.unsqueeze(1)  # (C, B, P*H)
        return steps.unflatten(2, self.bias.shape[1:3]).permute(1, 3, 0, 2)

    @property
    def is_zero(self) -> bool:
        """Whether nothing was set or trained yet."""
        return not bool(self.weight.any())

    def set_map(self, weight: Tensor, bias: Tensor) -> None:
        """Set the weights ``(C, P, H, L)`` and the bias ``(C, P, H)``; a ``C`` of 1 is shared."""
        with torch.no_grad():
            self.match_components(len(weight))
            self.weight.copy_(weight)
            self.bias.copy_(bias.unsqueeze(3))

    def match_components(self, num_maps: int) -> None:
        """Make room for the maps of as many components, or for one that they share."""
        for parameter in self.parameters():
            if len(parameter) != num_maps:
                # The same parameter for optimizers and strategies that hold it.
                parameter.data = parameter.new_zeros(num_maps, *parameter.shape[1:])
                parameter.grad = None


def fit_to_lengths(module: Any, state_dict: dict[str, Any], prefix: str, *_unused: object) -> None:
    """Cut or fill the maps ``(maps, ., H, steps)`` of a file to the lengths of ``module``."""
    for name, parameter in module.named_parameters(recurse=False):
        saved = state_dict.get(prefix + name)
        if saved is None or saved.dim() != 4 or parameter.dim() != 4:
            continue
        if saved.shape[0] in (1, module.num_targets):
            module.match_components(saved.shape[0])
        if saved.shape == parameter.shape:
            continue
        fitted = saved.new_zeros(*saved.shape[:2], *parameter.shape[2:])
        # Steps ahead are counted from the first row, steps back from the last column.
        rows, columns = (min(saved.shape[i], parameter.shape[i]) for i in (2, 3))
        fitted[:, :, :rows, -columns:] = saved[:, :, :rows, -columns:]
        state_dict[prefix + name] = fitted
