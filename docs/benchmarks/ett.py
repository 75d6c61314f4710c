"""Score the Informer, its variants and other forecasters on the ETT data sets.

Each finished cell (data set, horizon, method, seed) is a row of ett.csv and is not run again; a
recipe that changed is. docs/accuracy/ett.md and its figures are written from that file.

    python docs/benchmarks/ett.py --data path/to/ett --horizons standard --methods informer dlinear
    python docs/benchmarks/ett.py --data path/to/ett --horizons 96 --ablation distilling
    python docs/benchmarks/ett.py --smoke
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Read when torch is imported. Networks this small are slower on two threads than on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from ablations import ABLATIONS, find
from ett_page import PAGE, write_page
from methods import METHODS
from protocol import (
    DATASETS,
    Parts,
    columns_of,
    dataset_of,
    load_parts,
    score,
    validation_windows,
)
from pytorch_lightning.callbacks import EarlyStopping
from recipe import OURS, PATIENCE, Method, is_installed
from results import append, is_finished, read
from tqdm import tqdm

RESULTS = Path(__file__).with_suffix(".csv")
SMOKE = {"look_back": 32, "windows": 4}
# The paper's width alone would take most of the minute.
SMOKE_WIDTHS = {"d_model": 32, "dim_feedforward": 64}
QUIET = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
PREDICT = {"retrain": False, "predict_kwargs": {"batch_size": 512}}
# Arguments that say where and how a model is run, not what it is; the rest are its settings.
ENVIRONMENT = ("pl_trainer_kwargs", "work_dir", "model_name", "random_state", "save_checkpoints")

Cell = dict[str, Any]


def describe(method: Method, horizon: int) -> str:
    """Write all arguments of a method's model, and its stride if not 1, as JSON."""
    arguments = {
        name: value
        for name, value in method.build(horizon, {}).model_params.items()
        if name not in ENVIRONMENT
    }
    if method.stride > 1:
        arguments["stride"] = method.stride
    return json.dumps(arguments, default=_name_of)


