"""What the speed benchmarks share: arguments, rounds side by side, peak memory, the CSV files."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.benchmark import Timer

Call = Callable[[], Any]

MEASURED = ("value", "milliseconds", "memory")  # columns; the others name a case


def make_parser(description: str | None, output: Path) -> argparse.ArgumentParser:
    """Make the arguments that every benchmark has."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7, help="medians are taken over these")
    parser.add_argument("--seconds", type=float, default=0.2, help="least time of a call's round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=output, help="the CSV to write")
    # One measurement of memory, in JSON: the benchmark starts itself with it.
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    return parser


def prepare(arguments: argparse.Namespace) -> None:
    """Set the threads and the seed."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)


def describe_machine(device: str) -> str:
    """Describe processor or GPU, and the versions that decide the speed."""
    if device == "cpu":
        name = f"{_processor()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    else:
        name = torch.cuda.get_device_name()
    return f"{name}; torch {torch.__version__}, Python {platform.python_version()}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def time_side_by_side(
    calls: dict[str, Call], rounds: int, threads: int, seconds: float
) -> dict[str, float]:
    """Milliseconds of each call: medians over rounds in which they take turns.

    Turns spread what else the machine does over all of them.

    Parameters
    ----------
    calls : dict of str to callable
        What to time, by name.
    rounds : int
        Rounds after one for warming up.
    threads : int
        Threads of torch.
    seconds : float
        Least time that a call is repeated for in a round.
    """
    timers = {
        name: Timer("call()", globals={"call": call}, num_threads=threads)
        for name, call in calls.items()
    }
    runs: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, timer in timers.items():
            runs[name].append(timer.blocked_autorange(min_run_time=seconds).median)
    return {name: 1e3 * statistics.median(times) for name, times in runs.items()}


def peak_memory(call: Call, device: str) -> int:
    """Bytes that ``call`` needs at its peak beyond those that are held before it.

    On a CPU it has to be the first large call of a process: the allocator keeps what was freed.
    """
    gc.collect()
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - held
    # Linux alone: 5 sets the peak back. `ru_maxrss` would be that of the parent process at first.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    held = _status("VmRSS")
    call()
    return _status("VmHWM") - held


def _status(field: str) -> int:
    """Read a number of bytes from the kernel's view of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise ValueError(f"the kernel reports no `{field}`.")


def measure_memory_apart(
    measure: Callable[[dict[str, Any], str], float],
    arguments: argparse.Namespace,
    request: dict[str, Any],
) -> float:
    """Measure memory in a new process: ``script --memory request`` prints a number.

    A GPU's allocator counts what each call holds, and needs no process of its own.
    """
    if arguments.device != "cpu":
        return measure(request, arguments.device)
    command = [sys.executable, measure.__code__.co_filename, "--memory", json.dumps(request)]
    for name in ("device", "threads", "seed"):
        command += [f"--{name}", str(getattr(arguments, name))]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def write_results(rows: Iterable[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """Write each row to the CSV as it comes; it replaces the one of the same case and device."""
    place = {
        "machine": describe_machine(arguments.device),
        "device": arguments.device,
        "threads": arguments.threads,
    }
    path: Path = arguments.output
    results = pd.read_csv(path) if path.exists() else pd.DataFrame()
    for row in rows:
        results = pd.concat([results, pd.DataFrame([{**place, **row}])], ignore_index=True)
        case = [name for name in results if name not in ("machine", *MEASURED)]
        results = results.drop_duplicates(case, keep="last")
        results.to_csv(path, index=False, float_format="%.4g")
