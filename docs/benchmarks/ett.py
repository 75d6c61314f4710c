"""Score the Informer, its ablations and Darts' other forecasters on the ETT data sets.

The standard protocol: all seven columns, scaled by the training part, every test window at stride
1, mean squared and absolute error on scaled data. Hyper-parameters are fixed here for all data
sets; a network keeps the weights of its best validation epoch. Each finished cell is a row of
ett.csv and is not run again; docs/accuracy.md is written from that file.

    python docs/benchmarks/ett.py --data path/to/ett --horizons 96 --methods informer dlinear
"""

import argparse
import csv
import logging
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

# Read when torch is imported. Networks this small are slower on two threads than on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.datasets import ETTh1Dataset, ETTh2Dataset, ETTm1Dataset
from darts.models import (
    DLinearModel,
    GlobalNaiveSeasonal,
    NLinearModel,
    TiDEModel,
    TransformerModel,
)
from pytorch_lightning.callbacks import EarlyStopping
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from informer_forecaster import InformerModel

RESULTS = Path(__file__).with_suffix(".csv")
PAGE = Path(__file__).parents[1] / "accuracy.md"
CELL = ["data", "method", "look_back", "horizon", "seed"]
FIELDS = [*CELL, "validation_mse", "mse", "mae", "seconds", "parameters"]
HOURS = {"train": 8640, "validation": 2880, "test": 2880}
DATA = {"ETTh1": (ETTh1Dataset, 1), "ETTh2": (ETTh2Dataset, 1), "ETTm1": (ETTm1Dataset, 4)}
PATIENCE = 2

INFORMER = {
    "patch_length": 12,
    "channel_independent": True,
    "d_model": 32,
    "dim_feedforward": 64,
    "dropout": 0.1,
    "optimizer_kwargs": {"lr": 5e-4},
}
ABLATIONS: dict[str, dict[str, object]] = {
    "informer": {},
    "informer, full attention": {"attention": "full"},
    "informer, no distilling": {"distil": False},
    "informer, no start token": {"start_token_length": 0},
    "informer, no linear map": {"lookback_skip": False},
    "informer, channels mixed": {"channel_independent": False},
    "informer, no instance norm": {"use_reversible_instance_norm": False},
    "informer, point tokens": {"patch_length": 1, "channel_independent": False},
    "informer, point tokens, moment": {
        "patch_length": 1,
        "channel_independent": False,
        "sparsity": "moment",
    },
}


def network(cls: type, **own: object) -> Callable[..., object]:
    """Make a function that builds one of Darts' or our networks for a cell."""

    def build(look_back: int, horizon: int, **training: object) -> object:
        return cls(look_back, horizon, **{**own, **training})

    return build


def naive(steps: int) -> Callable[..., object]:
    """Make a function that builds the forecaster that repeats the last ``steps`` values."""

    def build(look_back: int, horizon: int, **training: object) -> object:  # noqa: ARG001
        quiet = {**training["pl_trainer_kwargs"], "callbacks": []}
        return GlobalNaiveSeasonal(steps, 1, pl_trainer_kwargs=quiet)

    return build


METHODS = {name: network(InformerModel, **{**INFORMER, **own}) for name, own in ABLATIONS.items()}
METHODS |= {
    "paper": InformerModel.paper,
    "repeat last value": naive(1),
    "repeat last day": naive(24),
    "dlinear": network(DLinearModel, shared_weights=True, optimizer_kwargs={"lr": 5e-4}),
    "nlinear": network(NLinearModel, shared_weights=True, optimizer_kwargs={"lr": 5e-4}),
    "tide": network(TiDEModel, use_reversible_instance_norm=True),
    "transformer": network(
        TransformerModel, d_model=32, dim_feedforward=64, use_reversible_instance_norm=True
    ),
}


def load_parts(name: str, directory: Path | None, look_back: int) -> list[TimeSeries]:
    """Training, validation and test part; the later two begin with the look-back they need."""
    cls, per_hour = DATA[name]
    dataset = cls()
    if directory is not None:
        dataset._root_path = directory
    train, validation, test = (hours * per_hour for hours in HOURS.values())
    series = dataset.load().astype(np.float32)[: train + validation + test]
    series = Scaler(StandardScaler()).fit(series[:train]).transform(series)
    end = train + validation
    return [series[:train], series[train - look_back : end], series[end - look_back :]]


