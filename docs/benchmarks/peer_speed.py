"""Ours against the Informer of NeuralForecast, both through Darts: writes peer_speed.csv.

The peer is no dependency of ours; give it an environment of its own. From the repository's root:
``python -m venv peer``, ``peer/bin/pip install -c constraints.txt -e ".[darts]" neuralforecast``,
then ``peer/bin/python docs/benchmarks/peer_speed.py --threads 1``; a few minutes.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.models import NeuralForecastModel
from measuring import Call, make_parser, prepare, time_side_by_side, write_results
from tqdm import tqdm

from informer_forecaster import InformerModel

METHODS = ("ours", "peer")
LENGTHS = ((96, 24), (336, 168))
D_MODEL, HEADS, FEED_FORWARD, DROPOUT, SAMPLING_FACTOR = 128, 8, 512, 0.05, 5
BATCH = 32
QUIET = dict.fromkeys(
    ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger"), False
)

Row = dict[str, Any]


def make_model(method: str, lengths: tuple[int, int], steps: int, device: str) -> Any:
    """Make a model that fits for ``steps``; both get the same sizes and the same covariates."""
    accelerator = "gpu" if device == "cuda" else "cpu"
    shared = {
        "batch_size": BATCH,
        "n_epochs": 1,
        "random_state": 0,
        "pl_trainer_kwargs": {"accelerator": accelerator, "limit_train_batches": steps, **QUIET},
    }
    if method == "ours":
        return InformerModel(
            *lengths,
            d_model=D_MODEL,
            nhead=HEADS,
            dim_feedforward=FEED_FORWARD,
            dropout=DROPOUT,
            sampling_factor=SAMPLING_FACTOR,
            patch_length=1,
            channel_independent=False,
            lookback_skip=False,
            time_features=False,
            **shared,
        )
    sizes = {
        "hidden_size": D_MODEL,
        "n_head": HEADS,
        "conv_hidden_size": FEED_FORWARD,
        "dropout": DROPOUT,
        "factor": SAMPLING_FACTOR,
    }
    return NeuralForecastModel(*lengths, model="Informer", model_kwargs=sizes, **shared)


def make_series(length: int) -> dict[str, TimeSeries]:
    """Make a random walk, and four columns that stand for its time stamps."""
    random = np.random.default_rng(0)
    times = pd.date_range("2020-01-01", periods=length, freq="h")
    values = random.normal(size=(length, 1)).cumsum(0).astype(np.float32)
    stamps = random.random((length, 4), dtype=np.float32)
    return {
        "series": TimeSeries.from_times_and_values(times, values),
        "future_covariates": TimeSeries.from_times_and_values(times, stamps),
    }


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time steps of `fit` and windows of a backtest."""
    few, many = arguments.fit_steps
    rounds = (arguments.rounds, arguments.threads, arguments.seconds)
    for lengths in tqdm(arguments.sizes, desc="peer"):
        data = make_series(sum(lengths) + BATCH * many - 1)

        def fit(method: str, steps: int, lengths: Any = lengths, data: Any = data) -> Call:
            return lambda: make_model(method, lengths, steps, arguments.device).fit(**data)

        calls = {f"{m} {steps}": fit(m, steps) for m in METHODS for steps in (few, many)}
        times = time_side_by_side(calls, *rounds)
        # The difference leaves out what a fit does once.
        steps = {m: (times[f"{m} {many}"] - times[f"{m} {few}"]) / (many - few) for m in METHODS}
        yield from _rows(lengths, "milliseconds of a step of fit", steps)
        times = time_side_by_side({m: backtest(fit(m, few)(), arguments) for m in METHODS}, *rounds)
        windows = {m: 1e3 * times[m] / arguments.windows for m in METHODS}
        yield from _rows(lengths, "microseconds of a window of a backtest", windows)


def backtest(model: Any, arguments: argparse.Namespace) -> Call:
    """Make a backtest of a fitted model over ``arguments.windows`` windows."""
    horizon = model.output_chunk_length
    data = make_series(model.input_chunk_length + horizon + arguments.windows - 1)
    return lambda: model.historical_forecasts(
        **data,
        retrain=False,
        forecast_horizon=horizon,
        predict_kwargs={"batch_size": BATCH},
    )


def _rows(lengths: tuple[int, int], quantity: str, values: dict[str, float]) -> Iterator[Row]:
    setting = "/".join(map(str, lengths))
    for method, value in values.items():
        yield {"setting": setting, "method": method, "quantity": quantity, "value": value}


def parse_lengths(text: str) -> tuple[int, ...]:
    """Read lengths of input and output, as in ``96/24``."""
    return tuple(map(int, text.split("/")))


def main() -> None:
    """Measure, and write the CSV."""
    parser = make_parser(__doc__, Path(__file__).with_suffix(".csv"))
    parser.add_argument("--sizes", type=parse_lengths, nargs="*", default=LENGTHS)
    parser.add_argument("--fit-steps", type=int, nargs=2, default=(10, 40))
    parser.add_argument("--windows", type=int, default=1024, help="of a backtest")
    arguments = parser.parse_args()
    prepare(arguments)
    # Darts and Lightning announce each fit.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    write_results(measure(arguments), arguments)


if __name__ == "__main__":
    main()
