"""Compare InformerForecaster with other forecasters inside sktime, and write sktime_comparison.csv.

Data that ship with sktime, so nothing is downloaded. Each forecaster forecasts 12 months from every
origin of the held-out end. Run from anywhere: ``python docs/benchmarks/sktime_comparison.py``, with
names of forecasters to run these anew; the table of docs/sktime.md is printed at the end. Takes
some minutes on two cores.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Read when torch is imported. Networks this small are slower on two threads than on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
import torch
from sklearn.preprocessing import StandardScaler
from sktime.datasets import load_airline, load_hierarchical_sales_toydata
from sktime.forecasting.compose import TransformedTargetForecaster
from sktime.forecasting.ets import AutoETS
from sktime.forecasting.ltsf import LTSFDLinearForecaster, LTSFTransformerForecaster
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.naive import NaiveForecaster
from sktime.forecasting.theta import ThetaForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError
from sktime.performance_metrics.forecasting.probabilistic import EmpiricalCoverage
from sktime.split import ExpandingWindowSplitter
from sktime.transformations.adapt import TabularToSeriesAdaptor
from sktime.transformations.hierarchical.aggregate import Aggregator

from informer_forecaster import InformerForecaster

RESULTS = Path(__file__).with_suffix(".csv")
MONTHS = 12
EPOCHS = 100  # of sktime's own networks
SEEDS = (0, 1, 2)
STEP = 2  # months between origins

Make = Callable[[int, int], Any]


def informer(look_back: int, seed: int) -> InformerForecaster:
    """Make the Informer with its defaults."""
    return InformerForecaster(look_back, random_state=seed)


def scaled(forecaster: Any, seed: int) -> TransformedTargetForecaster:
    """Add the scaling that sktime's own deep forecasters leave to the user, and seed them."""
    torch.manual_seed(seed)
    return TransformedTargetForecaster(
        [("scale", TabularToSeriesAdaptor(StandardScaler())), ("forecast", forecaster)]
    )


def transformer(look_back: int, seed: int) -> TransformedTargetForecaster:
    """Make sktime's Transformer with the Informer's sizes."""
    sizes = {"d_model": 64, "n_heads": 4, "d_ff": 256, "e_layers": 2, "d_layers": 1}
    # Its calendar features name frequencies that pandas 3 no longer reads.
    training = {"num_epochs": EPOCHS, "batch_size": 32, "temporal_encoding": False}
    lengths = (look_back, look_back // 2, MONTHS)
    return scaled(LTSFTransformerForecaster(*lengths, **sizes, **training), seed)


def linear(look_back: int, seed: int) -> TransformedTargetForecaster:
    """Make sktime's DLinear."""
    network = LTSFDLinearForecaster(look_back, MONTHS, num_epochs=EPOCHS, batch_size=32)
    return scaled(network, seed)


# name -> (how to make it, whether each origin refits it, seeds)
FORECASTERS: dict[str, tuple[Make, bool, tuple[int, ...]]] = {
    "InformerForecaster": (informer, False, SEEDS),
    "LTSFTransformerForecaster": (transformer, False, SEEDS),
    "LTSFDLinearForecaster": (linear, False, SEEDS),
    "AutoETS": (lambda *_: AutoETS(auto=True, sp=MONTHS), True, (0,)),
    "ThetaForecaster": (lambda *_: ThetaForecaster(sp=MONTHS), True, (0,)),
    "NaiveForecaster, seasonal": (lambda *_: NaiveForecaster("last", sp=MONTHS), True, (0,)),
}

# name -> (how to load it, rows of training, look-back of the networks)
DATA: dict[str, tuple[Callable[[], Any], int, int]] = {
    "airline": (load_airline, 108, 24),
    "sales, 7 series": (
        lambda: Aggregator().fit_transform(load_hierarchical_sales_toydata()),
        36,
        12,
    ),
}


def score(forecaster: Any, refit: bool, y: Any, training: int) -> dict[str, Any]:
    """Backtest one forecaster: mean absolute scaled error, coverage, seconds."""
    cv = ExpandingWindowSplitter(range(1, MONTHS + 1), initial_window=training, step_length=STEP)
    scoring: list[Any] = [MeanAbsoluteScaledError(sp=MONTHS)]
    # Intervals of AutoETS fail in sktime 1.2 with statsmodels 0.15.
    if forecaster.get_tag("capability:pred_int") and not isinstance(forecaster, AutoETS):
        scoring.append(EmpiricalCoverage(coverage=0.9))
    start = time.perf_counter()
    strategy = "refit" if refit else "no-update_params"
    table = evaluate(forecaster, cv, y, strategy=strategy, scoring=scoring, error_score="raise")
    row: dict[str, Any] = {"strategy": strategy, "origins": len(table)}
    row["MASE"] = round(float(table["test_MeanAbsoluteScaledError"].mean()), 3)
    if len(scoring) > 1:
        row["coverage of 90 %"] = round(float(table["test_EmpiricalCoverage"].mean()), 3)
    return {**row, "seconds": round(time.perf_counter() - start, 1)}


def run(chosen: Sequence[str]) -> pd.DataFrame:
    """Score forecasters on all data; one row a seed. Rows of the others stay."""
    rows: list[Any] = []
    known = pd.read_csv(RESULTS) if set(chosen) < set(FORECASTERS) else pd.DataFrame()
    for data, (load, training, look_back) in DATA.items():
        y = load()
        for name, (make, refit, seeds) in FORECASTERS.items():
            if name not in chosen:
                stays = (known["data"] == data) & (known["forecaster"] == name)
                rows += known[stays].to_dict("records")
                continue
            for seed in seeds:
                scores = score(make(look_back, seed), refit, y, training)
                rows.append({"data": data, "forecaster": name, "seed": seed, **scores})
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def summary(results: pd.DataFrame) -> str:
    """Write the table of docs/sktime.md: means over the seeds, and the range of the error."""
    lines = [
        "| data | forecaster | MASE (lowest to highest seed) | coverage of 90 % | seconds |",
        "|---|---|---|---|---|",
    ]
    for (data, name), rows in results.groupby(["data", "forecaster"], sort=False):
        errors, coverage = rows["MASE"], rows["coverage of 90 %"].mean()
        spread = f" ({errors.min():.2f} to {errors.max():.2f})" if len(rows) > 1 else ""
        covered = "none" if pd.isna(coverage) else f"{coverage:.0%}"
        lines.append(
            f"| {data} | {name} | {errors.mean():.2f}{spread} | {covered} | "
            f"{rows['seconds'].mean():.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    # sktime announces its release 1.3 with every forecaster of its own, whatever the filters say.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    run(sys.argv[1:] or list(FORECASTERS)).to_csv(RESULTS, index=False)
    print(summary(pd.read_csv(RESULTS)))
