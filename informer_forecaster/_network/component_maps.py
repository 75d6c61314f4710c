"""Linear maps of each component, or of all, that fit a network of other lengths."""

from __future__ import annotations

from typing import Any

from torch import nn


class ComponentMaps(nn.Module):
    """What has weights ``(maps, ., H, steps)``: of each component, or one map that all share.

    The weights are tied to distances from the forecast origin, so those of another length fit: what
    is too long is cut off far from the origin, what is missing there is zero.

    Parameters
    ----------
    num_targets : int
        Components, ``C``.
    """

    def __init__(self, num_targets: int) -> None:
        super().__init__()
        self.num_targets = num_targets
        self.register_load_state_dict_pre_hook(_fit_to_lengths)  # type: ignore[no-untyped-call]

    def match_components(self, num_maps: int) -> None:
        """Make room for the maps of as many components, or for one that they share."""
        for parameter in self.parameters():
            if len(parameter) != num_maps:
                # The same parameter for optimizers and strategies that hold it.
                parameter.data = parameter.new_zeros(num_maps, *parameter.shape[1:])
                parameter.grad = None

    def fit_to_lengths(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Cut or fill the maps of a file to the lengths of this module."""
        for name, parameter in self.named_parameters(recurse=False):
            saved = state_dict.get(prefix + name)
            if saved is None or saved.dim() != 4 or parameter.dim() != 4:
                continue
            if saved.shape[0] in (1, self.num_targets):
                self.match_components(saved.shape[0])
            if saved.shape == parameter.shape:
                continue
            fitted = saved.new_zeros(*saved.shape[:2], *parameter.shape[2:])
            # Steps ahead are counted from the first row, steps back from the last column.
            rows, columns = (min(saved.shape[i], parameter.shape[i]) for i in (2, 3))
            fitted[:, :, :rows, -columns:] = saved[:, :, :rows, -columns:]
            state_dict[prefix + name] = fitted


def _fit_to_lengths(
    module: ComponentMaps, state_dict: dict[str, Any], prefix: str, *_unused: object
) -> None:
    module.fit_to_lengths(state_dict, prefix)
