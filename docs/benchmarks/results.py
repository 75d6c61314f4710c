"""The rows of the accuracy benchmarks: one for each finished cell, added when it finishes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
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


def read(path: Path, cell: Sequence[str] = CELL, fields: Sequence[str] = FIELDS) -> pd.DataFrame:
    """Read the rows, the last of each cell: a recipe that changed is run again below its old row.

    Parameters
    ----------
    path : pathlib.Path
        The CSV.
    cell, fields : sequence of str
        Columns that name a cell, and all columns; by default those of ett.py.

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
        return pd.DataFrame(columns=list(fields))
    return pd.read_csv(path).drop_duplicates(list(cell), keep="last").reset_index(drop=True)


def is_finished(rows: pd.DataFrame, cell: dict[str, Any]) -> bool:
    """Tell whether the rows hold a cell, run with the settings that it has now."""
    same = [rows[name].astype(str) == str(value) for name, value in cell.items()]
    return bool(pd.concat(same, axis=1).all(axis=1).any())


def append(path: Path, row: dict[str, Any], fields: Sequence[str] = FIELDS) -> None:
    """Add the row of a finished cell, so that an interrupted run loses one cell at most."""
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(fields), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)
