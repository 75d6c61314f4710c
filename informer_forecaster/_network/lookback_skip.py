"""A linear map from the look-back to the horizon, beside the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .config import InformerConfig


class LookbackSkip(nn.Module):
    """Linear map from the last ``L`` values of a component to each of its next ``H``.

    Its weights are tied to distances from the forecast origin, so those of another length fit:
    what is too long is cut off far from the origin, what is missing there is zero.

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
        horizon, lookback = config.output_chunk_length, config.input_chunk_length
        self.weight = nn.Parameter(torch.zeros(config.num_parameters, horizon, lookback))
        self.bias = nn.Parameter(torch.zeros(config.num_parameters, horizon, 1))
        self.register_load_state_dict_pre_hook(_fit_lengths)  # type: ignore[no-untyped-call]

    def forward(self, past_target: Tensor) -> Tensor:
        """Map ``(B, L, C)`` to ``(B, H, C, P)``."""
        steps = past_target.transpose(1, 2) @ self.weight.flatten(0, 1).T + self.bias.flatten()
        return steps.unflatten(2, self.bias.shape[:2]).permute(0, 3, 1, 2)

    @property
    def is_zero(self) -> bool:
        """Whether nothing was set or trained yet."""
        return not bool(self.weight.any())

    def set_map(self, weight: Tensor, bias: Tensor) -> None:
        """Set the weights ``(P, H, L)`` and the bias ``(P, H)``."""
        with torch.no_grad():
            self.weight.copy_(weight)
            self.bias.copy_(bias.unsqueeze(2))


def _fit_lengths(
    module: nn.Module, state_dict: dict[str, Any], prefix: str, *_unused: object
) -> None:
    """Cut or fill the weights in ``state_dict`` to the lengths of ``module``."""
    for name, parameter in module.named_parameters(recurse=False):
        saved = state_dict.get(prefix + name)
        if saved is None or saved.shape == parameter.shape or saved.dim() != parameter.dim():
            continue
        fitted = saved.new_zeros(saved.shape[0], *parameter.shape[1:])
        # Steps ahead are counted from the first row, steps back from the last column.
        rows, columns = (min(saved.shape[i], parameter.shape[i]) for i in (1, 2))
        fitted[:, :rows, -columns:] = saved[:, :rows, -columns:]
        state_dict[prefix + name] = fitted
