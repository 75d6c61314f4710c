"""Write docs/accuracy.md, a page for each task below it, and the table of the README.

From covariates.csv, ett.csv and published.csv; run from anywhere:
``python docs/benchmarks/accuracy_page.py``.
"""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from covariate_tables import (
    make_intervals,
    make_mechanisms,
    make_methods,
    make_parts,
    pick,
    title_of,
    write,
)
from covariates import RESULTS, read_rows
from protocol import STANDARD_HORIZONS
from results import read
from tables import between_marks, make_table
from tasks import TASKS

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "accuracy.md"
PAGES = FOLDER.parent / "accuracy"
README = FOLDER.parents[1] / "README.md"
SCRIPT = Path(__file__).stem
INFORMER = "informer"
# Task, its error, and what a reader calls them.
INFORMED = (
    ("vic_elec", "mse", "vic_elec"),
    ("bike_hour", "mse", "bike_hour"),
    ("demand", "mse", "demand"),
    ("sales", "mae_event", "sales, holidays (MAE)"),
    ("sales", "mae_other", "sales, other days (MAE)"),
    ("delay", "mae", "delay (MAE)"),
    ("promotions", "mae", "promotions (MAE)"),
    ("late", "mse", "late"),
    ("bent", "mse", "bent"),
    ("solar", "mse", "solar"),
)
ALONE = (("PBS", "mse", "PBS"), ("airline", "mse", "airline"), ("chaos", "mse", "chaos"))
ETT = ("ETTh1", "ETTh2", "ETTm1")
FIELD = ("Weather", *ETT)  # of the literature; means of four horizons
SUMMARY = (
    ("Electricity demand of Victoria (vic_elec)", [("vic_elec", "mse")]),
    ("Rented bicycles by the hour (bike_hour)", [("bike_hour", "mse")]),
    ("Made-up demand, quadratic in the temperature", [("demand", "mse")]),
    (
        "Made-up sales, absolute error on holidays / other days",
        [("sales", "mae_event"), ("sales", "mae_other")],
    ),
    ("A driver that acts six steps later, absolute error", [("delay", "mae")]),
    ("Promotions of the covariates page, absolute error", [("promotions", "mae")]),
    ("320 monthly series of prescriptions (PBS)", [("PBS", "mse")]),
    ("Airline passengers", [("airline", "mse")]),
)
SHOWN = (INFORMER, "informer-unvalidated", "tide", "tft", "tsmixer", "nhits", "nlinear", "lightgbm")
SHOWN += ("linear", "autoets", "naive")
PUBLISHED = ("PatchTST/64", "TiDE", "NLinear", "DLinear", "FEDformer", "Autoformer", "Informer")
LEGEND = """\
Lower is better, the best method first. A rate is the learning rate that validated best.
[Protocol](../accuracy.md#protocol).
"""
ON_MECHANISMS = """\
The default, and without one of the Informer's mechanisms; several seeds with their deviation.
Patches leave 16 tokens of 336 steps, for which ProbSparse attention is exact, so full attention is
the same. Distilling, which halves them, makes no difference that three seeds can tell.
"""
TASKS_IN_README = ("vic_elec", "bike_hour", "demand", "PBS")
IN_README = (INFORMER, "informer-start", "tide", "tft", "nlinear", "lightgbm")
OURS_IN_README = {
    INFORMER: "this package's default",
    "informer-start": "its linear start alone (`n_epochs=0`)",
}


class Rows(NamedTuple):
    """All rows that the pages are written from, by their file."""

    covariates: pd.DataFrame
    ett: pd.DataFrame
    published: pd.DataFrame

    @classmethod
    def committed(cls) -> Rows:
        """Read the files beside this script."""
        published = pd.read_csv(FOLDER / "published.csv")
        return cls(read_rows(RESULTS), read(FOLDER / "ett.csv"), published)

    def value(self, task: str, method: str, error: str) -> float:
        """Average an error over the seeds of a method; NaN where it was not run."""
        return float(pick(self.covariates, task, method)[error].mean())

    def cell(self, task: str, method: str, error: str) -> str:
        """Write that error, with the deviation of the seeds."""
        return write(pick(self.covariates, task, method)[error])

    def measured(self, data: str, method: str) -> float:
        """Average the squared error over the four horizons, here; NaN unless all were run."""
        if data == "Weather":
            errors = [self.value(f"weather-{h}", method, "mse") for h in STANDARD_HORIZONS]
            return float(pd.Series(errors).mean(skipna=False))
        own = self.ett[(self.ett["method"] == method) & (self.ett["features"] == "multivariate")]
        return _mean_of_horizons(own[own["dataset"] == data])

    def stated(self, data: str, model: str) -> float:
        """Average what a paper states in the same way; NaN unless it states all four."""
        own = self.published[self.published["lookback"].notna()]
        return _mean_of_horizons(own[(own["dataset"] == data) & (own["model"] == model)])


