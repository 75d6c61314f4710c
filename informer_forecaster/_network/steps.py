"""What acts step by step: covariates before they are folded into tokens, and a head of a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import InformerConfig
from .curves import HALF_LIVES, average_before
from .dropout import DropoutFactory
from .gap import Gap
from .inputs import Inputs

WIDTH = 32
HEAD_WIDTH = 64
# Numbers of a token that each of its steps gets for itself.
NUM_SHARES = 8
# Cycles of which the head of a step sees the same phase, at most.
NUM_CYCLES = 14
LARGEST_EFFECT = 5.0


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
    """Hidden layers of each step of the horizon.

    A step sees its share of a token, its covariates and averages of those before it, what the
    linear map and the effects forecast for it, and the look-back at its own phase of each of the
    last cycles, as at the same hour of the last days.

    Parameters
    ----------
    config : InformerConfig
        Lengths and numbers of covariates.
    dropout : callable
        Makes a dropout module from a probability.
    """

    # NOTE[DIFF] the paper projects a token linearly, whatever the covariates of its steps are.

    cycle: Tensor
    half_lives: Tensor

    def __init__(self, config: InformerConfig, dropout: DropoutFactory) -> None:
        super().__init__()
        self.num_patch_steps, self.horizon = config.num_patch_steps, config.output_chunk_length
        self.gap = Gap(config.output_chunk_shift, self.horizon)
        targets = 1 if config.channel_independent else config.num_targets
        self.shares = nn.Linear(config.d_model, config.num_patch_steps * NUM_SHARES)
        context = (1 + len(HALF_LIVES)) * config.num_future_covariates
        known = targets * (config.num_parameters + 1 + NUM_CYCLES)
        self.layers = nn.Sequential(
            nn.Linear(NUM_SHARES + context + known + 1, HEAD_WIDTH),
            nn.GELU(),
            dropout(config.dropout),
            nn.Linear(HEAD_WIDTH, HEAD_WIDTH),
            nn.GELU(),
            dropout(config.dropout),
        )
        self.register_buffer("half_lives", torch.tensor(HALF_LIVES), persistent=False)
        # Steps of a cycle; none until it is set.
        self.register_buffer("cycle", torch.zeros((), dtype=torch.long))

    def forward(self, tokens: Tensor, given: Inputs, linear: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` and linear forecasts ``(B, H, C, P)`` to ``(B, H, 64)``."""
        shares = self.shares(tokens).unflatten(2, (self.num_patch_steps, -1)).flatten(1, 2)
        context = self._context(given.future)
        if len(context) < len(linear):  # that of all components
            context = context.repeat_interleave(len(linear) // len(context), dim=0)
        parts = [shares[:, : self.horizon], context, linear.flatten(2)]
        effects = torch.zeros_like(linear[..., 0]) if given.effects is None else given.effects
        parts += [effects.clamp(-LARGEST_EFFECT, LARGEST_EFFECT), self._same_phase(given.target)]
        ahead = torch.arange(self.horizon, device=linear.device, dtype=linear.dtype) / self.horizon
        parts.append(ahead.view(1, -1, 1).expand(len(linear), -1, -1))
        return self.layers(torch.cat(parts, dim=2))

    def _context(self, future: Tensor | None) -> Tensor:
        """Covariates of the steps ahead, and averages of those before, ``(B, H, 4F)``."""
        assert future is not None  # a head is made where there are some
        whole = self.gap.fill(future)
        averages = average_before(whole, self.half_lives)
        return torch.cat([future[:, -self.horizon :], averages[:, -self.horizon :]], dim=2)

    def _same_phase(self, target: Tensor) -> Tensor:
        """Values ``(B, H, C*14)`` of the last cycles at each step's phase; zero before them."""
        cycle = self.cycle.clamp(min=1)
        back = torch.arange(1, NUM_CYCLES + 1, device=target.device).unsqueeze(1) * cycle
        first, last = self.gap.length, self.gap.length + self.horizon
        phase = torch.arange(first, last, device=target.device) % cycle
        place = target.shape[1] - back + phase  # (14, H)
        is_known = (place >= 0) & (self.cycle > 0)
        values = target[:, place.clamp(min=0)] * is_known.unsqueeze(2)
        return values.permute(0, 2, 3, 1).flatten(2)
