"""Private: the plots of an explanation, in matplotlib and on real time axes."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .attention_map import AttentionMap

_ORIGIN: dict[str, Any] = {"color": "grey", "linestyle": ":", "linewidth": 1.0}


def stamps(times: pd.Index[Any]) -> pd.Index[Any]:
    """Time stamps that matplotlib can draw: periods begin where they start."""
    return times.to_timestamp() if isinstance(times, pd.PeriodIndex) else times


def draw_importance(
    history: pd.DataFrame,
    forecast: pd.Series[float],
    importance: pd.DataFrame,
    shares: pd.Series[float],
    num_inputs: int,
    horizons: tuple[int, ...],
) -> Figure:
    """Draw the window, what each step adds, and the share of each input.

    Parameters
    ----------
    history : pandas.DataFrame
        The look-back, ``(L, C)``.
    forecast : pandas.Series
        The explained steps.
    importance : pandas.DataFrame
        What each step of each input adds, by time.
    shares : pandas.Series
        Share of each input, the largest first.
    num_inputs : int
        Inputs drawn over time.
    horizons : tuple of int
        Which steps ahead are explained.
    """
    ahead = _name_steps(horizons)
    figure, axes = plt.subplot_mosaic(
        [["window", "shares"], ["steps", "shares"]],
        figsize=(11, 6),
        width_ratios=[3, 1],
        layout="constrained",
    )
    window, steps, bars = axes["window"], axes["steps"], axes["shares"]
    steps.sharex(window)
    for name, column in history.items():
        window.plot(stamps(history.index), column, linewidth=1.0, label=name)
    window.plot(
        stamps(forecast.index), forecast, "k.", markersize=5, label=f"forecast of {forecast.name}"
    )
    window.set_title(f"look-back, and the forecast of {forecast.name} {ahead}")
    inputs = [name for name in shares.index if name in importance.columns]
    for name in inputs[:num_inputs]:
        steps.plot(stamps(importance.index), importance[name], linewidth=1.0, label=name)
    steps.axhline(0.0, color="black", linewidth=0.5)
    drawn = "all" if num_inputs >= len(inputs) else f"the largest {num_inputs} of"
    steps.set_title(
        f"what each step adds {ahead}, in units of {forecast.name}: {drawn} {len(inputs)} inputs"
    )
    _count_lags(steps, history.index)
    for axis in (window, steps):
        axis.axvline(stamps(history.index)[-1], **_ORIGIN)
        axis.legend(frameon=False, fontsize="small")
        _date(axis, importance.index)
    drawn_bars = bars.barh(shares.index[::-1].astype(str), shares[::-1], color="tab:blue")
    bars.bar_label(drawn_bars, fmt="{:.0%}", padding=3, fontsize="small")
    bars.margins(x=0.2)
    bars.set_title(f"share of each input,\n{ahead}", loc="right")
    bars.xaxis.set_major_formatter(PercentFormatter(1.0))
    _finish(window, steps, bars)
    return figure


def draw_sparsity(attention: AttentionMap, channel: str | None) -> Figure:
    """Draw the measurement of every query, a line for each head, over time and ranked.

    Parameters
    ----------
    attention : AttentionMap
        The attention.
    channel : str, optional
        One of its channels; the first by default.
    """
    figure, (over_time, ranked) = plt.subplots(
        1, 2, figsize=(11, 4), width_ratios=[2, 1], sharey=True, layout="constrained"
    )
    num_heads = attention.sparsity.shape[1]
    for head in range(num_heads):
        table = attention.ranked(head, channel)
        (line,) = ranked.plot(table.index + 1, table["sparsity"], linewidth=1.0)
        active = table[table["active"]]
        over_time.plot(
            stamps(pd.Index(active["time"])), active["sparsity"], ".", color=line.get_color()
        )
        table = table.sort_values("time", kind="stable")
        over_time.plot(
            stamps(pd.Index(table["time"])),
            table["sparsity"],
            linewidth=0.8,
            color=line.get_color(),
            label=f"head {head}",
        )
    num_active = int(attention.active[attention.locate(0, channel)].sum())
    ranked.axvline(num_active + 0.5, **_ORIGIN)
    ranked.set_title(f"ranked: {num_active} of {len(attention.queries)} are active")
    ranked.set_xlabel("rank of the query")
    over_time.set_title(f"{attention.name}: sparsity of the queries (dots: active)")
    over_time.legend(frameon=False, fontsize="small", ncols=min(num_heads, 4))
    over_time.set_ylabel("sparsity measurement, in units of a score")
    _date(over_time, pd.Index(attention.queries["time"]))
    _finish(over_time, ranked)
    return figure


def draw_attention(attention: AttentionMap, head: int, channel: str | None) -> Figure:
    """Draw the kept rows of a head: one line of the picture a query, its time beside it.

    Parameters
    ----------
    attention : AttentionMap
        The attention.
    head : int
        The head.
    channel : str, optional
        One of its channels; the first by default.
    """
    table = attention.attention(head, channel)
    figure, axis = plt.subplots(figsize=(11, 5), layout="constrained")
    # The tokens of replica stacks lie on one another in time: each picture has ascending keys.
    table = table.T.groupby(level=0).sum().T
    keys = stamps(pd.Index(table.columns))
    mesh = axis.pcolormesh(keys, np.arange(len(table)), table.to_numpy(), shading="nearest")
    shown = np.unique(np.linspace(0, len(table) - 1, min(len(table), 24)).astype(int))
    axis.set_yticks(shown, [str(time) for time in table.index[shown]])
    axis.set_ylabel("query")
    axis.set_xlabel("key")
    kept = "all queries" if len(table) == len(attention.queries) else "kept queries"
    axis.set_title(f"{attention.name}, head {head}: attention of {kept}")
    _date(axis, pd.Index(attention.keys["time"]))
    figure.colorbar(mesh, ax=axis, label="weight; a row sums to 1")
    return figure


def _date(axis: Axes, times: pd.Index[Any]) -> None:
    """Write dates short where the axis has dates: what they share stands beside it once."""
    if isinstance(stamps(times), pd.DatetimeIndex):
        locator = AutoDateLocator()
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _name_steps(horizons: tuple[int, ...]) -> str:
    """Say which steps are explained."""
    if len(horizons) > 1:
        return f"{horizons[0]} to {horizons[-1]} steps ahead, on average"
    return f"{horizons[0]} step{'s' * (horizons[0] > 1)} ahead"


def _count_lags(axis: Axes, lookback: pd.Index[Any]) -> None:
    """Count the steps of the look-back above an axis, 0 being the last one that was seen."""
    times = stamps(lookback)
    first = 1 - len(times)
    ticks = MaxNLocator(nbins=10, integer=True).tick_values(first, 0)
    lags = [int(lag) for lag in ticks if first <= lag <= 0]
    above = axis.secondary_xaxis("top")
    above.set_xticks(above.convert_xunits(times[[lag - first for lag in lags]]), map(str, lags))
    above.tick_params(labelsize="small")
    above.set_xlabel("lag: steps from the last value that was seen", fontsize="small")
    above.spines["top"].set_visible(False)


def _finish(*axes: Axes) -> None:
    """Take off the frame that says nothing."""
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
