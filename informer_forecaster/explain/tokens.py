"""Private: which time steps the tokens of a layer stand for, through patches and distilling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenSteps:
    """Steps of ``N`` tokens, counted from the start of the look-back; the horizon follows it.

    Parameters
    ----------
    middle : numpy.ndarray
        ``(N,)``: the middle step of the token, or of the token in the middle of those pooled.
    first, last : numpy.ndarray
        ``(N,)``: outermost steps that reach the token through patches and distilling; attention
        brings in all others.

    Examples
    --------
    >>> from informer_forecaster.explain.tokens import TokenSteps
    >>> TokenSteps.fold(0, 8, patch_length=1, pad_left=True).distilled().middle
    array([0, 2, 4, 6])
    """

    middle: Positions
    first: Positions
    last: Positions

    @classmethod
    def fold(cls, start: int, stop: int, patch_length: int, *, pad_left: bool) -> TokenSteps:
        """Tokens of the steps from ``start`` to before ``stop``; patches as the network folds."""
        padding = -(stop - start) % patch_length if pad_left else 0
        edges = np.arange(start - padding, stop, patch_length, dtype=np.int64)
        first = np.maximum(edges, start)
        last = np.minimum(edges + patch_length, stop) - 1
        return cls((first + last) // 2, first, last)

    def __len__(self) -> int:
        return len(self.middle)

    def tail(self, num_tokens: int) -> TokenSteps:
        """The last ``num_tokens`` tokens."""
        start = len(self) - num_tokens
        return TokenSteps(self.middle[start:], self.first[start:], self.last[start:])

    def followed_by(self, other: TokenSteps) -> TokenSteps:
        """These tokens, and those of ``other`` after them."""
        return TokenSteps(
            np.concatenate([self.middle, other.middle]),
            np.concatenate([self.first, other.first]),
            np.concatenate([self.last, other.last]),
        )

    def distilled(self) -> TokenSteps:
        """The tokens that a distilling makes of these.

        Token ``j`` is the largest of three neighbours around ``2 j``, each of which a convolution
        made of three: five tokens reach it.
        """
        centre = np.arange(0, len(self), 2)
        return TokenSteps(
            self.middle[centre],
            self.first[np.maximum(centre - 2, 0)],
            self.last[np.minimum(centre + 2, len(self) - 1)],
        )

    def at(self, times: pd.Index[Any]) -> pd.DataFrame:
        """Time stamps of the tokens: columns ``time``, ``first`` and ``last``, ``N`` rows."""
        return pd.DataFrame(
            {"time": times[self.middle], "first": times[self.first], "last": times[self.last]}
        )
