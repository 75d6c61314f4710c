"""Time and memory of whole training steps and of forecasts through Darts: writes training_step.csv.

The paper's sizes against the textbook network (textbook.py) and against ours with full attention;
growth with the length; what Darts adds to the bare network. Run from anywhere:
``python docs/benchmarks/training_step.py``; some ten minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from attention_speed import make_attention, make_call
from darts import TimeSeries
from measuring import (
    Call,
    make_parser,
    measure_memory_apart,
    peak_memory,
    prepare,
    time_side_by_side,
    write_results,
)
from textbook import TextbookInformer
from torch import nn
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from informer_forecaster import Informer, InformerConfig, InformerModel

CHANNELS, TIME_STAMPS, BATCH = 7, 4, 32
# Input, start token, output: the shortest and the longest of the paper's settings, one between.
PAPER = ((96, 48, 24), (168, 168, 168), (720, 336, 720))
WIDTHS = {"d_model": 512, "nhead": 8, "dim_feedforward": 2048, "dropout": 0.05}
GROWTH = (720, 2880, 11520)
CALLS = (96, 720, 2880)
# The decoder attends to the encoder as in the paper, or by `cross_attention="prob"`.
LINEAR = "input and output, prob"
GROWING = ("input", "input and output", LINEAR)
# What torch computes the parts of a step with.
KERNELS = {
    "matrix products": {
        "aten::mm",
        "aten::addmm",
        "aten::bmm",
        "aten::baddbmm",
        "mkl::_mkl_linear",
    },
    "convolution": {"aten::mkldnn_convolution", "aten::convolution_backward"},
    "fused attention": {
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    },
}
GROWTH_WIDTHS = {"d_model": 64, "nhead": 4, "dim_feedforward": 256, "dropout": 0.05}
DARTS_WIDTHS = {"d_model": 128, "nhead": 8, "dim_feedforward": 512, "dropout": 0.05}
DARTS_LENGTHS = (96, 24)
WINDOWS = 1024  # in a batch of a backtest
QUIET = dict.fromkeys(
    ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger"), False
)

Row = dict[str, Any]


def make_config(lengths: tuple[int, int, int], widths: dict[str, Any]) -> InformerConfig:
    """Make the paper's network; ``lengths`` are those of input, start token and output."""
    inputs, start, outputs = lengths
    # Points, no linear map and circular padding, as the textbook network has them.
    return InformerConfig.paper(
        input_chunk_length=inputs,
        start_token_length=start,
        output_chunk_length=outputs,
        num_targets=CHANNELS,
        num_future_covariates=TIME_STAMPS,
        **widths,
    )


def make_network(method: str, config: InformerConfig) -> nn.Module:
    """Make the network that ``method`` names."""
    if method == "textbook":
        return TextbookInformer(config)
    attention: Any = "full" if method == "ours, full attention" else "prob"
    return Informer(replace(config, attention=attention))


def make_step(network: nn.Module, config: InformerConfig, batch: int, device: str) -> Call:
    """Make a training step on random numbers: forward, backward, Adam."""
    network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    inputs, outputs = config.input_chunk_length, config.output_chunk_length
    past = torch.randn(batch, inputs, config.num_targets, device=device)
    stamps = torch.rand(batch, inputs + outputs, config.num_future_covariates, device=device)
    target = torch.randn(batch, outputs, config.num_targets, device=device)

    def step() -> None:
        optimizer.zero_grad()
        if isinstance(network, Informer):
            forecast = network(past, None, stamps).squeeze(3)
        else:
            forecast = network(past, stamps)
        F.mse_loss(forecast, target).backward()
        optimizer.step()

    return step


