"""What past covariates add to the steps ahead, before a network looks at them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .component_maps import ComponentMaps
from .config import InformerConfig
from .curves import NUM_KNOTS, bend

# Steps of past covariates that are read one by one, whatever their number; more of fewer.
MOST_LAGS = 48
MOST_PAST_STEPS = 512
# Steps whose values are bent, too: a heavy rain, or a driver that acts by its size.
MOST_BENT_LAGS = 24


class PastEffects(ComponentMaps):
    """Effects of each of the last steps of past covariates, and of lines that bend at quantiles.

    Parameters
    ----------
    config : InformerConfig
        Lengths, and the number ``X`` of past covariates.

    Notes
    -----
    All is zero until regression sets it.
    """

    center: Tensor
    scale: Tensor
    knots: Tensor

    def __init__(self, config: InformerConfig) -> None:
        super().__init__(config.num_targets)
        number = config.num_past_covariates
        self.register_buffer("center", torch.zeros(number))
        self.register_buffer("scale", torch.ones(number))
        self.register_buffer("knots", torch.zeros(number, NUM_KNOTS))
        lags = max(MOST_LAGS, MOST_PAST_STEPS // max(1, config.num_past_covariates))
        self.weight = self._make_weight(config, number, lags)
        bent_lags = MOST_BENT_LAGS // max(1, number)
        self.bent_weight = self._make_weight(config, number * NUM_KNOTS, bent_lags)

    @staticmethod
    def _make_weight(config: InformerConfig, number: int, lags: int) -> nn.Parameter:
        shape = 1, number, config.output_chunk_length, min(config.input_chunk_length, lags)
        return nn.Parameter(torch.zeros(shape), requires_grad=False)

    def forward(self, past: Tensor) -> Tensor:
        """Map past covariates ``(B, L, X)`` to effects ``(B, H, C)``, in units."""
        lags, bent = self._read(past)
        straight = torch.einsum("bsx,cxhs->bhc", lags, self.weight)
        return straight + torch.einsum("bsx,cxhs->bhc", bent, self.bent_weight)

    def standardise(self, past: Tensor) -> Tensor:
        """Bring the covariates of the training windows to mean 0 and deviation 1."""
        return (past - self.center) / self.scale

    def _read(self, past: Tensor) -> tuple[Tensor, Tensor]:
        """Last steps ``(B, S, X)``, and bends of the last of them ``(B, S', X*K)``."""
        values, length = self.standardise(past), past.shape[1]
        first, first_bent = (length - each.shape[3] for each in (self.weight, self.bent_weight))
        return values[:, first:], bend(values[:, first_bent:], self.knots).flatten(2)

    def columns(self, past: Tensor) -> Tensor:
        """What :meth:`forward` weighs, as a regression reads it: ``(B, n)``, the newest first.

        So that some may do, as many of each covariate.
        """
        return torch.cat([each.flip(1).flatten(1) for each in self._read(past)], dim=1)

    @property
    def prefixes(self) -> set[int]:
        """Columns that may do: none, those of a few steps, of all steps, and bends."""
        number, steps = self.weight.shape[1::2]
        bent = self.bent_weight.shape[1] * self.bent_weight.shape[3]
        return {0, number * min(MOST_LAGS, steps), number * steps, number * steps + bent}

    @property
    def is_used(self) -> bool:
        """Whether a past covariate has an effect."""
        return bool(self.weight.any() or self.bent_weight.any())

    def set_weights(self, found: Tensor) -> None:
        """Set the weights ``(C, H, n)`` of the columns."""
        self.match_components(len(found))
        weights = self.weight, self.bent_weight
        parts = found.split([each.shape[1] * each.shape[3] for each in weights], dim=2)
        with torch.no_grad():
            for weight, part in zip(weights, parts, strict=True):
                newest = part.unflatten(2, weight.shape[:0:-2])  # (C, H, S, X)
                weight.copy_(newest.flip(2).permute(0, 3, 1, 2))
