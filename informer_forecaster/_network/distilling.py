"""Self-attention distilling: equation 5 of the paper."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import convolve


class Distilling(nn.Module):
    """Convolution, batch norm, ELU and max-pooling that halve the tokens to ``ceil(N / 2)``.

    Parameters
    ----------
    d_model : int
        Width of the tokens, ``M``.
    padding_mode : {"replicate", "circular"}
        What the convolution sees beyond the ends.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.distilling import Distilling
    >>> Distilling(16)(torch.randn(2, 9, 16)).shape
    torch.Size([2, 5, 16])
    """

    def __init__(
        self, d_model: int, padding_mode: Literal["replicate", "circular"] = "replicate"
    ) -> None:
        super().__init__()
        # NOTE[DIFF] padding 1, so that 9 tokens give 5; the original's padding of 2 gives one more.
        self.convolution = nn.Conv1d(
            d_model, d_model, kernel_size=3, padding=1, padding_mode=padding_mode
        )
        self.norm = nn.BatchNorm1d(d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(B, N, M)`` to ``(B, ceil(N/2), M)``."""
        tokens = self._normalise(convolve(x, self.convolution).flatten(0, 1)).view_as(x)
        # ELU rises strictly, so it may follow the maximum, on half of the values.
        pooled = F.max_pool1d(tokens.transpose(1, 2), kernel_size=3, stride=2, padding=1)
        return F.elu(pooled.transpose(1, 2))

    def _normalise(self, x: Tensor) -> Tensor:
        """Batch norm of ``(B*N, M)``; by running statistics where there is one token."""
        # NOTE[DIFF] one token has no variance: a batch of one is normalised as at prediction.
        if self.training and len(x) == 1:
            norm = self.norm
            return F.batch_norm(
                x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        normalised: Tensor = self.norm(x)
        return normalised
