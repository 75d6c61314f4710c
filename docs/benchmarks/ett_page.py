"""Write the tables of docs/accuracy/ett.md and their figures from ett.csv and published.csv.

Run from anywhere: ``python docs/benchmarks/ett_page.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import pandas as pd
from ablations import ABLATIONS, find
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
from methods import METHODS
from protocol import DATASETS, STANDARD_HORIZONS
from results import read
from tables import between_marks, make_table

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "ett.csv"
PUBLISHED = FOLDER / "published.csv"
PAGE = FOLDER.parent / "accuracy" / "ett.md"
DRAWN = FOLDER.parent / "figures"
PUBLISHED_MARK = "published: "


def read_published() -> pd.DataFrame:
    """Read the values that papers state."""
    return pd.read_csv(PUBLISHED)


def title_of(method: str) -> str:
    """Name a method in the tables; one whose recipe is gone keeps its name."""
    return find(method, installed=False).title if method.partition("[")[0] in METHODS else method


def make_cell(rows: pd.DataFrame) -> str:
    """Write mean squared and absolute error; several seeds with their deviation."""
    if rows.empty:
        return ""
    text = f"{rows['mse'].mean():.3f}"
    if len(rows) > 1:
        text += f" ± {rows['mse'].std():.3f}"
    return text if rows["mae"].isna().all() else f"{text} ({rows['mae'].mean():.3f})"


def _span(values: pd.Series) -> str:
    """Write the least and the largest of some numbers."""
    values = values.dropna()
    if values.empty:
        return ""
    low, high = f"{values.min():.0f}", f"{values.max():.0f}"
    return low if low == high else f"{low} to {high}"


def _windows(rows: pd.DataFrame, most: pd.Series) -> str:
    """Write how many test windows were scored, where they are not all."""
    few = rows[rows["windows"] < rows["horizon"].map(most)]
    return f", {_span(few['windows'])} windows" if len(few) else ""


def make_error_table(rows: pd.DataFrame, published: pd.DataFrame, horizons: tuple[int, ...]) -> str:
    """Make the table of one data set: ours by their mean error, then what papers state."""
    most = rows.groupby("horizon")["windows"].max()
    header = ["", "look-back", *map(str, horizons), "training, s", "parameters", "seeds"]
    lines = []
    for method, own in rows.groupby("method", sort=False):
        cells = [make_cell(own[own["horizon"] == horizon]) for horizon in horizons]
        seconds, parameters = _span(own["seconds"]), _span(own["parameters"])
        seeds = str(own["seed"].nunique())
        title = title_of(str(method)) + _windows(own, most)
        line = [title, _span(own["lookback"]), *cells, seconds, parameters, seeds]
        # Those that ran at fewer horizons stand below, as their means do not compare.
        lines.append((cells.count(""), own["mse"].mean(), line))
    table = [line for _, _, line in sorted(lines, key=lambda one: one[:2])]
    for (model, look_back), stated in published.groupby(
        ["model", "lookback"], sort=False, dropna=False
    ):
        cells = [make_cell(stated[stated["horizon"] == horizon]) for horizon in horizons]
        table.append([PUBLISHED_MARK + model, _span(pd.Series([look_back])), *cells, "", "", ""])
    return make_table(header, table)


def sections(rows: pd.DataFrame, published: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Make heading and table of each data set and set of horizons."""
    rows = rows[~rows["method"].str.contains("[", regex=False)]
    for features in ("multivariate", "univariate"):
        for dataset, known in DATASETS.items():
            of_data = rows[(rows["dataset"] == dataset) & (rows["features"] == features)]
            stated = published[
                (published["dataset"] == dataset) & (published["features"] == features)
            ]
            for name, horizons in (
                ("standard", STANDARD_HORIZONS),
                ("paper", known.paper_horizons),
            ):
                own = of_data[of_data["horizon"].isin(horizons)]
                # A paper states one set of horizons; the few that both sets share tell it apart.
                other = stated[stated["source"].str.contains("AAAI 2021") == (name == "paper")]
                if len(own) or len(other):
                    heading = f"{dataset}, {features}, {name} horizons"
                    yield heading, make_error_table(own, other, horizons)