def _mean_of_horizons(rows: pd.DataFrame) -> float:
    means = rows.groupby("horizon")["mse"].mean().reindex(list(STANDARD_HORIZONS))
    return float(means.mean(skipna=False))


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def make_summary(rows: Rows) -> str:
    """Write a line for each task: ours, and the two best of the others."""
    lines = []
    for title, quantities in SUMMARY:
        values = {
            title_of(name): [rows.value(task, name, error) for task, error in quantities]
            for name in SHOWN
        }
        lines.append(_line(title, values))
    for title, data in (("Weather, mean of four horizons", FIELD[:1]), (", ".join(ETT), ETT)):
        values = {title_of(name): [rows.measured(one, name) for one in data] for name in SHOWN}
        for model in PUBLISHED:
            values[f"{model} (published)"] = [rows.stated(one, model) for one in data]
        lines.append(_line(title, values))
    return "".join(f"- {line}\n" for line in lines)


def _line(title: str, values: dict[str, list[float]]) -> str:
    """Name ours and the two best of the others, of those that have every value."""
    table = pd.DataFrame(values).T
    written = {
        name: " / ".join(f"{value:#.3g}" for value in row)
        for name, row in table.dropna().iterrows()
    }
    ours = [title_of(name) for name in SHOWN if name.startswith(INFORMER)]
    own = written.get(title_of(INFORMER))
    own = "not measured yet" if own is None else f"**{own}**"
    others = table.dropna().drop(index=ours, errors="ignore").sum(axis=1).sort_values().index[:2]
    beside = ", ".join(f"{name} {written[name]}" for name in others)
    return f"{title}: Informer {own}; best of the others {beside}."


def make_informed(rows: Rows) -> str:
    """Make the table of the tasks with covariates."""
    lines = []
    for name in SHOWN:
        cells = [rows.cell(task, name, error) for task, error, _ in INFORMED]
        if any(cells):
            lines.append([title_of(name), *cells])
    return make_table(["", *(title for _, _, title in INFORMED)], lines)


def make_alone(rows: Rows) -> str:
    """Make the table of the tasks without covariates, with what papers state."""
    lines = []
    for name in SHOWN:
        cells = [rows.cell(task, name, error) for task, error, _ in ALONE]
        cells += [_number(rows.measured(data, name)) for data in FIELD]
        if any(cells):
            lines.append([title_of(name), *cells])
    for model in PUBLISHED:
        cells = [_number(rows.stated(data, model)) for data in FIELD]
        lines.append([f"published: {model}", *("" for _ in ALONE), *cells])
    return make_table(["", *(title for _, _, title in ALONE), *FIELD], lines)


def make_readme(text: str, rows: Rows) -> str:
    """Put the table of the README between its marks; what papers state is in italics."""
    chosen = [one for one in (*INFORMED, *ALONE) if one[0] in TASKS_IN_README]
    lines = []
    for name in IN_README:
        title = OURS_IN_README.get(name) or title_of(name)
        cells = [rows.cell(task, name, error) for task, error, _ in chosen]
        for data in FIELD:
            here, paper = rows.measured(data, name), rows.stated(data, title_of(name))
            is_paper = pd.isna(here) and not pd.isna(paper) and name not in OURS_IN_README
            cells.append(f"*{paper:.3f}*" if is_paper else _number(here))
        lines.append([title, *cells])
    stated = [_number(rows.stated(data, "PatchTST/64")) for data in FIELD]
    lines.append(["PatchTST/64", *("" for _ in chosen), *(f"*{one}*" for one in stated)])
    table = make_table(["", *(title for _, _, title in chosen), *FIELD], lines)
    return between_marks(text, table, SCRIPT)


def make_page(text: str, rows: Rows) -> str:
    """Put summary and tables between the marks of docs/accuracy.md."""
    parts = make_parts(rows.covariates, list(TASKS))
    parts = f"## What each part is worth\n\nTest mean squared error.\n\n{parts}" if parts else ""
    mechanisms = make_mechanisms(rows.covariates, list(TASKS))
    if mechanisms:
        parts += f"\n{ON_MECHANISMS}\n{mechanisms}"
    body = [
        make_summary(rows),
        f"## With covariates\n\n{make_informed(rows)}",
        f"## Without covariates\n\n{make_alone(rows)}",
        parts,
    ]
    return between_marks(text, "\n".join(one for one in body if one), SCRIPT)


def make_task_pages(rows: Rows) -> dict[str, str]:
    """Make a page for each task that has rows; horizons of the same data share one."""
    pages: dict[str, str] = {}
    for task, make in TASKS.items():
        if not (rows.covariates["task"] == task).any():
            continue
        name, _, horizon = task.partition("-")
        function = make.func if isinstance(make, partial) else make
        head = f"# {name}\n\n{inspect.getdoc(function)}\n\n{LEGEND}"
        pages.setdefault(name, head)
        heading = f"\n## {horizon} steps ahead\n" if horizon else ""
        pages[name] += f"{heading}\n{make_methods(rows.covariates, task)}"
        intervals = make_intervals(rows.covariates, task)
        if intervals:
            pages[name] += f"\n## Intervals\n\n{intervals}"
    return pages


def write_pages(rows: Rows) -> None:
    """Write all pages and the table of the README."""
    PAGE.write_text(make_page(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
    README.write_text(make_readme(README.read_text(encoding="utf-8"), rows), encoding="utf-8")
    for name, text in make_task_pages(rows).items():
        (PAGES / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_pages(Rows.committed())
