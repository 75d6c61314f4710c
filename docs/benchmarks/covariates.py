"""Score the Informer and other forecasters where known covariates act, and where none do.

Each finished run (task, method, learning rate, seed, stride of the training windows) is a row of
covariates.csv and is not run again; one whose settings changed is. docs/accuracy.md is written from
that file by accuracy_page.py.

    python docs/benchmarks/covariates.py --data path/to/data --tasks vic_elec --methods informer
    python docs/benchmarks/covariates.py --data path/to/data --seeds 0 1 2
    python docs/benchmarks/covariates.py --smoke
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Read when torch is imported. Networks this small are slower on two threads than on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from contenders import Method, Run
from covariate_methods import METHODS, RATES, applies
from covariate_scores import score
from results import append, is_finished, read
from task import Task
from tasks import MADE_UP, TASKS

RESULTS = Path(__file__).with_suffix(".csv")
CELL = ("task", "method", "rate", "seed", "stride")
SCORES = ("mse", "mae", "mae_event", "mae_other", "pinball", "cover80", "cover90")
VALIDATION = ("val_mse", "val_pinball")
FIELDS = (
    *CELL,
    "lookback",
    "horizon",
    *VALIDATION,
    *SCORES,
    "windows",
    "seconds",
    "forecast_seconds",
    "epochs",
    "parameters",
    "settings",
    "versions",
)
SMOKE_METHODS = ("naive", *(name for name in METHODS if name.startswith(("informer", "fore"))))

Cell = dict[str, Any]


def read_rows(path: Path = RESULTS) -> Any:
    """Read the rows of covariates.csv, the last of each run."""
    return read(path, CELL, FIELDS)


def plan(arguments: argparse.Namespace) -> Iterator[tuple[Cell, Task, Method, Run]]:
    """Give the runs that were asked for: task by task, seed by seed, method by method."""
    rates = arguments.rates or RATES
    for name in arguments.tasks:
        task = (
            shorten(TASKS[name](arguments.data)) if arguments.smoke else TASKS[name](arguments.data)
        )
        step = arguments.stride or task.stride
        for seed in arguments.seeds:
            for chosen in arguments.methods:
                method = METHODS[chosen]
                if not applies(chosen, task) or (seed != arguments.seeds[0] and not method.seeded):
                    continue
                stride = step * method.coarser if step > 1 else step
                for rate in [one for one in method.rates if one is None or one in rates]:
                    run = Run(seed, rate, stride, 1 if arguments.smoke else None)
                    cell = {"task": name, "method": chosen, "rate": rate, "seed": seed}
                    cell |= {"stride": stride, "lookback": task.look_back}
                    cell |= {"settings": method.settings(task, run)}
                    yield cell, task, method, run


def shorten(task: Task) -> Task:
    """Cut a task down to what a smoke test needs: some windows to train, few to score."""
    first, end = task.ends
    return replace(task, stride=8, windows=4, ends=(first, end))


def run_cell(cell: Cell, task: Task, method: Method, run: Run) -> Cell:
    """Fit and score; give back the row."""
    # Of the processor: one thread, whatever else the machine does.
    start = time.process_time()
    fitted = method.fit(task, run)
    seconds = time.process_time() - start
    row = {**cell, "seconds": round(seconds, 1), "horizon": task.horizon}
    row |= {"epochs": fitted.epochs, "parameters": fitted.parameters}
    if fitted.validates:
        scores = score(task, "validation", fitted.forecast("validation"))
        row |= {f"val_{k}": round(v, 5) for k, v in scores.items() if f"val_{k}" in VALIDATION}
    start = time.process_time()
    forecasts = fitted.forecast("test")
    row |= {"forecast_seconds": round(time.process_time() - start, 2)}
    row |= {k: round(v, 5) for k, v in score(task, "test", forecasts).items()}
    names = ["informer-forecaster", "darts", "torch", *([method.needs] if method.needs else [])]
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return {**row, "windows": len(forecasts), "versions": versions}


def read_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="directory of the data; made-up tasks need none")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--rates", nargs="+", type=float, choices=RATES, help="all by default")
    parser.add_argument("--stride", type=int, help="rows between training windows of all tasks")
    parser.add_argument("--csv", type=Path, default=RESULTS)
    parser.add_argument("--again", action="store_true", help="run what is finished once more")
    parser.add_argument("--smoke", action="store_true", help="ours, one epoch, made-up data")
    arguments = parser.parse_args(argv)
    if arguments.tasks is None:
        arguments.tasks = list(TASKS if arguments.data else MADE_UP)
    if arguments.data is None and not set(arguments.tasks) <= set(MADE_UP):
        parser.error(f"--tasks: all but {', '.join(MADE_UP)} need --data.")
    if arguments.smoke:
        arguments.tasks, arguments.methods = ["promotions"], list(SMOKE_METHODS)
    return arguments


def run(arguments: argparse.Namespace) -> None:
    """Run what was asked for and has no row yet."""
    for cell, task, method, one in plan(arguments):
        rate = {"rate": ""} if cell["rate"] is None else {}
        finished = read_rows(arguments.csv).fillna({"rate": ""})
        if not arguments.again and is_finished(finished, {**cell, **rate}):
            continue
        row = run_cell(cell, task, method, one)
        append(arguments.csv, row, FIELDS)
        shown = {k: v for k, v in row.items() if k not in ("settings", "versions", "lookback")}
        print(*(f"{k}={v}" for k, v in shown.items() if v is not None), flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and run."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    arguments = read_arguments(argv)
    if not arguments.smoke or arguments.csv != RESULTS:
        run(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        arguments.csv = Path(folder) / RESULTS.name
        run(arguments)


if __name__ == "__main__":
    main()
