"""What acts step by step: covariates before they are folded into tokens, and a head of a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import InformerConfig

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
        self.activation = nn.GELU()
        self.contract = nn.Linear(WIDTH, config.num_step_features)

    def forward(self, future: Tensor) -> Tensor:
        """Map the covariates of each step."""
        return self.contract(self.activation(self.expand(future)))


class StepHead(nn.Module):
    """Hidden layer of each step of the horizon, of its share of a token and its own covariates."""

    # NOTE[DIFF] the paper projects a token linearly, whatever the covariates of its steps are.

    def __init__(self, config: InformerConfig) -> None:
        super().__init__()
        self.num_patch_steps = config.num_patch_steps
        self.shares = nn.Linear(config.d_model, config.num_patch_steps * NUM_SHARES)
        self.mix = nn.Linear(NUM_SHARES + config.num_future_covariates, HEAD_WIDTH)
        self.activation = nn.GELU()

    def forward(self, tokens: Tensor, ahead: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` and covariates ``(B, H, F)`` to ``(B, H, 64)``."""
        shares = self.shares(tokens).unflatten(2, (self.num_patch_steps, -1)).flatten(1, 2)
        joined = torch.cat([shares[:, : ahead.shape[1]], ahead], dim=2)
        return self.activation(self.mix(joined))
