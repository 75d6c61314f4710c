"""Tables of the rows of covariates.csv: which rows stand for a method, how cells are written."""

from __future__ import annotations

import pandas as pd
from covariate_methods import METHODS
from tables import make_table

PARTS = {"both": "informer", "start alone": "informer-start", "network alone": "informer-network"}
MECHANISMS = {
    "ProbSparse and distilling": "informer",
    "full attention": "informer-full",
    "no distilling": "informer-whole",
}


def title_of(method: str) -> str:
    """Name a method in the tables; one whose recipe is gone keeps its name."""
    return METHODS[method].title if method in METHODS else method


def pick(rows: pd.DataFrame, task: str, method: str, stride: int | None = None) -> pd.DataFrame:
    """Give the rows that stand for a method: its finest stride, and the rate that validates best.

    Parameters
    ----------
    rows : DataFrame
        Of covariates.csv.
    task, method : str
        What was forecast, and how.
    stride : int, optional
        Rows between training windows; by default the fewest that were run.

    Returns
    -------
    DataFrame
        A row for each seed; none if nothing was run.
    """
    own = rows[(rows["task"] == task) & (rows["method"] == method)]
    if own.empty:
        return own
    own = own[own["stride"] == (own["stride"].min() if stride is None else stride)]
    if own["rate"].isna().all():
        return own
    error = "val_pinball" if own["val_pinball"].notna().any() else "val_mse"
    means = own.groupby("rate")[error].mean()
    return own[own["rate"] == means.idxmin()]


def write(values: pd.Series) -> str:
    """Write a mean to three digits, several seeds with the deviation that these digits show."""
    values = values.dropna()
    if values.empty:
        return ""
    mean, deviation = values.mean(), values.std()
    shown = f"{mean:#.3g}".rstrip(".")
    return f"{shown} ± {deviation:.1g}" if deviation > 1e-3 * abs(mean) else shown


def _span(values: pd.Series) -> str:
    values = values.dropna()
    if values.empty:
        return ""
    low, high = f"{values.min():.0f}", f"{values.max():.0f}"
    return low if low == high else f"{low} to {high}"


def _ordinal(stride: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(stride % 10 if stride // 10 != 1 else 0, "th")
    return "every window" if stride == 1 else f"every {stride}{ending} window"


def make_methods(rows: pd.DataFrame, task: str) -> str:
    """Make the table of all methods of a task, by their squared error."""
    columns = {"val_mse": "validation", "mse": "test MSE", "mae": "MAE"}
    if rows.loc[rows["task"] == task, "mae_event"].notna().any():
        columns |= {"mae_event": "MAE, holidays", "mae_other": "MAE, others"}
    header = ["", "trains on", "rate", *columns.values(), "epochs", "seconds", "parameters"]
    lines = []
    groups = rows[rows["task"] == task].groupby(["method", "stride"], sort=False)
    for (method, stride), _ in groups:
        own = pick(rows, task, str(method), int(stride))
        rate = "" if own["rate"].isna().all() else f"{own['rate'].iloc[0]:g}"
        trained = _ordinal(int(stride)) if own["epochs"].notna().any() else ""
        cells = [write(own[name]) for name in columns]
        spans = [_span(own[name]) for name in ("epochs", "seconds", "parameters")]
        line = [title_of(str(method)), trained, rate, *cells, *spans]
        lines.append((own["mse"].mean(), line))
    return make_table(header, [line for _, line in sorted(lines, key=lambda one: one[0])])


def make_intervals(rows: pd.DataFrame, task: str) -> str:
    """Make the table of the methods with quantiles, by their pinball loss; empty without any."""
    lines = []
    own = rows[(rows["task"] == task) & rows["pinball"].notna()]
    for method in own["method"].unique():
        best = pick(rows, task, str(method))
        cover = [f"{100 * best[name].mean():.1f}" for name in ("cover80", "cover90")]
        lines.append(
            (best["pinball"].mean(), [title_of(str(method)), write(best["pinball"]), *cover])
        )
    header = ["", "pinball loss", "in 80 %", "in 90 %"]
    return make_table(header, [line for _, line in sorted(lines)]) if lines else ""


def make_parts(rows: pd.DataFrame, tasks: list[str]) -> str:
    """Make the ablation: start, network or both, with and without covariates."""
    blind = {f"{title}, no covariates": f"{name}-blind" for title, name in PARTS.items()}
    return _make_ablation(rows, tasks, {**PARTS, **blind})


def make_mechanisms(rows: pd.DataFrame, tasks: list[str]) -> str:
    """Make the ablation of the mechanisms of the Informer."""
    return _make_ablation(rows, tasks, MECHANISMS)


def _make_ablation(rows: pd.DataFrame, tasks: list[str], methods: dict[str, str]) -> str:
    """Compare methods at one stride, where another than the first was run; empty without any."""
    lines = []
    for task in tasks:
        stride = _common_stride(rows, task)
        cells = [write(pick(rows, task, name, stride)["mse"]) for name in methods.values()]
        if any(cells[1:]):
            lines.append([task, *cells])
    return make_table(["", *methods], lines) if lines else ""


def _common_stride(rows: pd.DataFrame, task: str) -> int | None:
    """Find the stride at which the start alone was run, so that parts compare."""
    own = rows[(rows["task"] == task) & (rows["method"] == "informer-start")]
    return None if own.empty else int(own["stride"].max())
