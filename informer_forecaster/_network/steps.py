"""What acts step by step: covariates before they are folded into tokens, and a head of a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import InformerConfig
from .curves import HALF_LIVES, average_before
from .dropout import DropoutFactory
from .gap import Gap
from .layers import make_activation

WIDTH = 32
HEAD_WIDTH = 64
# Numbers of a token that each of its steps gets for itself.
NUM_SHARES = 8


class StepEmbedding(nn.Module):
    """Small network on the future covariates of one step: ``(B, T, F)`` to ``(B, T, 8)``.

    A token of 24 steps would see 24 times as many numbers through one linear map otherwise, and
    nothing would be bent before they are added up.
    """

    # NOTE[DIFF] the paper maps the time stamps of a step linearly.

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        self.expand = nn.Linear(config.num_future_covariates, WIDTH)
        self.activation = make_activation(config)
        self.contract = nn.Linear(WIDTH, config.num_step_features)

    def forward(self, future: Tensor) -> Tensor:
        """Map the covariates of each step."""
        return self.contract(self.activation(self.expand(future)))


class StepHead(nn.Module):
    """Hidden layers of each step of the horizon.

    A step sees its share of a token, its covariates and averages of those before it.

    Parameters
    ----------
    config : InformerConfig
        Lengths and numbers of covariates.
    dropout : callable
        Makes a dropout module from a probability.
    """

    # NOTE[DIFF] the paper projects a token linearly, whatever the covariates of its steps are.

    half_lives: Tensor

    def __init__(self, config: InformerConfig, dropout: DropoutFactory) -> None:
        super().__init__()
        self.num_patch_steps, self.horizon = config.num_patch_steps, config.output_chunk_length
        self.gap = Gap(config.output_chunk_shift, self.horizon)
        self.shares = nn.Linear(config.d_model, config.num_patch_steps * NUM_SHARES)
        context = (1 + len(HALF_LIVES)) * config.num_future_covariates
        self.layers = nn.Sequential(
            nn.Linear(NUM_SHARES + context + 1, HEAD_WIDTH),
            make_activation(config),
            dropout(config.dropout),
            nn.Linear(HEAD_WIDTH, HEAD_WIDTH),
            make_activation(config),
            dropout(config.dropout),
        )
        self.register_buffer("half_lives", torch.tensor(HALF_LIVES), persistent=False)

    def forward(self, tokens: Tensor, future: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` and covariates ``(B or less, L + H, F)`` to ``(B, H, 64)``."""
        shares = self.shares(tokens).unflatten(2, (self.num_patch_steps, -1)).flatten(1, 2)
        context = self._context(future)
        if len(context) < len(shares):  # that of all components
            context = context.repeat_interleave(len(shares) // len(context), dim=0)
        ahead = torch.arange(self.horizon, device=shares.device, dtype=shares.dtype) / self.horizon
        ahead = ahead.view(1, -1, 1).expand(len(shares), -1, -1)
        return self.layers(torch.cat([shares[:, : self.horizon], context, ahead], dim=2))

    def _context(self, future: Tensor) -> Tensor:
        """Covariates of the steps ahead, and averages of those before, ``(B, H, 4F)``."""
        averages = average_before(self.gap.fill(future), self.half_lives, self.horizon)
        return torch.cat([future[:, -self.horizon :], averages], dim=2)
