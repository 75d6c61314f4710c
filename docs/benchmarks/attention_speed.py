"""Time and memory of one attention call, forward and backward: writes attention_speed.csv.

Ours with both sparsity measurements, torch's fused full attention, and the paper's sampling of keys
for each query (textbook.py), in rounds side by side. Run from anywhere:
``python docs/benchmarks/attention_speed.py``; some minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from measuring import (
    Call,
    make_parser,
    measure_memory_apart,
    peak_memory,
    prepare,
    time_side_by_side,
    write_results,
)
from textbook import TextbookProbSparse
from torch import nn
from tqdm import tqdm

from informer_forecaster._network.attention import FullAttention, ProbSparseAttention

HEADS = {"8 of 64": (8, 64), "4 of 16": (4, 16)}  # the paper's, and small ones
SAMPLING_FACTOR = 5
TOKENS = 5000  # of a batch
LENGTHS = (96, 336, 720, 1440, 2880, 5760)
MEMORY_LENGTHS = (23040,)
METHODS = ("ours, sampled", "ours, moment", "full", "textbook")


def make_attention(method: str, causal: bool) -> nn.Module:
    """Make the attention that ``method`` names, in training."""
    if method == "full":
        return FullAttention(causal)
    if method == "textbook":
        return TextbookProbSparse(SAMPLING_FACTOR, causal)
    sparsity: Any = method.removeprefix("ours, ")
    return ProbSparseAttention(SAMPLING_FACTOR, causal, sparsity=sparsity)


def make_call(
    attention: nn.Module,
    length: int,
    device: str,
    tokens: int = TOKENS,
    heads: str = "8 of 64",
) -> tuple[Call, int]:
    """Make a forward and backward call, and count the bytes of its queries, keys and values."""
    batch = max(1, round(tokens / length))
    # Heads side by side in memory, as the products before and after an attention have them.
    q, k, v, gradient = (
        torch.randn(batch, length, *HEADS[heads], device=device).transpose(1, 2) for _ in range(4)
    )
    inputs = [x.requires_grad_() for x in (q, k, v)]

    def call() -> None:
        torch.autograd.grad(attention(*inputs), inputs, gradient)

    return call, sum(x.numel() * x.element_size() for x in inputs)


def measure_memory(request: dict[str, Any], device: str) -> float:
    """Peak memory of one call beyond its inputs, as a multiple of their bytes."""
    attention = make_attention(request["method"], request["causal"])
    # Threads and code are loaded by a call that needs next to no memory.
    make_call(attention, 96, device, tokens=96)[0]()
    call, size = make_call(attention, request["length"], device)
    return peak_memory(call, device) / size


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure all lengths; one row for the heads, a length, a mask and a method."""
    lengths = (*arguments.lengths, *arguments.memory_lengths)
    cases = list(product(arguments.heads, lengths, (False, True)))
    for heads, length, causal in tqdm(cases, desc="attention"):
        # Small heads say what the choice of the queries costs, and need less of the rest.
        is_paper = heads == "8 of 64"
        methods = METHODS if is_paper else METHODS[:-1]
        times: dict[str, float] = {}
        if length in arguments.lengths:
            calls = {
                method: make_call(
                    make_attention(method, causal), length, arguments.device, heads=heads
                )[0]
                for method in methods
            }
            times = time_side_by_side(calls, arguments.rounds, arguments.threads, arguments.seconds)
        for method in methods if is_paper or times else ():
            case = {"length": length, "causal": causal, "method": method}
            memory = measure_memory_apart(measure_memory, arguments, case) if is_paper else None
            yield {"heads": heads, **case, "milliseconds": times.get(method), "memory": memory}


def main() -> None:
    """Measure, and write the CSV."""
    parser = make_parser(__doc__, Path(__file__).with_suffix(".csv"))
    parser.add_argument("--heads", nargs="*", default=list(HEADS), choices=list(HEADS))
    parser.add_argument("--lengths", type=int, nargs="*", default=LENGTHS)
    parser.add_argument("--memory-lengths", type=int, nargs="*", default=MEMORY_LENGTHS)
    arguments = parser.parse_args()
    prepare(arguments)
    if arguments.memory:
        print(measure_memory(json.loads(arguments.memory), arguments.device))
    else:
        write_results(measure(arguments), arguments)


if __name__ == "__main__":
    main()
