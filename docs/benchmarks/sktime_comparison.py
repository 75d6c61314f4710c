"""Compare InformerForecaster with other forecasters inside sktime, and write sktime_comparison.csv.

Data that ship with sktime, so nothing is downloaded. Each forecaster forecasts the horizon from
every second step of the held-out end. Run from anywhere:
``python docs/benchmarks/sktime_comparison.py``, with names of forecasters to run these anew; the
table of docs/sktime.md is printed at the end. Takes some ten minutes on two cores.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Read when torch is imported. Networks this small are slower on two threads than on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from sktime.datasets import (
    load_airline,
    load_hierarchical_sales_toydata,
    load_lynx,
    load_uschange,
)
from sktime.forecasting.compose import TransformedTargetForecaster, make_reduction
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
EPOCHS = 100  # of sktime's own networks
SEEDS = (0, 1, 2)
STEP = 2  # rows between origins


class Data(NamedTuple):
    """A data set: how to load ``y`` and ``X``, rows of training, and what forecasters are told."""

    load: Callable[[], tuple[Any, Any]]
    training: int
    look_back: int
    horizon: int = 12
    season: int = 12
    is_positive: bool = True
    has_covariates: bool = False


Make = Callable[[Data, int], Any]


def informer(data: Data, seed: int) -> InformerForecaster:
    """Make the Informer with its defaults."""
    return InformerForecaster(data.look_back, random_state=seed)


def scaled(forecaster: Any, seed: int) -> TransformedTargetForecaster:
    """Add the scaling that sktime's own deep forecasters leave to the user, and seed them."""
    torch.manual_seed(seed)
    return TransformedTargetForecaster(
        [("scale", TabularToSeriesAdaptor(StandardScaler())), ("forecast", forecaster)]
    )


def transformer(data: Data, seed: int) -> TransformedTargetForecaster:
    """Make sktime's Transformer with the Informer's sizes."""
    sizes = {"d_model": 64, "n_heads": 4, "d_ff": 256, "e_layers": 2, "d_layers": 1}
    # Its calendar features name frequencies that pandas 3 no longer reads.
    training = {"num_epochs": EPOCHS, "batch_size": 32, "temporal_encoding": False}
    lengths = (data.look_back, data.look_back // 2, data.horizon)
    return scaled(LTSFTransformerForecaster(*lengths, **sizes, **training), seed)


def linear(data: Data, seed: int) -> TransformedTargetForecaster:
    """Make sktime's DLinear."""
    lengths = (data.look_back, data.horizon)
    network = LTSFDLinearForecaster(*lengths, num_epochs=EPOCHS, batch_size=32)
    return scaled(network, seed)


def regression(data: Data, seed: int) -> Any:
    """Make ridge regression on the look-back and the covariates, step by step."""
    del seed
    ridge = RidgeCV(np.logspace(-2, 4, 13))
    return make_reduction(ridge, strategy="recursive", window_length=data.look_back)


def theta(data: Data, seed: int) -> ThetaForecaster:
    """Make the Theta method, which takes a season off only where values are positive."""
    del seed
    return ThetaForecaster(deseasonalize=data.is_positive, sp=data.season)


# name -> (how to make it, whether each origin refits it, seeds, whether it reads covariates)
FORECASTERS: dict[str, tuple[Make, bool, tuple[int, ...], bool]] = {
    "InformerForecaster": (informer, False, SEEDS, True),
    "LTSFTransformerForecaster": (transformer, False, SEEDS, False),
    "LTSFDLinearForecaster": (linear, False, SEEDS, False),
    "ridge regression": (regression, True, (0,), True),
    "AutoETS": (lambda data, _: AutoETS(auto=True, sp=data.season), True, (0,), False),
    "ThetaForecaster": (theta, True, (0,), False),
    "NaiveForecaster, seasonal": (
        lambda data, _: NaiveForecaster("last", sp=data.season),
        True,
        (0,),
        False,
    ),
}


def load_sales() -> tuple[Any, Any]:
    """Load monthly sales of four products with their sums."""
    return Aggregator().fit_transform(load_hierarchical_sales_toydata()), None


DATA = {
    "airline": Data(lambda: (load_airline(), None), 108, 24),
    "sales, 7 series": Data(load_sales, 36, 12),
    "lynx, 114 years": Data(lambda: (load_lynx(), None), 84, 20, horizon=10, season=1),
    "consumption, 187 quarters": Data(
        lambda: (load_uschange()[0], None), 140, 16, horizon=8, season=4, is_positive=False
    ),
    "consumption, 4 covariates": Data(
        load_uschange, 140, 16, 8, season=4, is_positive=False, has_covariates=True
    ),
}


def score(forecaster: Any, refit: bool, data: Data) -> dict[str, Any]:
    """Backtest one forecaster: mean absolute scaled error, and coverage."""
    y, covariates = data.load()
    steps = range(1, data.horizon + 1)
    cv = ExpandingWindowSplitter(steps, initial_window=data.training, step_length=STEP)
    scoring: list[Any] = [MeanAbsoluteScaledError(sp=data.season)]
    # Intervals of AutoETS fail in sktime 1.2 with statsmodels 0.15.
    if forecaster.get_tag("capability:pred_int") and not isinstance(forecaster, AutoETS):
        scoring.append(EmpiricalCoverage(coverage=0.9))
    how: dict[str, Any] = {"strategy": "refit" if refit else "no-update_params"}
    table = evaluate(forecaster, cv, y, X=covariates, scoring=scoring, error_score="raise", **how)
    row = {**how, "origins": len(table)}
    row["MASE"] = round(float(table["test_MeanAbsoluteScaledError"].mean()), 3)
    if len(scoring) > 1:
        row["coverage of 90 %"] = round(float(table["test_EmpiricalCoverage"].mean()), 3)
    return row


def run(chosen: Sequence[str]) -> pd.DataFrame:
    """Score forecasters on all data; one row a seed. Rows of the others stay."""
    rows: list[Any] = []
    known = pd.read_csv(RESULTS) if set(chosen) < set(FORECASTERS) else pd.DataFrame()
    for name_of_data, data in DATA.items():
        for name, (make, refit, seeds, reads) in FORECASTERS.items():
            if name not in chosen:
                stays = (known["data"] == name_of_data) & (known["forecaster"] == name)
                rows += known[stays].to_dict("records")
                continue
            if data.has_covariates and not reads:
                continue  # its row is that of the same series without them
            for seed in seeds:
                scores = score(make(data, seed), refit, data)
                rows.append({"data": name_of_data, "forecaster": name, "seed": seed, **scores})
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def summary(results: pd.DataFrame) -> str:
    """Write the table of docs/sktime.md: means over the seeds."""
    means = results.groupby(["forecaster", "data"])[["MASE", "coverage of 90 %"]].mean()
    lines = [f"| | {' | '.join(DATA)} |", "|---" * (1 + len(DATA)) + "|"]
    for name in FORECASTERS:
        cells = []
        for data in DATA:
            known = (name, data) in means.index
            error, covered = means.loc[(name, data)] if known else (math.nan, math.nan)
            inside = "" if math.isnan(covered) else f", {covered:.0%}"
            cells.append("" if math.isnan(error) else f"{error:.2f}{inside}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    # sktime announces its release 1.3 with every forecaster of its own, whatever the filters say.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    run(sys.argv[1:] or list(FORECASTERS)).to_csv(RESULTS, index=False)
    print(summary(pd.read_csv(RESULTS)))
