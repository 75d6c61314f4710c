"""Tokens from values, positions, time stamps and static covariates: appendix B of the paper."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .config import InformerConfig
from .convolution import convolve
from .products import runs_step_by_step, without_autocast

# Of a token's numbers. Those of ordinary series are far below it.
LARGEST_NUMBER = 64.0


def fold_patches(x: Tensor, patch_length: int, *, pad_left: bool) -> Tensor:
    """Fold ``(B, L, C)`` into tokens ``(B, N, patch_length*C)``, repeating an end value to fill up.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.embedding import fold_patches
    >>> fold_patches(torch.arange(5.0).view(1, 5, 1), 2, pad_left=True)
    tensor([[[0., 0.],
             [1., 2.],
             [3., 4.]]])
    """
    # NOTE[DIFF] the paper has one token for each step; by default up to 24 steps share one here.
    missing = -x.shape[1] % patch_length
    if missing:
        end = x[:, :1] if pad_left else x[:, -1:]
        filling = end.expand(-1, missing, -1)
        x = torch.cat([filling, x] if pad_left else [x, filling], dim=1)
    return x.unflatten(1, (-1, patch_length)).flatten(2)


def sinusoidal_position(num_tokens: int, d_model: int) -> Tensor:
    """Sine and cosine position code ``(N, M)``, for any length and any width.

    Even columns hold sines, odd ones cosines, of frequencies ``10000 ** (-2i / M)``.
    """
    position = torch.arange(num_tokens, dtype=torch.float64).unsqueeze(1)
    column = torch.arange(0, d_model, 2, dtype=torch.float64)
    angle = position * torch.exp(column * (-math.log(10000.0) / d_model))
    code = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
    return code[:, :d_model].float()


def shorten(tokens: Tensor) -> Tensor:
    """Scale each token ``(B, N, M)`` that holds a number beyond 64 so that none of its does.

    Fused attention computes its weights again in the backward pass, and there it multiplies the
    rounding of a score by ``e``: scores of 1e9, as unscaled covariates make them, overflow. The
    tokens of later layers have passed a layer norm.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.embedding import shorten
    >>> shorten(torch.tensor([[[1.0, -2.0], [128.0, -2.0]]]))
    tensor([[[ 1., -2.],
             [64., -1.]]])
    """
    # NOTE[DIFF] the paper attends to tokens of any length. The layer norm after the first attention
    # takes the length away in both.
    if runs_step_by_step(tokens) and bool((tokens.detach().abs() <= LARGEST_NUMBER).all()):
        return tokens
    largest = tokens.abs().amax(2, keepdim=True).clamp(min=LARGEST_NUMBER)
    return tokens * (LARGEST_NUMBER / largest)


class TokenEmbedding(nn.Module):
    """Sum of value, position, time-stamp and static embeddings, then dropout.

    Parameters
    ----------
    config : InformerConfig
        Sizes and padding.
    num_tokens : int
        Tokens of the sequence, ``N``.
    dropout : torch.nn.Module
        Dropout on the sum.
    """

    position: Tensor

    def __init__(self, config: InformerConfig, num_tokens: int, dropout: nn.Module) -> None:
        super().__init__()
        # NOTE[DIFF] the ends are padded with the end value. The original pads circularly, which
        # mixes the newest value into the first token; `padding_mode="circular"` does so too.
        self.value = nn.Conv1d(
            config.num_value_channels * config.num_patch_steps,
            config.d_model,
            kernel_size=3,
            padding=1,
            padding_mode=config.padding_mode,
        )
        self.time_stamp = self._linear(config.num_step_features * config.num_patch_steps, config)
        # NOTE[DIFF] static covariates are ours: a linear map added to every token.
        self.static = self._linear(config.num_static_covariates, config)
        code = sinusoidal_position(num_tokens, config.d_model)
        self.register_buffer("position", code, persistent=False)
        self.register_load_state_dict_pre_hook(_renew_position)  # type: ignore[no-untyped-call]
        self.dropout = dropout

    def forward(self, values: Tensor, time_stamps: Tensor | None, static: Tensor | None) -> Tensor:
        """Embed values ``(B, N, .)``, time stamps ``(b, N, .)`` and static ``(B, Z)``.

        Where ``b`` is smaller, each row of time stamps belongs to as many rows of the values.
        """
        # A covariate of 1e6 exceeds the largest number of 16 bits.
        with without_autocast(values):
            x = convolve(values, self.value) + self.position
            if self.time_stamp is not None:
                x = _add_to_each(x, self.time_stamp(time_stamps))
            if self.static is not None:
                x = x + self.static(static).unsqueeze(1)
        embedded: Tensor = self.dropout(shorten(x))
        return embedded

    @staticmethod
    def _linear(num_inputs: int, config: InformerConfig) -> nn.Linear | None:
        """A map to the tokens' width, or none where there is nothing to map."""
        # The value embedding has the bias.
        return nn.Linear(num_inputs, config.d_model, bias=False) if num_inputs else None


def _add_to_each(x: Tensor, shared: Tensor) -> Tensor:
    """Add ``(b, N, M)`` to ``(B, N, M)``, each row to ``B / b`` rows."""
    if len(x) == len(shared):
        return x + shared
    return (x.unflatten(0, (len(shared), -1)) + shared.unsqueeze(1)).flatten(0, 1)


def _renew_position(
    module: TokenEmbedding, state_dict: dict[str, Any], prefix: str, *_unused: object
) -> None:
    """Compute the position code of ``module`` anew: no file has it, nor a module made on meta."""
    saved = state_dict.get(prefix + "value.weight")
    like = saved if module.position.is_meta else module.position
    if isinstance(like, Tensor):
        module.position = sinusoidal_position(*module.position.shape).to(like)