def measure_paper(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time steps at the paper's sizes, side by side."""
    for lengths in tqdm(arguments.paper, desc="the paper's sizes"):
        config = make_config(lengths, WIDTHS)
        calls = {
            method: make_step(
                make_network(method, config), config, arguments.batch, arguments.device
            )
            for method in ("ours", "ours, full attention", "textbook")
        }
        times = time_side_by_side(calls, arguments.rounds, arguments.threads, arguments.seconds)
        setting = "/".join(map(str, lengths))
        for method, milliseconds in times.items():
            yield {
                "part": "paper",
                "setting": setting,
                "method": method,
                "quantity": "milliseconds of a step",
                "value": milliseconds,
            }


def measure_profile(arguments: argparse.Namespace) -> Iterator[Row]:
    """Find where the time of an attention call and of our steps goes."""
    steps = {}
    for length, causal in product(arguments.calls, (False, True)):
        attention = make_attention("ours, sampled", causal)
        name = f"attention {length}{', causal' if causal else ''}"
        steps[name] = make_call(attention, length, arguments.device)[0]
    for lengths in arguments.paper:
        config = make_config(lengths, WIDTHS)
        network = make_network("ours", config)
        name = "/".join(map(str, lengths))
        steps[name] = make_step(network, config, arguments.batch, arguments.device)
    for growing, length in product(GROWING, arguments.growth):
        steps[f"{growing} {length}"] = make_growth_step(growing, length, arguments.device)[0]
    for setting, step in tqdm(steps.items(), desc="profile"):
        for part, share in find_shares(step).items():
            case = {"part": "profile", "setting": setting, "method": "ours"}
            yield {**case, "quantity": part, "value": share}


def find_shares(step: Call) -> dict[str, float]:
    """Percent of a step's time on the processor, by what is computed."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    times = dict.fromkeys((*KERNELS, "all else"), 0.0)
    for event in profiler.key_averages():
        part = next((name for name, keys in KERNELS.items() if event.key in keys), "all else")
        times[part] += event.self_cpu_time_total
    return {part: 100 * time / sum(times.values()) for part, time in times.items()}


def make_growth_step(growing: str, length: int, device: str) -> tuple[Call, int]:
    """Make a step on ``length`` steps of what is growing, and count the tokens in it."""
    batch = max(1, GROWTH[-1] // length)
    output = GROWTH[0] if growing == "input" else length
    start = min(length, output // 2)
    cross: Any = "prob" if growing == LINEAR else "full"
    config = make_config((length, start, output), {**GROWTH_WIDTHS, "cross_attention": cross})
    step = make_step(Informer(config), config, batch, device)
    return step, batch * (config.input_chunk_length + config.num_start_steps + output)


def measure_memory(request: dict[str, Any], device: str) -> float:
    """Peak memory of a step of growing length, in bytes a token."""
    config = make_config((24, 12, 24), GROWTH_WIDTHS)
    make_step(Informer(config), config, 1, device)()
    step, tokens = make_growth_step(request["growing"], request["length"], device)
    return peak_memory(step, device) / tokens


def measure_growth(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time and memory of a token at growing length."""
    for growing in GROWING:
        steps = {str(n): make_growth_step(growing, n, arguments.device) for n in arguments.growth}
        calls = {length: step for length, (step, _) in steps.items()}
        times = time_side_by_side(calls, arguments.rounds, arguments.threads, arguments.seconds)
        for length, (_, tokens) in tqdm(steps.items(), desc=f"growth of {growing}"):
            request = {"growing": growing, "length": int(length)}
            memory = measure_memory_apart(measure_memory, arguments, request)
            case = {"part": "growth", "setting": f"{growing} {length}", "method": "ours"}
            microseconds = 1e3 * times[length] / tokens
            yield {**case, "quantity": "microseconds a token", "value": microseconds}
            yield {**case, "quantity": "kilobytes a token", "value": memory / 1e3}


def make_series(length: int) -> TimeSeries:
    """Make an hourly series of random walks, in the network's own precision."""
    values = np.random.default_rng(0).normal(size=(length, CHANNELS)).cumsum(0)
    times = pd.date_range("2020-01-01", periods=length, freq="h")
    return TimeSeries.from_times_and_values(times, values.astype(np.float32))


def make_model(accelerator: str, **trainer: Any) -> InformerModel:
    """Make the Darts model that the bare network is compared with."""
    return InformerModel(
        *DARTS_LENGTHS,
        **DARTS_WIDTHS,
        batch_size=BATCH,
        n_epochs=1,
        random_state=0,
        optimizer_kwargs={"lr": 1e-4},
        pl_trainer_kwargs={"accelerator": accelerator, **QUIET, **trainer},
    )


def measure_darts(arguments: argparse.Namespace) -> Iterator[Row]:
    """Time steps of `fit` and windows of a backtest against the bare network."""
    accelerator = "gpu" if arguments.device == "cuda" else "cpu"
    few, many = arguments.fit_steps
    series = make_series(sum(DARTS_LENGTHS) + BATCH * many - 1)
    model = make_model(accelerator, limit_train_batches=few).fit(series)
    network = model.model.network.to(arguments.device)
    config = network.config
    rounds = (arguments.rounds, arguments.threads, arguments.seconds)

    def fit(steps: int) -> Call:
        return lambda: make_model(accelerator, limit_train_batches=steps).fit(series)

    step = make_step(Informer(config), config, BATCH, arguments.device)
    times = time_side_by_side({"few": fit(few), "many": fit(many), "bare": step}, *rounds)
    # The difference leaves out what a fit does once.
    fit_step = (times["many"] - times["few"]) / (many - few)
    yield from _pair("step", "milliseconds of a step", times["bare"], fit_step)

    windows = arguments.windows
    backtest_series = make_series(sum(DARTS_LENGTHS) + windows - 1)
    network = Informer(config).eval().to(arguments.device)
    past = torch.randn(WINDOWS, DARTS_LENGTHS[0], CHANNELS, device=arguments.device)
    stamps = torch.rand(
        WINDOWS, sum(DARTS_LENGTHS), config.num_future_covariates, device=arguments.device
    )

    def forward() -> None:
        with torch.inference_mode():
            network(past, None, stamps)

    def backtest() -> None:
        model.historical_forecasts(
            backtest_series,
            retrain=False,
            forecast_horizon=DARTS_LENGTHS[1],
            predict_kwargs={"batch_size": WINDOWS},
        )

    times = time_side_by_side({"bare": forward, "darts": backtest}, *rounds)
    bare, darts = 1e3 * times["bare"] / WINDOWS, 1e3 * times["darts"] / windows
    yield from _pair("backtest", "microseconds a window", bare, darts)


def _pair(setting: str, quantity: str, bare: float, darts: float) -> Iterator[Row]:
    for method, value in (("bare network", bare), ("through Darts", darts)):
        yield {
            "part": "darts",
            "setting": setting,
            "method": method,
            "quantity": quantity,
            "value": value,
        }


PARTS = {
    "paper": measure_paper,
    "growth": measure_growth,
    "profile": measure_profile,
    "darts": measure_darts,
}


def parse_lengths(text: str) -> tuple[int, ...]:
    """Read lengths of input, start token and output, as in ``96/48/24``."""
    return tuple(map(int, text.split("/")))


def main() -> None:
    """Measure, and write the CSV."""
    parser = make_parser(__doc__, Path(__file__).with_suffix(".csv"))
    parser.add_argument("--parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--paper", type=parse_lengths, nargs="*", default=PAPER)
    parser.add_argument("--batch", type=int, default=BATCH, help="windows of a step")
    parser.add_argument("--growth", type=int, nargs="*", default=GROWTH)
    parser.add_argument("--calls", type=int, nargs="*", default=CALLS, help="attention's lengths")
    parser.add_argument("--fit-steps", type=int, nargs=2, default=(10, 50))
    parser.add_argument("--windows", type=int, default=4 * WINDOWS, help="of a backtest")
    arguments = parser.parse_args()
    prepare(arguments)
    if arguments.memory:
        print(measure_memory(json.loads(arguments.memory), arguments.device))
        return
    # Darts and Lightning announce each fit.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    for part in arguments.parts:
        write_results(PARTS[part](arguments), arguments)


if __name__ == "__main__":
    main()
