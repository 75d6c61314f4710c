"""Draw the figures of docs/how_it_works.md from networks trained on ETTh1; minutes.

Darts downloads the data, or give a directory that holds ``ETTh1.csv``:

    python docs/figures/how_it_works.py --data path/to/ett
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import time
from functools import partial
from pathlib import Path

# Read when torch is imported: times on one thread are the steadier ones.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np
from darts import TimeSeries
from darts.datasets import ETTh1Dataset
from torch import Tensor, nn

from informer_forecaster import InformerModel
from informer_forecaster._network.attention import ProbSparseAttention
from informer_forecaster._network.encoder import EncoderLayer
from informer_forecaster._network.sparsity import (
    moment_measurement,
    num_selected,
    sample_positions,
    sampled_measurement,
)

FOLDER = Path(__file__).parent
LOOKBACK, HORIZON, DAY = 192, 96, 24
TRAIN, TEST = 8640, 1440  # hours
LAYERS = 3
DRAW = {"dpi": 110, "bbox_inches": "tight"}


def load_parts(directory: Path | None) -> tuple[TimeSeries, TimeSeries]:
    """Training and test part of the oil temperature, scaled by the training part."""
    dataset = ETTh1Dataset()
    if directory is not None:
        dataset._root_path = directory
    series = dataset.load()["OT"].astype(np.float32)
    values = series[:TRAIN].values()
    series = (series - float(values.mean())) / float(values.std())
    return series[:TRAIN], series[TRAIN - LOOKBACK : TRAIN + TEST]


def train(
    series: TimeSeries, epochs: int, output_chunk_length: int, **own: object
) -> InformerModel:
    """Fit a small Informer whose tokens are steps, as in the paper."""
    quiet = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger"), False)
    model = InformerModel(
        LOOKBACK,
        output_chunk_length,
        patch_length=1,
        channel_independent=False,
        d_model=32,
        dim_feedforward=64,
        dropout=0.1,
        n_epochs=epochs,
        optimizer_kwargs={"lr": 5e-4},
        random_state=0,
        pl_trainer_kwargs={"accelerator": "cpu", **quiet},
        **own,
    )
    return model.fit(series)


def backtest(model: InformerModel, test: TimeSeries, stride: int) -> list[TimeSeries]:
    """Forecast the horizon from every ``stride``-th hour of the test part."""
    return model.historical_forecasts(
        test,
        start=LOOKBACK,
        start_format="position",
        forecast_horizon=HORIZON,
        stride=stride,
        retrain=False,
        last_points_only=False,
        predict_kwargs={"batch_size": 1024},
    )


def record(model: InformerModel, test: TimeSeries) -> dict[str, list[Tensor]]:
    """Queries and keys of the first attention, and the tokens behind each encoder layer."""
    seen: dict[str, list[Tensor]] = {"query": [], "key": [], "tokens": []}
    network = model.model.network.eval()

    def keep_heads(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen["query"].append(inputs[0].detach())
        seen["key"].append(inputs[1].detach())

    def keep_tokens(_: nn.Module, __: object, output: Tensor) -> None:
        seen["tokens"].append(output.detach())

    first = next(m for m in network.modules() if isinstance(m, ProbSparseAttention))
    hooks = [first.register_forward_pre_hook(keep_heads)]
    hooks += [
        m.register_forward_hook(keep_tokens)
        for m in network.modules()
        if isinstance(m, EncoderLayer)
    ]
    model.predict(HORIZON, test[:LOOKBACK])
    for hook in hooks:
        hook.remove()
    return seen


def divergence(scores: Tensor) -> Tensor:
    """KL divergence of the uniform distribution from each row's softmax: equation 2, exactly."""
    return scores.logsumexp(-1) - scores.mean(-1) - math.log(scores.shape[-1])