def _name_of(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def fit(
    method: Method, cell: Cell, parts: Parts, folder: str, accelerator: str = "cpu"
) -> tuple[Any, int | None]:
    """Train a method's model, where it is trained once; its best validation epoch, and epochs."""
    horizon = cell["horizon"]
    if method.kind == "refitted":
        return method.build(horizon, {}), None
    train = columns_of(parts.train, method.apart)
    trainer: dict[str, Any] = {**QUIET, "accelerator": accelerator}
    if method.kind == "naive":
        return method.build(horizon, {"pl_trainer_kwargs": trainer}).fit(train), None
    if cell["dataset"] == "waves":
        trainer["limit_train_batches"] = 2
    environment = {"random_state": cell["seed"], "work_dir": folder, "model_name": "cell"}
    # Ours stops early and keeps the best weights by itself.
    is_ours = method.make in OURS
    if not is_ours:
        trainer["callbacks"] = [EarlyStopping("val_loss", patience=PATIENCE)]
    environment |= {"pl_trainer_kwargs": trainer, "save_checkpoints": not is_ours}
    model = method.build(horizon, environment)
    if not method.given:
        whole = train[0].append(parts.validation[method.look_back :])
        return model.fit(whole, stride=method.stride), model.epochs_trained
    length = max(method.look_back + horizon, model.min_train_series_length)
    windows = validation_windows(parts.validation, length, method.windows)
    validation = [one for window in windows for one in columns_of(window, method.apart)]
    model.fit(train, val_series=validation, stride=method.stride)
    epochs = model.epochs_trained
    return model if is_ours else model.load_from_checkpoint("cell", folder, best=True), epochs


def run_cell(cell: Cell, method: Method, parts: Parts, accelerator: str = "cpu") -> Cell:
    """Train and score one method on one data set, horizon and seed; give back its row."""
    horizon, look_back = cell["horizon"], method.look_back
    options: dict[str, Any] = {"windows": method.windows, "apart": method.apart}
    options |= {"num_samples": method.samples}
    is_refitted = method.kind == "refitted"
    options |= {"retrain": True, "train_length": look_back} if is_refitted else PREDICT
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model, epochs = fit(method, cell, parts, folder, accelerator)
    seconds = time.perf_counter() - start
    row = {**cell, "epochs": epochs}
    if not is_refitted:
        row |= {"seconds": round(seconds, 1)}
        row |= {"parameters": sum(p.numel() for p in model.model.parameters())}
    # Nothing is chosen for what is fitted to each window, so nothing is validated; what has learnt
    # from the validation part cannot be.
    if not is_refitted and method.given:
        validation = score(model, parts.validation, look_back, horizon, **options)
        row |= {"val_mse": round(validation.mse, 5)}
    test = score(model, parts.test, look_back, horizon, **options)
    row |= {"mse": round(test.mse, 5), "mae": round(test.mae, 5), "windows": test.windows}
    return {**row, "forecast_seconds": round(test.seconds, 2), "versions": versions_for(method)}


def versions_for(method: Method) -> str:
    """Name the versions that decide a method's results."""
    names = ["informer-forecaster", "darts", "torch", *([method.needs] if method.needs else [])]
    return ", ".join(f"{name} {version(name)}" for name in names)


def plan(arguments: argparse.Namespace) -> list[tuple[Cell, Method]]:
    """List the cells that were asked for, with the settings that they have now.

    Raises
    ------
    ValueError
        If a method or one of its arguments is none, or a method takes one column and is given all.
    """
    cells = []
    for name in dict.fromkeys(arguments.methods):
        method = find(name)
        if method.kind == "refitted" and arguments.features != "univariate":
            raise ValueError(f"{name!r} forecasts one column: add --features univariate.")
        if method.kind == "network" and arguments.epochs is not None:
            changed = {**method.arguments, "n_epochs": arguments.epochs}
            method = replace(method, arguments=changed)
        if arguments.smoke:
            widths = SMOKE_WIDTHS if name.startswith("paper") else {}
            method = replace(method, **SMOKE, arguments={**method.arguments, **widths})
        seeds = arguments.seeds if method.kind == "network" else [0]
        for dataset in arguments.datasets:
            for horizon in horizons_of(arguments, dataset):
                recipe = method.on(dataset, arguments.features, horizon)
                settings = describe(recipe, horizon)
                cell = {"dataset": dataset, "features": arguments.features, "horizon": horizon}
                cell |= {"method": name, "lookback": recipe.look_back, "settings": settings}
                cells += [({**cell, "seed": seed}, recipe) for seed in seeds]
    # Seeds and data sets before methods: what is compared is finished together.
    order = {name: index for index, name in enumerate(arguments.datasets)}
    return sorted(cells, key=lambda c: (c[0]["seed"], order[c[0]["dataset"]], c[0]["horizon"]))


def horizons_of(arguments: argparse.Namespace, dataset: str) -> list[int]:
    """Resolve ``paper``, ``standard`` and numbers for a data set."""
    found: list[int] = []
    for item in arguments.horizons:
        found += [int(item)] if item.isdigit() else dataset_of(dataset).horizons(item)
    return sorted(set(found))


def _horizon(text: str) -> str:
    if text not in ("paper", "standard") and not (text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be paper, standard or a number; got {text!r}")
    return text


def read_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="directory of the CSV files; else downloaded")
    parser.add_argument(
        "--datasets", nargs="+", default=list(DATASETS), choices=[*DATASETS, "Weather"]
    )
    parser.add_argument("--methods", nargs="+", help=f"of {', '.join(METHODS)}; name[option=value]")
    parser.add_argument("--ablation", choices=list(ABLATIONS), help="the methods of an ablation")
    parser.add_argument("--horizons", nargs="+", type=_horizon, default=["standard"])
    parser.add_argument(
        "--features", default="multivariate", choices=["multivariate", "univariate"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="most passes over the data, for all networks")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--accelerator", default="cpu", help="of the networks: cpu or gpu")
    parser.add_argument("--csv", type=Path, default=RESULTS, help="the rows; a page lies beside it")
    parser.add_argument(
        "--smoke", action="store_true", help="every method, one epoch, made-up data"
    )
    arguments = parser.parse_args(argv)
    if arguments.methods is None and arguments.ablation is None:
        takes_all = arguments.features == "multivariate"
        arguments.methods = [
            name
            for name, one in METHODS.items()
            if is_installed(one) and not (takes_all and one.kind == "refitted")
        ]
        absent = [name for name, one in METHODS.items() if not is_installed(one)]
        print("left out, as their package is missing:", ", ".join(absent) or "none")
    arguments.methods = [*(arguments.methods or []), *ABLATIONS.get(arguments.ablation, [])]
    if arguments.smoke:
        arguments.datasets, arguments.horizons, arguments.epochs = ["waves"], ["paper"], 1
    try:
        arguments.cells = plan(arguments)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def run(arguments: argparse.Namespace) -> None:
    """Run the cells that were asked for and not run yet, then write the page."""
    arguments.csv.parent.mkdir(parents=True, exist_ok=True)
    finished = read(arguments.csv)
    cells = [(c, m) for c, m in arguments.cells if not is_finished(finished, c)]
    progress = tqdm(cells)
    for cell, method in progress:
        progress.set_description(f"{cell['dataset']} {cell['horizon']} {cell['method']}")
        parts = load_parts(
            dataset_of(cell["dataset"]),
            arguments.data,
            method.look_back,
            univariate=cell["features"] == "univariate",
        )
        append(arguments.csv, run_cell(cell, method, parts, arguments.accelerator))
    page = PAGE if arguments.csv == RESULTS else arguments.csv.with_suffix(".md")
    write_page(read(arguments.csv), page)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and run."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    arguments = read_arguments(argv)
    torch.set_num_threads(arguments.threads)
    is_thrown_away = arguments.smoke and arguments.csv == RESULTS
    with tempfile.TemporaryDirectory() if is_thrown_away else nullcontext() as folder:
        if folder is not None:
            arguments.csv = Path(folder) / RESULTS.name
        run(arguments)


if __name__ == "__main__":
    main()
