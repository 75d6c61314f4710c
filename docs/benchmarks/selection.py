"""Which queries attend, and what the others get, in trained networks: writes selection.csv.

A network of the paper's form is trained on each data set. On windows of its test part, both
estimates of the sparsity measurement are compared with the exact one, and ProbSparse attention
with full attention, once with the mean of the values in the other rows, once with the first-order
term beside it (attention_lazy.py). Networks that are trained with either have their test error.

    python docs/benchmarks/selection.py --data path/to/ett

Some twenty minutes on one core.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ablations import find
from attention_lazy import NAME as FIRST_ORDER
from attention_lazy import LinearLazyRows, add_first_order
from attention_speed import make_call
from darts import TimeSeries
from measuring import make_parser, prepare, time_side_by_side, write_results
from protocol import DATASETS, load_parts, score
from torch import Tensor, nn
from tqdm import tqdm

from informer_forecaster._network.attention import FullAttention, ProbSparseAttention
from informer_forecaster._network.sparse_rows import attend_sparsely
from informer_forecaster._network.sparsity import (
    moment_measurement,
    num_selected,
    sample_positions,
    sampled_measurement,
)

HORIZON, LOOK_BACK = 96, 96
PLACES = ("encoder, layer 1", "encoder, layer 2", "decoder")

# What the networks are trained and forecast with.
CHANGES = {
    "sampled": "sparsity=sampled",
    "moment": "sparsity=moment",
    "first order": f"attention={FIRST_ORDER}",
    "full": "attention=full",
}
PREDICT = {"retrain": False, "predict_kwargs": {"batch_size": 512}}

Row = dict[str, Any]


def make(change: str, environment: dict[str, Any]) -> Any:
    """Make a network of the paper's form that is trained for an epoch."""
    return find(f"paper-norm[{change},n_epochs=1]").build(HORIZON, environment)


def train(change: str, series: TimeSeries, arguments: argparse.Namespace) -> Any:
    """Train a network of the paper's form, with a change of its attention."""
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
    trainer = {"accelerator": "cpu", "limit_train_batches": arguments.steps, **quiet}
    environment = {"pl_trainer_kwargs": trainer, "random_state": arguments.seed}
    return make(change, environment).fit(series)


def record(model: Any, test: Any, windows: int) -> dict[str, tuple[Tensor, ...]]:
    """Queries, keys and values of each self-attention while windows are forecast."""
    heads: dict[str, list[tuple[Tensor, ...]]] = {place: [] for place in PLACES}
    attentions = [m for m in model.model.modules() if isinstance(m, ProbSparseAttention)]
    hooks = []
    for place, attention in zip(PLACES, attentions, strict=True):

        def keep(_: nn.Module, inputs: tuple[Tensor, ...], place: str = place) -> None:
            heads[place].append(inputs)

        hooks.append(attention.register_forward_pre_hook(keep))
    score(model, test, LOOK_BACK, HORIZON, windows=windows, **PREDICT)
    for hook in hooks:
        hook.remove()
    return {
        place: tuple(torch.cat(one).float() for one in zip(*batches, strict=True))
        for place, batches in heads.items()
    }


def exact_measurement(q: Tensor, k: Tensor) -> Tensor:
    """Log-sum-exp less the mean of each query's scores: equation 2."""
    scores = q @ k.transpose(2, 3) / q.shape[3] ** 0.5
    return scores.logsumexp(3) - scores.mean(3)


def compare(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Iterator[Row]:
    """Share of the exactly most active queries that are found, and distance to full attention."""
    num_active = num_selected(q.shape[2], 5)
    positions = sample_positions(k.shape[2], num_selected(k.shape[2], 5), random=False)
    rankings = {
        "exact": exact_measurement(q, k),
        "sampled": sampled_measurement(q, k, positions),
        "moment": moment_measurement(q, k),
    }
    best = rankings["exact"].topk(num_active, dim=2).indices
    full = FullAttention(causal)(q, k, v)
    for ranking, measurement in rankings.items():
        active = measurement.topk(num_active, dim=2).indices
        found = (active.unsqueeze(3) == best.unsqueeze(2)).any(3).float().mean()
        rows = attend_sparsely(q, k, v, active, None, causal)
        linear = add_first_order(rows, active, q, k, v, causal)
        yield {"method": ranking, "quantity": "share of the active queries found", "value": found}
        for name, got in (("mean", rows), ("first order", linear)):
            distance = (got - full).norm() / full.norm()
            quantity = f"distance to full attention, {name}"
            yield {"method": ranking, "quantity": quantity, "value": distance}


def measure_networks(arguments: argparse.Namespace) -> Iterator[Row]:
    """Compare in a network trained on each data set, and the errors of networks with changes."""
    for dataset in tqdm(arguments.datasets, desc="data sets"):
        parts = load_parts(DATASETS[dataset], arguments.data, LOOK_BACK)
        for name, change in CHANGES.items():
            model = train(change, parts.train, arguments)
            scores = score(
                model, parts.test, LOOK_BACK, HORIZON, windows=arguments.scored, **PREDICT
            )
            case = {"part": "error", "setting": dataset, "method": name}
            yield {**case, "quantity": "mean squared error", "value": scores.mse}
            if name == "sampled":
                yield from measure_network(model, parts.test, dataset, arguments.windows)


def measure_network(model: Any, test: Any, dataset: str, windows: int) -> Iterator[Row]:
    """Compare rankings and rows in the self-attentions of a network."""
    for place, (q, k, v) in record(model, test, windows).items():
        for row in compare(q, k, v, causal=place == "decoder"):
            value = round(float(row.pop("value")), 4)
            yield {"part": "network", "setting": f"{dataset}, {place}", **row, "value": value}


def measure_time(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time forward and backward of a call without a mask."""
    for length in tqdm(arguments.lengths, desc="time"):
        calls = {
            "mean": make_call(ProbSparseAttention(), length, arguments.device)[0],
            "first order": make_call(LinearLazyRows(), length, arguments.device)[0],
        }
        times = time_side_by_side(calls, arguments.rounds, arguments.threads, arguments.seconds)
        for name, value in times.items():
            case = {"part": "time", "setting": str(length), "method": name}
            yield {**case, "quantity": "milliseconds", "value": value}


def main() -> None:
    """Measure, and write the CSV."""
    parser = make_parser(__doc__, Path(__file__).with_suffix(".csv"))
    parser.add_argument("--data", type=Path, help="directory of the CSV files; else downloaded")
    parser.add_argument("--datasets", nargs="*", default=list(DATASETS), choices=list(DATASETS))
    parser.add_argument("--steps", type=int, default=500, help="training steps")
    parser.add_argument("--windows", type=int, default=64, help="test windows of attentions")
    parser.add_argument("--scored", type=int, default=1000, help="test windows of errors")
    parser.add_argument("--lengths", type=int, nargs="*", default=[96, 336, 1440])
    arguments = parser.parse_args()
    prepare(arguments)
    # Darts and Lightning announce each fit.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    write_results(measure_time(arguments), arguments)
    write_results(measure_networks(arguments), arguments)


if __name__ == "__main__":
    main()