def draw_long_tail(query: Tensor, key: Tensor) -> None:
    """Attention of two queries, and the divergence of all, most active first."""
    scores = query[0] @ key[0].transpose(1, 2) / math.sqrt(query.shape[3])  # (H, L, S)
    distance = divergence(scores)
    head = int(distance.std(1).argmax())
    order = distance[head].argsort(descending=True)
    kept = num_selected(len(order), 5)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
    for rank, name in ((0, "most active query"), (len(order) // 2, "median query")):
        left.plot(scores[head, order[rank]].softmax(0), label=name)
    left.axhline(1 / scores.shape[2], color="black", linestyle=":", label="uniform")
    left.set(xlabel="key (hour of the look-back)", ylabel="attention", title=f"Head {head + 1}")
    for number, row in enumerate(distance):
        right.plot(row.sort(descending=True).values, label=f"head {number + 1}")
    right.axvspan(0, kept, color="0.9", label=f"kept: {kept} of {len(order)}")
    right.set(xlabel="query, most active first", ylabel="KL divergence from uniform")
    right.set_title("The long tail")
    for axis in (left, right):
        axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(FOLDER / "long_tail.png", **DRAW)


def draw_measurements(query: Tensor, key: Tensor) -> None:
    """Both estimates of the divergence against the exact one, and how many of the top they find."""
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    exact = divergence(scores)[0]
    kept = num_selected(exact.shape[1], 5)
    positions = sample_positions(key.shape[2], num_selected(key.shape[2], 5), random=False)
    estimates = {
        f"sampled: max - mean over {len(positions)} keys": sampled_measurement(
            query, key, positions
        )[0],
        "moment: half the variance over all keys": moment_measurement(query, key)[0],
    }
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharex=True)
    for axis, (name, estimate) in zip(axes, estimates.items(), strict=True):
        found = np.mean(
            [
                np.isin(a.topk(kept).indices, b.topk(kept).indices).mean()
                for a, b in zip(estimate, exact, strict=True)
            ]
        )
        for number, (x, y) in enumerate(zip(exact, estimate, strict=True)):
            axis.scatter(x, y, s=7, label=f"head {number + 1}")
        axis.set(title=f"{name}\n{found:.0%} of the top {kept} found", ylabel="estimate")
        axis.set_xlabel("exact KL divergence from uniform")
        axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(FOLDER / "sparsity_measurement.png", **DRAW)


def draw_pyramid(tokens: list[Tensor]) -> None:
    """The tokens behind each layer of each replica stack, over the hours that they stand for."""
    stacks = [range(LAYERS - n) for n in range(LAYERS)]
    layers = iter(tokens)
    figure, axes = plt.subplots(LAYERS, LAYERS, figsize=(11, 5), sharex=True)
    for stack, depths in enumerate(stacks):
        for depth in range(LAYERS):
            axis = axes[depth, stack]
            axis.set(yticks=[], xlim=(0, LOOKBACK))
            if depth not in depths:
                axis.set_axis_off()
                continue
            values = next(layers)[0]
            start = LOOKBACK - -(-LOOKBACK // 2**stack)
            axis.imshow(
                values.T,
                aspect="auto",
                cmap="coolwarm",
                vmin=-2.5,
                vmax=2.5,
                extent=(start, LOOKBACK, 0, 1),
                interpolation="nearest",
            )
            axis.set_title(f"stack {stack + 1}, layer {depth + 1}: {len(values)} tokens", size=9)
    for stack, depths in enumerate(stacks):
        axes[depths[-1], stack].set_xlabel("hour of the look-back")
        axes[depths[-1], stack].tick_params(labelbottom=True)
    figure.tight_layout()
    figure.savefig(FOLDER / "distilling.png", **DRAW)


def draw_decoding(models: dict[str, InformerModel], test: TimeSeries) -> None:
    """Error by step ahead and seconds for the same forecasts, one pass against steps fed back."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=(2, 1))
    seconds = {}
    for name, model in models.items():
        backtest(model, test[: LOOKBACK + 2 * HORIZON], DAY)  # the first call is slower
        start = time.perf_counter()
        forecasts = backtest(model, test, stride=12)
        seconds[name] = time.perf_counter() - start
        errors = [
            np.abs(forecast.values() - test.slice_intersect(forecast).values())
            for forecast in forecasts
        ]
        left.plot(range(1, HORIZON + 1), np.mean(errors, axis=0)[:, 0], label=name)
    left.set(xlabel="hours ahead", ylabel="mean absolute error (scaled)")
    left.set_ylim(bottom=0)
    left.legend(frameon=False)
    left.set_title(f"Error over {len(forecasts)} windows")
    bars = right.barh(list(seconds), list(seconds.values()), color=["C0", "C1", "C2"])
    right.bar_label(bars, fmt="%.2g s", padding=3)
    right.margins(x=0.2)
    right.invert_yaxis()
    right.set(xlabel="seconds for these forecasts", title="Time")
    figure.tight_layout()
    figure.savefig(FOLDER / "decoding.png", **DRAW)


def main() -> None:
    """Train the networks and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="directory that holds ETTh1.csv")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training part")
    arguments = parser.parse_args()
    for name in ("pytorch_lightning", "darts"):
        logging.getLogger(name).setLevel(logging.WARNING)
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})

    series, test = load_parts(arguments.data)
    fit = partial(train, series, arguments.epochs)
    pyramid = fit(HORIZON, num_encoder_layers=LAYERS, num_encoder_stacks=LAYERS)
    seen = record(pyramid, test)
    draw_long_tail(seen["query"][0], seen["key"][0])
    draw_measurements(seen["query"][0], seen["key"][0])
    draw_pyramid(seen["tokens"])
    lengths = {"one pass of 96 hours": HORIZON, "4 passes of 24": DAY, "96 passes of 1": 1}
    draw_decoding({name: fit(length) for name, length in lengths.items()}, test)


if __name__ == "__main__":
    main()
