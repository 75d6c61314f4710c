"""The attention of a forecast, for the reader: sparsity, active queries and kept rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

Kind = Literal["encoder", "decoder self", "decoder cross"]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """One attention of the network in one forecast.

    Parameters
    ----------
    kind : {"encoder", "decoder self", "decoder cross"}
        Where it stands.
    stack, layer : int
        Replica stack of the encoder (0 in the decoder), and layer within it.
    channels : tuple of str
        Names along the first dimension, ``E``: the target components where each is forecast on its
        own, else one entry ``"all"``, as the tokens join all components.
    queries, keys : pandas.DataFrame
        Time stamps of the ``L`` queries and the ``S`` keys: ``time``, the middle of the token, and
        ``first`` and ``last``, the outermost steps that patches and distilling put into it.
    sparsity : numpy.ndarray
        Sparsity measurement of every query, ``(E, H, L)``: the one that ranks the queries in
        ProbSparse attention, and in full attention the one in closed form (``"moment"``).
    active : numpy.ndarray
        Whether a query attends, ``(E, H, L)``; the others get the mean of the values they see, or
        with ``sparsity="moment"`` attention to first order.
    rows : numpy.ndarray
        The queries whose attention is kept, ``(E, H, R)``, ascending: the active ones, or in full
        attention, where all are active, as many with the largest sparsity.
    weights : numpy.ndarray
        Attention of the kept queries to the keys, ``(E, H, R, S)``; each row sums to one.

    Notes
    -----
    Section 3.1 of the paper: the measurement has a long tail, few queries far from uniform.
    """

    kind: Kind
    stack: int
    layer: int
    channels: tuple[str, ...]
    queries: pd.DataFrame
    keys: pd.DataFrame
    sparsity: FloatArray
    active: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.int64]
    weights: FloatArray

    @property
    def name(self) -> str:
        """Where the attention stands, in words."""
        place = f"stack {self.stack}, layer" if self.kind == "encoder" else "layer"
        return f"{self.kind}, {place} {self.layer}"

    def ranked(self, head: int = 0, channel: str | None = None) -> pd.DataFrame:
        """Rank the queries of a head by their sparsity measurement: the long tail.

        Parameters
        ----------
        head : int
            The head.
        channel : str, optional
            One of ``channels``; the first by default.

        Returns
        -------
        pandas.DataFrame
            ``L`` rows, the largest measurement first: ``time``, ``sparsity`` and ``active``.

        Raises
        ------
        ValueError
            If there is no such head or channel.
        """
        place = self.locate(head, channel)
        table = pd.DataFrame(
            {
                "time": self.queries["time"],
                "sparsity": self.sparsity[place],
                "active": self.active[place],
            }
        )
        return table.sort_values("sparsity", ascending=False, kind="stable", ignore_index=True)

    def attention(self, head: int = 0, channel: str | None = None) -> pd.DataFrame:
        """Attention of a head's kept queries: time stamps of queries by those of keys, ``(R, S)``.

        Parameters
        ----------
        head : int
            The head.
        channel : str, optional
            One of ``channels``; the first by default.

        Raises
        ------
        ValueError
            If there is no such head or channel.
        """
        place = self.locate(head, channel)
        index = pd.Index(self.queries["time"].iloc[self.rows[place]], name="query")
        return pd.DataFrame(
            self.weights[place], index=index, columns=pd.Index(self.keys["time"], name="key")
        )

    def relabelled(self, times: pd.Index[Any], channels: tuple[str, ...]) -> AttentionMap:
        """The same attention where steps were counted from 0: at time stamps ``times``."""
        queries, keys = (
            pd.DataFrame({name: times[steps] for name, steps in table.items()})
            for table in (self.queries, self.keys)
        )
        channels = channels if len(self.channels) == len(channels) else self.channels
        return replace(self, channels=channels, queries=queries, keys=keys)

    def locate(self, head: int, channel: str | None) -> tuple[int, int]:
        """Positions of a channel and a head; a ValueError if there is none."""
        num_heads = self.sparsity.shape[1]
        if head not in range(num_heads):
            raise ValueError(f"`head` must be one of 0 to {num_heads - 1}; got {head!r}.")
        channel = self.channels[0] if channel is None else channel
        if channel not in self.channels:
            raise ValueError(f"`channel` must be one of {list(self.channels)}; got {channel!r}.")
        return self.channels.index(channel), head
