"""Write docs/benchmarks.md and its figures from the CSV files beside this script.

Run from anywhere: ``python docs/benchmarks/pages.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from page_texts import (
    ATTENTION,
    DARTS,
    EPOCH,
    GROWTH,
    INTRODUCTION,
    PEER,
    PROFILE,
    SELECTION,
    STEP,
)
from tables import make_table

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "benchmarks.md"
FIGURES = FOLDER.parent / "figures"
FILES = ("attention_speed", "training_step", "peer_speed", "epoch_speed", "selection")
OURS = PAPERS, OWN = "ours, sampled", "ours, moment"  # the paper's form, and the package's own
STYLES = {
    PAPERS: ("tab:blue", "-", PAPERS),
    OWN: ("tab:blue", ":", OWN + " (default)"),
    "full": ("tab:orange", "-", "torch's fused full attention"),
    "textbook": ("tab:green", "-", "textbook, keys sampled for each query"),
}


def read_results() -> dict[str, pd.DataFrame]:
    """Read the CSV files that there are."""
    paths = {name: FOLDER / f"{name}.csv" for name in FILES}
    return {name: pd.read_csv(path) for name, path in paths.items() if path.exists()}


def make_attention_tables(results: pd.DataFrame) -> str:
    """Make the tables of time and of memory, without and with a mask."""
    methods = ["full", *OURS, "textbook"]
    text = ""
    for causal, title in ((False, "Without a mask"), (True, "Causal")):
        table = results[results["causal"] == causal]
        time, narrow, memory = (
            table[table["heads"] == heads]
            .pivot_table(index="length", columns="method", values=value, dropna=False)
            .reindex(columns=methods)
            for heads, value in (
                ("8 of 64", "milliseconds"),
                ("4 of 16", "milliseconds"),
                ("8 of 64", "memory"),
            )
        )
        columns = {f"full / {name}": time["full"] / time[name] for name in methods[1:]}
        columns |= {f"4 of 16: full / {name}": narrow["full"] / narrow[name] for name in OURS}
        columns |= {"full, ms": time["full"]}
        columns |= {f"memory: {name}": memory[name] for name in methods}
        shown = pd.DataFrame(columns, index=time.index, dtype=float)
        rows = ([length, *row] for length, row in shown.iterrows())
        text += f"{title}:\n\n{make_table(['L', *shown], rows)}\n"
    return text


def make_step_table(results: pd.DataFrame) -> str:
    """Make the table of training steps at the paper's size."""
    table = _pivot(results, "paper", "method")
    rows = (
        [
            name,
            row["ours"],
            row["ours, full attention"] / row["ours"],
            row["textbook"] / row["ours"],
        ]
        for name, row in table.iterrows()
    )
    header = ["input/start/output", "ours, ms", "ours with full attention / ours"]
    return make_table([*header, "textbook / ours"], rows)


def make_growth_table(results: pd.DataFrame) -> str:
    """Make the table of growth."""
    table = _pivot(results, "growth", "quantity")
    columns = ["microseconds a token", "kilobytes a token"]
    rows = ([name, *row[columns]] for name, row in table.iterrows())
    return make_table(["growing, steps", *columns], rows)


def make_profile_table(results: pd.DataFrame) -> str:
    """Make the table of what a step is spent on."""
    table = _pivot(results, "profile", "quantity")
    return make_table(["", *table.columns], ([name, *row] for name, row in table.iterrows()))


def make_darts_table(results: pd.DataFrame) -> str:
    """Make the table of what Darts adds."""
    table = _pivot(results, "darts", "method", index=["quantity"])
    columns = ["bare network", "through Darts"]
    rows = (
        [name, *row[columns], row[columns[1]] / row[columns[0]]] for name, row in table.iterrows()
    )
    return make_table(["", *columns, "Darts / bare"], rows)


def make_peer_table(results: pd.DataFrame) -> str:
    """Make the table of the peer."""
    table = results.pivot_table(index=["quantity", "setting"], columns="method", values="value")
    rows = (
        [quantity, setting, row["ours"], row["peer"], row["peer"] / row["ours"]]
        for (quantity, setting), row in table.sort_index(level=0, sort_remaining=False).iterrows()
    )
    return make_table(["", "input/output", "ours", "peer", "peer / ours"], rows)


def make_epoch_table(results: pd.DataFrame) -> str:
    """Make the table of an epoch."""
    table = results.pivot_table(index="setting", columns="method", values="value", sort=False)
    rows = (
        [setting, row["ours"], row["TiDE"], row["ours"] / row["TiDE"]]
        for setting, row in table.iterrows()
    )
    return make_table(["look-back/horizon", "ours, s", "TiDE, s", "ours / TiDE"], rows)


