"""Which queries attend, and what the others get, in trained networks: writes selection.csv.

A network of the paper's form is trained on each data set. On windows of its test part, both
estimates of the sparsity measurement are compared with the exact one, and ProbSparse attention
with full attention, once with the mean of the values in the other rows, once with the first-order
term beside it (attention_lazy.py).

    python docs/benchmarks/selection.py --data path/to/ett

Some ten minutes on one core.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from attention_lazy import LinearLazyRows, first_order_term
from measuring import Call, make_parser, prepare, time_side_by_side, write_results
from methods import METHODS
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
HEADS, WIDTH = 8, 64  # of the calls that are timed, as in attention_speed.py

Row = dict[str, Any]


def train(dataset: str, arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Train a network of the paper's form; the model, and the test part."""
    parts = load_parts(DATASETS[dataset], arguments.data, LOOK_BACK)
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
    trainer = {"accelerator": "cpu", "limit_train_batches": arguments.steps, **quiet}
    environment = {"pl_trainer_kwargs": trainer, "random_state": arguments.seed, "n_epochs": 1}
    model = METHODS["paper-norm"].build(HORIZON, environment)
    return model.fit(parts.train), parts.test


def record(model: Any, test: Any, windows: int) -> dict[str, tuple[Tensor, ...]]:
    """Queries, keys and values of each self-attention while windows are forecast."""
    heads: dict[str, list[tuple[Tensor, ...]]] = {place: [] for place in PLACES}
    attentions = [m for m in model.model.modules() if isinstance(m, ProbSparseAttention)]
    hooks = []
    for place, attention in zip(PLACES, attentions, strict=True):

        def keep(_: nn.Module, inputs: tuple[Tensor, ...], place: str = place) -> None:
            heads[place].append(inputs)

        hooks.append(attention.register_forward_pre_hook(keep))
    score(model, test, LOOK_BACK, HORIZON, windows=windows, retrain=False)
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
        is_lazy = torch.ones_like(rows[..., :1]).scatter(2, active.unsqueeze(3), 0.0)
        linear = rows + is_lazy * first_order_term(q, k, v, causal)
        yield {"method": ranking, "quantity": "share of the active queries found", "value": found}
        for name, got in (("mean", rows), ("first order", linear)):
            distance = (got - full).norm() / full.norm()
            quantity = f"distance to full attention, {name}"
            yield {"method": ranking, "quantity": quantity, "value": distance}


def measure_networks(arguments: argparse.Namespace) -> Iterator[Row]:
    """Compare in a network trained on each data set."""
    for dataset in tqdm(arguments.datasets, desc="data sets"):
        heads = record(*train(dataset, arguments), arguments.windows)
        for place, (q, k, v) in heads.items():
            for row in compare(q, k, v, causal=place == "decoder"):
                value = round(float(row.pop("value")), 4)
                yield {"part": "network", "setting": f"{dataset}, {place}", **row, "value": value}


def make_call(attention: nn.Module, length: int) -> Call:
    """Make a call on random numbers, forward and backward, 5000 queries in all."""
    shape = (max(1, 5000 // length), HEADS, length, WIDTH)
    heads = [torch.randn(shape, requires_grad=True) for _ in range(3)]
    gradient = torch.randn(shape)
    return lambda: torch.autograd.grad(attention(*heads), heads, gradient)


def measure_time(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time forward and backward of a call without a mask."""
    for length in tqdm(arguments.lengths, desc="time"):
        calls = {
            "mean": make_call(ProbSparseAttention(5), length),
            "first order": make_call(LinearLazyRows(5), length),
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
    parser.add_argument("--windows", type=int, default=64, help="test windows")
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