def ablations(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Make heading and table of each ablation and data set that was run."""
    nothing = read_published().iloc[:0]
    for name, methods in ABLATIONS.items():
        chosen = rows[rows["method"].isin(methods)]
        for (dataset, features), own in chosen.groupby(["dataset", "features"], sort=False):
            if not own["method"].str.contains("[", regex=False).any():
                continue
            horizons = tuple(sorted(own["horizon"].unique()))
            table = make_error_table(own, nothing, horizons)
            yield f"Ablation: {name.replace('-', ' ')}, {dataset}, {features}", table


def make_page(text: str, rows: pd.DataFrame, figures: str = "../figures") -> str:
    """Put the tables of the rows between the marks of the page."""
    tables = [*sections(rows, read_published()), *ablations(rows)]
    shown = [f"![{one.alt}]({figures}/{one.name})\n" for one in FIGURES if len(one.choose(rows))]
    body = "\n".join([*shown, *(f"### {heading}\n\n{table}" for heading, table in tables)])
    return between_marks(text, body, "ett_page")


def _of_errors(rows: pd.DataFrame) -> pd.DataFrame:
    is_ablation = rows["method"].str.contains("[", regex=False)
    # Lines so near to the default's would hide it.
    is_near = rows["method"].isin(["informer-start", "informer-unvalidated"])
    is_part = is_ablation | is_near
    shown = rows[(rows["features"] == "multivariate") & ~is_part]
    # A line takes two horizons.
    horizons = shown.groupby(["dataset", "method"])["horizon"].transform("nunique")
    return shown[horizons > 1]


def _of_decoding(rows: pd.DataFrame) -> pd.DataFrame:
    own = rows[(rows["dataset"] == "ETTh1") & (rows["features"] == "multivariate")]
    own = own[own["method"].isin(ABLATIONS["decoding"])]
    own = own if own["method"].nunique() > 1 else own.iloc[:0]
    return own.assign(milliseconds=1e3 * own["forecast_seconds"] / own["windows"])


def _draw_methods(panel: Axes, rows: pd.DataFrame, methods: Iterable[str], column: str) -> None:
    """Draw a column against the horizon, a line for each method that has rows."""
    for number, method in enumerate(methods):
        means = rows[rows["method"] == method].groupby("horizon")[column].mean()
        if len(means):
            # By its place in the list: a method has one colour in a row of panels.
            look = {"color": plt.get_cmap("tab10")(number), "marker": "o", "markersize": 4}
            panel.plot(means.index, means, label=title_of(method), **look)
    panel.set(xlabel="horizon", yscale="log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6)))
    panel.yaxis.set_major_formatter(ScalarFormatter())  # 0.4, not 4 x 10^-1
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.grid(alpha=0.3)


# A row of panels each, the default in all of them: nobody tells more than six lines apart.
GROUPS = {
    "simple methods": ("nlinear", "dlinear", "tide", "repeat-last", "repeat-day"),
    "networks": ("paper-norm", "transformer", "lstm-attention", "tsmixer", "nhits"),
    "recurrent networks": ("rnn", "gru", "lstm", "lstm-direct", "deepar"),
    "as published": (),
}
PUBLISHED_STYLES = {"Informer": "--", "DLinear": ":", "PatchTST/64": "-."}


def draw_errors(rows: pd.DataFrame) -> Figure:
    """Draw the error against the horizon: a row of panels a group, a column a data set."""
    published = read_published()
    published = published[published["horizon"].isin(STANDARD_HORIZONS)].dropna(subset="lookback")
    figure = plt.figure(figsize=(11, 3.6 * len(GROUPS)), layout="constrained")
    parts = figure.subfigures(len(GROUPS))
    for part, (group, methods) in zip(parts, GROUPS.items(), strict=True):
        panels = part.subplots(1, len(DATASETS))
        for panel, dataset in zip(panels, DATASETS, strict=True):
            own = rows[rows["dataset"] == dataset]
            _draw_methods(panel, own, ("informer", *methods), "mse")
            if group == "as published":
                _draw_published(panel, published[published["dataset"] == dataset])
            panel.set_title(f"{dataset}, {group}", fontsize="medium")
        panels[0].set_ylabel("mean squared error")
        _add_legend(part)
    return figure


def _draw_published(panel: Axes, published: pd.DataFrame) -> None:
    """Draw what papers state, in grey."""
    for name, style in PUBLISHED_STYLES.items():
        stated = published[published["model"] == name].set_index("horizon")["mse"]
        panel.plot(stated.index, stated, style, color="grey", label=PUBLISHED_MARK + name)


def _add_legend(figure: Figure | SubFigure) -> None:
    """Add one legend for all panels: a method need not be in each of them."""
    labels = {}
    for panel in figure.axes:
        handles, names = panel.get_legend_handles_labels()
        labels |= dict(zip(names, handles, strict=True))
    figure.legend(labels.values(), labels, loc="outside lower center", ncols=3, fontsize="small")


def draw_decoding(rows: pd.DataFrame) -> Figure:
    """Draw error and time of a forecast against the horizon: at once, and step by step."""
    figure, panels = plt.subplots(1, 2, figsize=(13, 4), layout="constrained")
    labels = {"mse": "mean squared error, scaled data", "milliseconds": "ms to forecast a window"}
    for panel, (column, label) in zip(panels, labels.items(), strict=True):
        _draw_methods(panel, rows, ABLATIONS["decoding"], column)
        panel.set_ylabel(label)
    _add_legend(figure)
    return figure


class Chart(NamedTuple):
    """A figure of the page: its file, its words, the rows it needs, and how they are drawn."""

    name: str
    alt: str
    choose: Callable[[pd.DataFrame], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Figure]


FIGURES = (
    Chart("accuracy.png", "Error against the horizon", _of_errors, draw_errors),
    Chart("accuracy_decoding.png", "At once and step by step, ETTh1", _of_decoding, draw_decoding),
)


def write_page(rows: pd.DataFrame, page: Path = PAGE) -> None:
    """Write the tables into the page, and the figures that have rows; beside another page."""
    is_own = page == PAGE
    text = make_page(PAGE.read_text(encoding="utf-8"), rows, "../figures" if is_own else "figures")
    page.write_text(text, encoding="utf-8")
    folder = DRAWN if is_own else page.parent / "figures"
    folder.mkdir(exist_ok=True)
    for chart in FIGURES:
        chosen = chart.choose(rows)
        if len(chosen):
            figure = chart.draw(chosen)
            figure.savefig(folder / chart.name, dpi=120)
            plt.close(figure)


if __name__ == "__main__":
    write_page(read(RESULTS))