def make_selection_table(results: pd.DataFrame) -> str:
    """Make the tables of the rankings and of the first-order term."""
    found, *distances = (
        "share of the active queries found",
        "distance to full attention, mean",
        "distance to full attention, first order",
    )
    rows = results[results["part"] == "network"]
    table = rows.pivot_table(
        index="setting", columns=["quantity", "method"], values="value", sort=False
    ).astype(float)
    columns = [(found, "sampled"), (found, "moment")]
    columns += [(name, method) for name in distances for method in ("exact", "sampled", "moment")]
    short = {found: "found", distances[0]: "distance", distances[1]: "distance, first order"}
    header = ["", *(f"{short[name]}: {method}" for name, method in columns)]
    text = make_table(header, ([name, *row[columns]] for name, row in table.iterrows()))
    errors = _pivot(results, "error", "method")
    rows = ([name, *row] for name, row in errors.iterrows())
    text += f"\n{make_table(['test error', *errors.columns], rows)}"
    time = _pivot(results, "time", "method")
    header = ["L", "mean, ms", "with the first-order term / mean"]
    rows = ([n, row["mean"], row["first order"] / row["mean"]] for n, row in time.iterrows())
    return f"{text}\n{make_table(header, rows)}"


def _pivot(
    results: pd.DataFrame, part: str, columns: str, index: Iterable[str] = ("setting",)
) -> pd.DataFrame:
    rows = results[results["part"] == part]
    table = rows.pivot_table(index=list(index), columns=columns, values="value", sort=False)
    return table.astype(float)


def make_section(
    text: str, results: pd.DataFrame | None, make: Callable[[pd.DataFrame], str]
) -> str:
    """Make a section: ``text``, then a table for each device and number of threads."""
    section = text + "\n"
    devices = () if results is None else tuple(results["device"].unique())
    if results is not None:
        groups = results.groupby(["machine", "device", "threads"], sort=False)
        for (machine, device, threads), rows in groups:
            count = f", {threads} thread{'s' if threads > 1 else ''}" if device == "cpu" else ""
            section += f"**{machine}{count}**\n\n{make(rows).rstrip()}\n\n"
    missing = [name for device, name in (("cpu", "CPU"), ("cuda", "GPU")) if device not in devices]
    return section + "".join(f"{name}: not measured.\n\n" for name in missing)


def make_page(results: dict[str, pd.DataFrame]) -> str:
    """Make the page from the results by the name of their file."""
    sections = (
        (ATTENTION, "attention_speed", make_attention_tables),
        (STEP, "training_step paper", make_step_table),
        (GROWTH, "training_step growth", make_growth_table),
        (PROFILE, "training_step profile", make_profile_table),
        (DARTS, "training_step darts", make_darts_table),
        (PEER, "peer_speed", make_peer_table),
        (EPOCH, "epoch_speed", make_epoch_table),
        (SELECTION, "selection", make_selection_table),
    )
    parts = [make_section(text, _rows_of(results, name), make) for text, name, make in sections]
    return "\n".join([INTRODUCTION, *parts]).rstrip() + "\n"


def _rows_of(results: dict[str, pd.DataFrame], name: str) -> pd.DataFrame | None:
    """Rows of a file, or of a part of it: not every machine measured all parts."""
    file, _, part = name.partition(" ")
    rows = results.get(file)
    return rows[rows["part"] == part] if rows is not None and part else rows


def draw(results: pd.DataFrame, column: str, label: str, path: Path) -> None:
    """Draw a column against the length, on logarithmic axes."""
    first = results[results["threads"] == results["threads"].iloc[0]]
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for panel, causal in zip(panels, (False, True), strict=True):
        shown = first[(first["causal"] == causal) & first[column].notna()]
        for method, (colour, line, name) in STYLES.items():
            rows = shown[shown["method"] == method]
            panel.loglog(rows["length"], rows[column], line, color=colour, marker="o", label=name)
        panel.set_title("causal" if causal else "without a mask")
        panel.set_xlabel("queries = keys")
        lengths = sorted(shown["length"].unique())
        panel.set_xticks(lengths, labels=lengths)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(label)
    panels[0].legend(fontsize="small")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Write page and figures."""
    results = read_results()
    PAGE.write_text(make_page(results), encoding="utf-8")
    if "attention_speed" in results:
        attention = results["attention_speed"]
        for name in ("machine", "device", "heads"):
            attention = attention[attention[name] == attention[name].iloc[0]]
        draw(attention, "milliseconds", "milliseconds", FIGURES / "attention_time.png")
        label = "peak memory / (q, k and v)"
        draw(attention, "memory", label, FIGURES / "attention_memory.png")


if __name__ == "__main__":
    main()
