"""What the components of a target say of each other: a linear map beside the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .component_maps import ComponentMaps
from .config import InformerConfig
from .lookback_skip import MOST_WEIGHTS
from .past_effects import MOST_LAGS
from .products import without_autocast


class ComponentLags(ComponentMaps):
    """Linear map from the last steps of each component to what follows of the others.

    Parameters
    ----------
    config : InformerConfig
        Lengths and number of components.

    Notes
    -----
    A component reads the others relative to their level, in units of their deviation in the window,
    and answers in units of its own. All is zero until regression sets it.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster import InformerConfig
    >>> from informer_forecaster._network.component_lags import ComponentLags
    >>> config = InformerConfig(input_chunk_length=48, output_chunk_length=24, num_targets=3)
    >>> ComponentLags(config)(torch.randn(2, 48, 3)).shape
    torch.Size([2, 24, 3])
    """

    # NOTE[DIFF] the paper's components meet in the value embedding. In a network of independent
    # components they meet here alone.

    def __init__(self, config: InformerConfig) -> None:
        super().__init__(config.num_targets)
        self.num_steps = min(config.input_chunk_length, MOST_LAGS)
        shape = 1, config.num_targets, config.output_chunk_length, self.num_steps
        self.weight = nn.Parameter(torch.zeros(shape), requires_grad=False)

    @staticmethod
    def suits(config: InformerConfig) -> bool:
        """Whether a training may set a map: there are components to read, and not too many."""
        steps = min(config.input_chunk_length, MOST_LAGS)
        size = config.num_targets**2 * config.output_chunk_length * steps
        return config.num_targets > 1 and size <= MOST_WEIGHTS

    @property
    def is_set(self) -> bool:
        """Whether a map of each component was set or loaded."""
        return len(self.weight) > 1

    @property
    def num_lags(self) -> int:
        """Steps of the components that a forecast reads, of all of them."""
        return self.num_targets * self.num_steps

    def forward(self, target: Tensor) -> Tensor:
        """Map ``(B, L, C)`` to what the others add to each component, ``(B, H, C)``."""
        unit = target.std(1, correction=0, keepdim=True)
        with without_autocast(target):
            return unit * torch.einsum("bxs,cxhs->bhc", self.lags(target), self.weight)

    def lags(self, target: Tensor) -> Tensor:
        """The last steps of all components ``(B, C, S)``, without level and unit."""
        unit = target.std(1, correction=0, keepdim=True)
        relative = (target - target.mean(1, keepdim=True))[:, -self.num_steps :]
        # A component that was constant says nothing.
        return torch.where(unit > 0, relative / torch.where(unit > 0, unit, 1.0), 0.0).mT

    def rows(self, target: Tensor) -> Tensor:
        """What a regression for each component reads ``(B, C, C*S)``: the others, in its unit."""
        others = ~torch.eye(self.num_targets, dtype=torch.bool, device=target.device)
        lags = self.lags(target).unsqueeze(1) * others.unsqueeze(2)  # (B, C, C, S)
        return lags.flatten(2) * target.std(1, correction=0).unsqueeze(2)

    def set_map(self, weight: Tensor) -> None:
        """Set the weights ``(C, H, C*S)``."""
        with torch.no_grad():
            self.match_components(len(weight))
            self.weight.copy_(weight.unflatten(2, (-1, self.num_steps)).transpose(1, 2))


def exist_as_in_file(
    module: Any, state_dict: dict[str, Any], prefix: str, *_unused: object
) -> None:
    """Give ``module`` the `ComponentLags` that a file has, or take them away.

    A training of other lengths may have had room for them, or none.
    """
    is_saved = f"{prefix}components.weight" in state_dict
    if module.components is not None and not is_saved:
        module.components = None
    elif module.components is None and is_saved and module.network.config.num_targets > 1:
        module.components = ComponentLags(module.network.config).to(
            module.network.projection.weight
        )
