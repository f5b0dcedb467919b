"""How much memory three training steps take at their peak, beyond what the process held before the first.

Each is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import Table, torch_twins
from benchmarks.models import example, training_step


def measure(args: argparse.Namespace, table: Table) -> None:
    for name in args.models:
        row: dict[str, float] = {"minigen": alone(name, args.size, False)}
        if torch_twins.usable(args.device):
            theirs = alone(name, args.size, True)
            row |= {"PyTorch": theirs, "ratio": round(row["minigen"] / theirs, 2)}
        table.add(model=name, **row)


def alone(name: str, side: int | None, twin: bool) -> int:
    """The peak in MB, from a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(peak, name, side, twin).result()


def peak(name: str, side: int | None, twin: bool) -> int:
    """The megabytes by which this process grows."""
    model, x = example(name, side)
    step = torch_twins.training_step(model, x) if twin else training_step(model, x)
    before = resident()
    for _ in range(3):
        step()
    return max(1, round((highest() - before) / 1e6))


def resident() -> float:
    """Bytes that the process holds now, where the system tells (Linux), else the most that it has held."""
    status = Path("/proc/self/status")
    return 1024 * float(re.findall(r"VmRSS:\s+(\d+)", status.read_text())[0]) if status.exists() else highest()


def highest() -> float:
    """The most bytes that the process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # a new process inherits what `getrusage` says from its parent
        return 1024 * float(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0])
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
