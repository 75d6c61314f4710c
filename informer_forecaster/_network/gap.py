"""Steps between the look-back and the horizon, of which a forecast knows no covariates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Gap(NamedTuple):
    """Steps that covariates ``(B, L + H, U)`` leave out, after the look-back.

    What acts on later steps counts them all the same: the nearest known value is taken to have
    stood at each of them, as beyond either end of the window.

    Parameters
    ----------
    length : int
        Steps that are left out, ``S``.
    horizon : int
        Steps after them, ``H``.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster._network.gap import Gap
    >>> gap = Gap(length=3, horizon=2)
    >>> whole = gap.fill(torch.tensor([[[1.0], [2.0], [7.0], [9.0]]]))
    >>> whole.flatten().tolist()
    [1.0, 2.0, 2.0, 2.0, 7.0, 7.0, 9.0]
    >>> gap.cut(whole).flatten().tolist()
    [1.0, 2.0, 7.0, 9.0]
    """

    length: int
    horizon: int

    def fill(self, values: Tensor) -> Tensor:
        """Put steps into the gap: ``(B, L + S + H, U)``."""
        if not self.length:
            return values
        before, ahead = values[:, : -self.horizon], values[:, -self.horizon :]
        late = self.length // 2
        last = before[:, -1:].expand(-1, self.length - late, -1)
        first = ahead[:, :1].expand(-1, late, -1)
        return torch.cat([before, last, first, ahead], dim=1)

    def cut(self, whole: Tensor) -> Tensor:
        """Take the steps of the gap out again: ``(B, L + H, U)``."""
        if not self.length:
            return whole
        before = whole[:, : -self.horizon - self.length]
        return torch.cat([before, whole[:, -self.horizon :]], dim=1)
