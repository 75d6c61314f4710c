"""The explanation of one forecast: data, tables and plots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from informer_forecaster._checks import check_integer

from .attention_map import AttentionMap
from .plots import draw_attention, draw_importance, draw_sparsity

FloatArray = npt.NDArray[np.float64]
Part = Literal["encoder", "decoder"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What one forecast rests on.

    An importance is what a value adds to the forecast, in units of the forecast: over all inputs
    they sum to the difference between the forecast and that of the baseline, in which every input
    has its mean over the background.

    Parameters
    ----------
    times : pandas.Index
        Time stamps of look-back and horizon, ``L + H``.
    freq : object
        Step between them, as Darts gives it; a shifted horizon leaves a gap.
    history : pandas.DataFrame
        The target in the look-back, ``(L, C)``.
    horizons : tuple of int
        Steps ahead that are explained, ``h`` of them.
    components : tuple of str
        Components of the forecast that are explained, ``O`` of them; with a likelihood its
        parameters, such as ``"load_q0.500"``.
    forecast, baseline : numpy.ndarray
        The forecast and that of the baseline, ``(h, O)``.
    added : dict of numpy.ndarray
        What each value adds: ``"target"`` ``(h, O, L, C)``, ``"pastcov"`` ``(h, O, L, X)``,
        ``"futcov"`` ``(h, O, L + H, F)`` and ``"statcov"`` ``(h, O, C or 1, Z)``.
    names : dict of list of str
        Names along the last dimension of each array of `added`.
    encoder_layers, decoder_layers : tuple of AttentionMap
        The attentions in the order in which they run; those that users registered are left out.
    """

    times: pd.Index[Any]
    freq: Any
    history: pd.DataFrame
    horizons: tuple[int, ...]
    components: tuple[str, ...]
    forecast: FloatArray
    baseline: FloatArray
    added: dict[str, FloatArray]
    names: dict[str, list[str]]
    encoder_layers: tuple[AttentionMap, ...]
    decoder_layers: tuple[AttentionMap, ...]

    def restated(
        self,
        times: pd.Index[Any],
        freq: Any,
        history: pd.DataFrame,
        names: dict[str, list[str]],
        units: tuple[FloatArray, FloatArray],
    ) -> Explanation:
        """Say the same with the time stamps, names and units of the data that windows were made of.

        Parameters
        ----------
        times, freq, history, names
            As of the class; ``history`` is in the new units, its columns are the components.
        units : tuple of numpy.ndarray
            Zero and size of the unit of each component, ``(O,)`` both.
        """
        components = tuple(map(str, history.columns))
        zero, size = units
        encoder, decoder = (
            tuple(one.relabelled(times, components) for one in maps)
            for maps in (self.encoder_layers, self.decoder_layers)
        )
        return replace(
            self,
            times=times,
            freq=freq,
            history=history,
            components=components,
            forecast=self.forecast * size + zero,
            baseline=self.baseline * size + zero,
            # One dimension for the outputs, whose units these are, and two of the inputs.
            added={kind: one * size[:, None, None] for kind, one in self.added.items()},
            names=names,
            encoder_layers=encoder,
            decoder_layers=decoder,
        )

    def importance(self, horizon: int | None = None, component: str | None = None) -> pd.DataFrame:
        """What each step of each input adds to a forecast.

        Parameters
        ----------
        horizon : int, optional
            One of ``horizons``; by default the mean of all of them is explained.
        component : str, optional
            One of ``components``; may be left out where there is one.

        Returns
        -------
        pandas.DataFrame
            ``L + H`` rows by time; columns ``NAME_target``, ``NAME_pastcov`` and ``NAME_futcov``,
            NaN where a column is no input.

        Raises
        ------
        ValueError
            If horizon or component is not among those explained.
        """
        # Not a dictionary: a covariate may have the name of a calendar feature.
        names, columns = [], []
        for kind in ("target", "pastcov", "futcov"):
            values = self._of(kind, horizon, component)
            missing = np.full((len(self.times) - len(values), values.shape[1]), np.nan)
            names += [f"{name}_{kind}" for name in self.names[kind]]
            columns.append(np.concatenate([values, missing]))
        return pd.DataFrame(np.concatenate(columns, axis=1), index=self.times, columns=names)

    def static_importance(
        self, horizon: int | None = None, component: str | None = None
    ) -> pd.DataFrame:
        """What each static covariate adds, as :meth:`importance`: ``(C or 1, Z)``."""
        values = self._of("statcov", horizon, component)
        rows = list(self.history.columns) if len(values) > 1 else ["all"]
        columns = [f"{name}_statcov" for name in self.names["statcov"]]
        return pd.DataFrame(values, index=pd.Index(rows[: len(values)]), columns=columns)

    def shares(self, horizon: int | None = None, component: str | None = None) -> pd.Series[float]:
        """Share of each input in all that is added or taken away, the largest first.

        They sum to 1, or are 0 where nothing is added.

        Parameters
        ----------
        horizon, component
            As of :meth:`importance`.
        """
        sizes = self.importance(horizon, component).abs().sum()
        static = self.static_importance(horizon, component).abs().sum()
        sizes = pd.concat([sizes, static]) if len(static) else sizes
        total = sizes.sum()
        shares = sizes / (total if total else 1.0)
        return shares.sort_values(ascending=False, kind="stable").rename("share")

    def completeness(self) -> pd.DataFrame:
        """Check that what is added sums to the forecast less that of the baseline.

        Returns
        -------
        pandas.DataFrame
            A row for each horizon and component: ``forecast``, ``baseline``, ``added`` and ``gap``,
            what the sum lacks; more points on the path make it smaller.
        """
        total = np.zeros_like(self.forecast)
        for array in self.added.values():
            total += array.reshape(*total.shape, -1).sum(2)
        gap = self.forecast - self.baseline - total
        index = pd.MultiIndex.from_product(
            [self.horizons, self.components], names=["horizon", "component"]
        )
        columns = {"forecast": self.forecast, "baseline": self.baseline, "added": total, "gap": gap}
        return pd.DataFrame({name: array.ravel() for name, array in columns.items()}, index=index)

    def plot_importance(
        self, horizon: int | None = None, component: str | None = None, num_inputs: int = 5
    ) -> Figure:
        """Draw the look-back, what its steps add over time, and the share of each input.

        Parameters
        ----------
        horizon, component
            As of :meth:`importance`.
        num_inputs : int
            Inputs drawn over time: those of the largest shares.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ValueError
            If `num_inputs` is no positive integer.
        """
        return draw_importance(
            self.history,
            self._forecast_points(component),
            self.importance(horizon, component),
            self.shares(horizon, component),
            check_integer("num_inputs", num_inputs, minimum=1),
            self.horizons if horizon is None else (horizon,),
        )

    def plot_sparsity(
        self, layer: int = 0, part: Part = "encoder", channel: str | None = None
    ) -> Figure:
        """Draw the sparsity of a layer's queries, over time and ranked: few are far from uniform.

        Parameters
        ----------
        layer : int
            Position in `encoder_layers` or `decoder_layers`.
        part : {"encoder", "decoder"}
            Which of the two.
        channel : str, optional
            One of the map's channels; the first by default.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return draw_sparsity(self.layer(layer, part), channel)

    def plot_attention(
        self,
        layer: int = 0,
        head: int = 0,
        part: Part = "encoder",
        channel: str | None = None,
    ) -> Figure:
        """Draw the attention of a head's kept queries to the keys, both on the time axis.

        Parameters
        ----------
        layer, part, channel
            As of :meth:`plot_sparsity`.
        head : int
            The head.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return draw_attention(self.layer(layer, part), head, channel)

    def layer(self, layer: int, part: Part = "encoder") -> AttentionMap:
        """An attention by its position; a ValueError if there is none."""
        parts = {"encoder": self.encoder_layers, "decoder": self.decoder_layers}
        if part not in parts:
            raise ValueError(f"`part` must be one of {list(parts)}; got {part!r}.")
        if layer not in range(len(parts[part])):
            raise ValueError(
                f"`layer` must be one of {list(range(len(parts[part])))}, the positions in "
                f"`{part}_layers`, which holds no attentions that users registered; got {layer!r}."
            )
        return parts[part][layer]

    def _of(self, kind: str, horizon: int | None, component: str | None) -> FloatArray:
        """The array of `added` for one component, and one horizon or the mean of all."""
        if kind not in self.added:
            return np.empty((0, 0))
        array = self.added[kind][:, self._position(component)]
        if horizon is None:
            mean: FloatArray = array.mean(0)
            return mean
        if horizon not in self.horizons:
            raise ValueError(
                f"`horizon` must be one of those explained, {list(self.horizons)}; got {horizon!r}."
            )
        chosen: FloatArray = array[self.horizons.index(horizon)]
        return chosen

    def _position(self, component: str | None) -> int:
        if component is None and len(self.components) == 1:
            return 0
        if component not in self.components:
            raise ValueError(
                f"`component` must be one of those explained, {list(self.components)}; got "
                f"{component!r}."
            )
        return self.components.index(component)

    def _forecast_points(self, component: str | None) -> pd.Series[float]:
        """The explained steps of the forecast, by time."""
        ahead = self.times[len(self.history) :]
        values = self.forecast[:, self._position(component)]
        name = self.components[self._position(component)]
        return pd.Series(values, index=ahead[[h - 1 for h in self.horizons]], name=name)
