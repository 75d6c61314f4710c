"""The rows of the accuracy benchmark: one for each finished cell, added when it finishes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd

CELL = ("dataset", "features", "horizon", "method", "seed")
FIELDS = (
    *CELL,
    "lookback",
    "mse",
    "mae",
    "val_mse",
    "windows",
    "seconds",
    "forecast_seconds",
    "parameters",
    "epochs",
    "settings",
    "versions",
)


def read(path: Path) -> pd.DataFrame:
    """Read the rows, the last of each cell: a recipe that changed is run again below its old row.

    Columns
    -------
    windows
        Test windows that were scored; all of them unless the method is slow.
    seconds, forecast_seconds
        Training, and forecasting the test windows.
    epochs
        Passes over the training part, those without a better validation error included.
    settings
        Every argument of the model, as JSON.
    """
    if not path.exists():
        return pd.DataFrame(columns=list(FIELDS))
    return pd.read_csv(path).drop_duplicates(list(CELL), keep="last").reset_index(drop=True)


def is_finished(rows: pd.DataFrame, cell: dict[str, Any]) -> bool:
    """Tell whether the rows hold a cell, run with the settings that it has now."""
    wanted = [*CELL, "lookback", "settings"]
    same = [rows[name].astype(str) == str(cell[name]) for name in wanted]
    return bool(pd.concat(same, axis=1).all(axis=1).any())


def append(path: Path, row: dict[str, Any]) -> None:
    """Add the row of a finished cell, so that an interrupted run loses one cell at most."""
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)
