"""What an attention loses by itself: forecasts by the same weights with each, in same_weights.csv.

Networks that are trained with different attentions differ by chance, too, and by more than the
attentions do. Here one network of the paper's form is trained with full attention and forecasts
with each of the others. Trained networks are kept in ``--models``; finished rows are not run again.

    python docs/benchmarks/same_weights.py --data path/to/ett --models path/to/keep

A training takes 4 to 15 minutes on one core.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from ablations import find
from attention_lazy import MEANS
from ett import PREDICT, fit
from protocol import Parts, dataset_of, load_parts, score
from recipe import Method
from results import append, is_finished, read
from torch import Tensor

from informer_forecaster import InformerModel
from informer_forecaster._network.attention import FullAttention
from informer_forecaster._network.layers import MultiHeadAttention
from informer_forecaster._network.registry import make_attention, make_cross_attention

RESULTS = Path(__file__).with_suffix(".csv")
CELL = ("dataset", "horizon", "seed", "attention")
PLACES = ("encoder", "decoder")
FIELDS = (*CELL, "lookback", "val_mse", "mse", *PLACES, "windows", "versions")
CHANGES = {
    "full": "attention=full",
    "moment": "sparsity=moment",
    "moment, to the encoder too": "sparsity=moment,cross_attention=prob",
    "moment, means under the mask": f"sparsity=moment,attention={MEANS}",
    "sampled": "sparsity=sampled",
}
# Lengths of the authors' scripts; they have none for Weather.
CASES = {"ETTh1": 168, "ETTh2": 168, "ETTm1": 96, "Weather": 96}
LOOK_BACK_OF_WEATHER = 336
WINDOWS = 400

Cell = dict[str, Any]


def recipe(change: str, dataset: str) -> Method:
    """Give the recipe with an attention, at the lengths of a data set."""
    look_back = f",look_back={LOOK_BACK_OF_WEATHER}" if dataset == "Weather" else ""
    name = f"paper-norm[{change},windows={WINDOWS}{look_back}]"
    return find(name).on(dataset, "multivariate", CASES[dataset])


def train(cell: Cell, parts: Parts, folder: Path) -> Any:
    """Train with full attention, or load what was trained."""
    path = folder / f"{cell['dataset']}-{cell['horizon']}-{cell['seed']}.pt"
    if path.exists():
        return InformerModel.load(str(path))
    with tempfile.TemporaryDirectory() as work:
        model, _ = fit(recipe(CHANGES["full"], cell["dataset"]), cell, parts, work)
    model.save(str(path))
    return model


def set_attention(model: Any, change: str) -> None:
    """Give the network other attentions, and leave its weights."""
    kinds = dict(one.split("=") for one in change.split(","))
    config = replace(model.model.network.config, **{"attention": "prob", **kinds})
    for name, module in model.model.named_modules():
        if isinstance(module, MultiHeadAttention):
            before: Any = module.attention
            if name.endswith(".cross_attention"):
                module.attention = make_cross_attention(config, before.dropout)
            else:
                module.attention = make_attention(config, before.causal, before.dropout)


def measure_distances(model: Any, part: Any, cell: Cell) -> dict[str, float]:
    """Distance of self-attention to full attention on the same heads, relative to the latter."""
    squares = {place: [0.0, 0.0] for place in PLACES}

    def compare(place: str, attention: FullAttention, inputs: Any, output: Tensor) -> None:
        full = FullAttention(attention.causal)(*inputs)
        squares[place][0] += float((output - full).square().sum())
        squares[place][1] += float(full.square().sum())

    hooks = [
        module.register_forward_hook(partial(compare, name.split(".")[1]))
        for name, module in model.model.named_modules()
        if isinstance(module, FullAttention) and ".self_attention." in name
    ]
    score(model, part, cell["lookback"], cell["horizon"], windows=60, **PREDICT)
    for hook in hooks:
        hook.remove()
    return {place: round((far / all_of) ** 0.5, 4) for place, (far, all_of) in squares.items()}


def run_cell(cell: Cell, model: Any, parts: Parts) -> Cell:
    """Score one attention; give back its row."""
    lengths = cell["lookback"], cell["horizon"]
    validation = score(model, parts.validation, *lengths, windows=WINDOWS, **PREDICT)
    test = score(model, parts.test, *lengths, windows=WINDOWS, **PREDICT)
    row = {**cell, "val_mse": round(validation.mse, 5), "mse": round(test.mse, 5)}
    row |= measure_distances(model, parts.validation, cell)
    names = ("informer-forecaster", "darts", "torch")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return {**row, "windows": test.windows, "versions": versions}


def plan(arguments: argparse.Namespace) -> Iterator[Cell]:
    """List the networks that were asked for."""
    for seed in arguments.seeds:
        for dataset in arguments.datasets:
            look_back = recipe(CHANGES["full"], dataset).look_back
            cell = {"dataset": dataset, "horizon": CASES[dataset], "seed": seed}
            yield {**cell, "lookback": look_back}


def run(arguments: argparse.Namespace) -> None:
    """Train what is missing, and forecast with each attention that has no row yet."""
    arguments.models.mkdir(parents=True, exist_ok=True)
    for cell in plan(arguments):
        finished = read(RESULTS, CELL, FIELDS)
        names = [one for one in CHANGES if not is_finished(finished, {**cell, "attention": one})]
        if not names:
            continue
        dataset = cell["dataset"]
        parts = load_parts(dataset_of(dataset), arguments.data, cell["lookback"])
        model = train(cell, parts, arguments.models)
        for name in names:
            set_attention(model, CHANGES[name])
            row = run_cell({**cell, "attention": name}, model, parts)
            append(RESULTS, row, FIELDS)
            print({key: row[key] for key in (*CELL, "val_mse", "mse", *PLACES)}, flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="directory of the CSV files")
    parser.add_argument("--models", type=Path, required=True, help="where trained ones are kept")
    parser.add_argument("--datasets", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
