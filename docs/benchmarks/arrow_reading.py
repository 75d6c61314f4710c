"""Epochs from a memory-mapped Arrow file beside the same epochs from memory: prints their ratio.

Both go through ``fit_from_dataset`` over the same windows, in turns. Run from anywhere:
``python docs/benchmarks/arrow_reading.py``; a minute on one core.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from darts import TimeSeries
from darts.utils.data.torch_datasets.training_dataset import (
    SequentialTorchTrainingDataset,
    TorchTrainingDataset,
)
from measuring import describe_machine, time_side_by_side

from informer_forecaster import InformerModel
from informer_forecaster.adapters.arrow import ArrowTrainingDataset, write_arrow

LENGTHS = (96, 24)
BATCH = 32
QUIET = dict.fromkeys(
    ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger"), False
)


def train(dataset: TorchTrainingDataset, batches: int) -> None:
    """Train a network of default size on the first batches."""
    trainer = {"accelerator": "cpu", "limit_train_batches": batches, **QUIET}
    model = InformerModel(
        *LENGTHS, n_epochs=1, batch_size=BATCH, random_state=0, pl_trainer_kwargs=trainer
    )
    model.fit_from_dataset(dataset)


def main() -> None:
    """Measure, and print milliseconds per batch and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--steps", type=int, default=2000, help="of each series")
    parser.add_argument("--stride", type=int, default=100, help="steps between two windows")
    parser.add_argument("--batches", type=int, default=100, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    warnings.filterwarnings("ignore", module="pytorch_lightning|torch")
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    series = [
        TimeSeries.from_values(generator.normal(size=(arguments.steps, 1)).astype(np.float32))
        for _ in range(arguments.series)
    ]
    name = str(series[0].components[0])
    with TemporaryDirectory() as directory:
        path = Path(directory) / "series.arrow"
        write_arrow(path, (one.to_dataframe() for one in series))
        ours = ArrowTrainingDataset(path, *LENGTHS, target=[name], stride=arguments.stride)
        theirs = SequentialTorchTrainingDataset(
            series,
            input_chunk_length=LENGTHS[0],
            output_chunk_length=LENGTHS[1],
            stride=arguments.stride,
        )
        batches = min(arguments.batches, -(-len(ours) // BATCH))
        calls = {
            "in memory": lambda: train(theirs, batches),
            "Arrow file": lambda: train(ours, batches),
        }
        found = time_side_by_side(calls, arguments.rounds, threads=1, seconds=0)
    print(describe_machine("cpu"))
    for which, milliseconds in found.items():
        print(f"{which:<12}{milliseconds / batches:8.2f} ms a batch")
    print(f"the file takes {found['Arrow file'] / found['in memory']:.3f} of the time in memory")


if __name__ == "__main__":
    main()