def score(model: object, part: TimeSeries, look_back: int, horizon: int) -> tuple[float, float]:
    """Mean squared and absolute error over every window of ``part``."""
    forecasts = model.historical_forecasts(
        part,
        start=look_back,
        start_format="position",
        forecast_horizon=horizon,
        retrain=False,
        last_points_only=False,
        predict_kwargs={"batch_size": 512},
    )
    actual = np.lib.stride_tricks.sliding_window_view(part.values()[look_back:], horizon, axis=0)
    squared = absolute = 0.0
    for forecast, truth in zip(forecasts, actual, strict=True):
        error = forecast.values() - truth.T
        squared += float(np.square(error).mean())
        absolute += float(np.abs(error).mean())
    return squared / len(forecasts), absolute / len(forecasts)


def run_cell(cell: dict[str, object], directory: Path | None, epochs: int) -> dict[str, object]:
    """Train and score one method on one data set, look-back, horizon and seed."""
    look_back, horizon = int(cell["look_back"]), int(cell["horizon"])
    train, validation, test = load_parts(str(cell["data"]), directory, look_back)
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
    stop = EarlyStopping("val_loss", patience=PATIENCE)
    training = {"pl_trainer_kwargs": {"accelerator": "cpu", **quiet, "callbacks": [stop]}}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if "repeat" in str(cell["method"]):
            model = METHODS[cell["method"]](look_back, horizon, **training).fit(train)
        else:
            training |= {"n_epochs": epochs, "random_state": cell["seed"], "work_dir": folder}
            training |= {"save_checkpoints": True, "model_name": "cell", "force_reset": True}
            model = METHODS[cell["method"]](look_back, horizon, **training)
            model.fit(train, val_series=validation, load_best=True)
        seconds = time.perf_counter() - start
        validation_mse, _ = score(model, validation, look_back, horizon)
        mse, mae = score(model, test, look_back, horizon)
    results = {
        "validation_mse": round(validation_mse, 5),
        "mse": round(mse, 5),
        "mae": round(mae, 5),
        "seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in model.model.parameters()),
    }
    return {**cell, **results}


def done() -> list[dict[str, str]]:
    """Rows of the cells that were run."""
    if not RESULTS.exists():
        return []
    with RESULTS.open(newline="") as file:
        return list(csv.DictReader(file))


def append(row: dict[str, object]) -> None:
    """Add the row of a finished cell, so that an interrupted run loses one cell at most."""
    is_new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def write_page() -> None:
    """Write the table of docs/accuracy.md anew from the rows; what was not run is not there."""
    table = pd.read_csv(RESULTS)
    groups = table.groupby(["data", "horizon", "look_back", "method"], sort=False)
    rows = groups.agg(
        mse=("mse", "mean"), mae=("mae", "mean"), seeds=("seed", "nunique"),
        seconds=("seconds", "mean"), parameters=("parameters", "first"),
    ).reset_index()  # fmt: skip
    rows = rows.sort_values(["data", "horizon", "mse"])
    lines = [
        "| data | horizon | look-back | method | MSE | MAE | seeds | training s | parameters |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.data} | {r.horizon} | {r.look_back} | {r.method} | {r.mse:.3f} | {r.mae:.3f} "
        f"| {r.seeds} | {r.seconds:.0f} | {r.parameters} |"
        for r in rows.itertuples()
    ]
    head, marker, _ = PAGE.read_text().partition("<!-- table -->\n")
    PAGE.write_text(head + marker + "\n".join(lines) + "\n")


def main() -> None:
    """Run the cells that were asked for and not run yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="directory of the CSV files")
    parser.add_argument("--sets", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--horizons", nargs="+", type=int, default=[96, 192, 336, 720])
    parser.add_argument("--look-back", type=int, default=336)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=6, help="most passes over the data")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")

    finished = [{name: row[name] for name in CELL} for row in done()]
    values = [
        (data, method, arguments.look_back, horizon, seed)
        for data in arguments.sets
        for horizon in arguments.horizons
        for seed in arguments.seeds
        for method in arguments.methods
    ]
    cells = [dict(zip(CELL, cell, strict=True)) for cell in values]
    cells = [c for c in cells if {k: str(v) for k, v in c.items()} not in finished]
    print(f"{len(cells)} cells to run on {platform.machine()}, {os.cpu_count()} cores")
    for cell in tqdm(cells):
        append(run_cell(cell, arguments.data, arguments.epochs))
    write_page()


if __name__ == "__main__":
    main()
