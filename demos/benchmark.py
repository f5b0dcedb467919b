"""How fast is it? Eight tables, of which --only chooses some.

steps         whole training steps (forward, backward, Adam) of every model, of about the demos' sizes
convolutions  the forward pass and both gradients of single convolutions
sampling      drawing images pixel by pixel, with a cache and without
growth        a training step as images and as batches grow
engine        an operation on single numbers, and the import
memory        the peak memory of training steps
launches      what a GPU would have to do: kernels, waits of the host and transfers, counted without a card
parallel      training steps of two processes beside those of two threads, and what more processes would bring

Where PyTorch is installed (pip install -e ".[bench]"), both work in turns in this process, in float32, with as many
threads (OMP_NUM_THREADS) and on the same weights; the ratio is ours / PyTorch's. Times are milliseconds, minimum /
median. Shared machines are noisy: look at the ratios, and at the minimum. The folder --out gets the tables as Markdown,
all numbers as JSON, and a figure of the ratios.

    python demos/benchmark.py --only steps --models vae dcgan --repeat 40
    python demos/benchmark.py --only sampling --models pixelcnn --batch-sizes 100 --full
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import minigen
from benchmarks import (
    Ratio,
    Table,
    convolutions,
    engine,
    growth,
    launches,
    memory,
    parallel,
    sampling,
    steps,
    torch_twins,
)
from benchmarks.models import MODELS
from common import flags
from common.figures import new_figure, save_small
from minigen.files import atomic_write

TABLES: dict[str, ModuleType] = {
    "steps": steps,
    "convolutions": convolutions,
    "sampling": sampling,
    "growth": growth,
    "engine": engine,
    "memory": memory,
    "launches": launches,
    "parallel": parallel,
}
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
THREADS = int(os.environ.get("OMP_NUM_THREADS") or CORES or 1)


def run(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    print(machine := describe(args.device))
    torch_twins.prepare(args.device, THREADS)
    tables = []
    for name in args.only:
        tables.append(table := Table(name, summary(TABLES[name])))
        TABLES[name].measure(args, table)
        write(tables, machine, args.out)
    print(f"\nThe tables are in {args.out}/ as Markdown and as JSON")


def describe(device: str) -> str:
    """The machine, the threads and the libraries."""
    library = torch_twins.version() or "PyTorch is not installed: minigen alone"
    return f"{processor()}, {platform.platform()}, {card(device)}, {THREADS} threads; NumPy {np.__version__}; {library}"


def card(device: str) -> str:
    """A GPU's name, and the version of CuPy."""
    if device == "cpu":
        return device
    gpu = minigen.device(device)
    name = gpu.module.cuda.runtime.getDeviceProperties(gpu.index)["name"].decode()
    return f"{name}, CuPy {gpu.module.__version__}"


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def summary(module: ModuleType) -> str:
    """The first paragraph of a module's docstring, on one line."""
    return " ".join((module.__doc__ or "").split("\n\n")[0].split())


def write(tables: list[Table], machine: str, out: Path) -> None:
    """All files, after each table, so that nothing is lost if a later one is interrupted."""
    found: dict[str, Any] = {"machine": machine, "tables": {table.title: table.json() for table in tables}}
    with atomic_write(out / "benchmark.json") as path:
        path.write_text(json.dumps(found, indent=1))
    with atomic_write(out / "benchmark.md") as path:
        path.write_text("\n\n".join([machine, *(table.markdown() for table in tables)]) + "\n")
    for table in tables:
        if table.title == "steps" and any("ratio" in row for row in table.rows):
            draw_ratios(table.rows, out / "ratios.png")


def draw_ratios(rows: list[dict[str, Any]], path: Path) -> None:
    """A bar for each model: how long our step takes beside PyTorch's."""
    rows = [row for row in rows if isinstance(row.get("ratio"), Ratio)][::-1]
    ratios = [row["ratio"].of_medians for row in rows]
    figure = new_figure(7, 0.6 + 0.3 * len(rows))
    axes = figure.subplots()
    bars = axes.barh([row["model"] for row in rows], ratios, color=["#4878a8" if r <= 1 else "#c8884a" for r in ratios])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("time of a training step, minigen / PyTorch (below 1: minigen is faster)")
    axes.set_xlim(0, 1.15 * max([1, *ratios]))
    axes.spines[["top", "right"]].set_visible(False)
    save_small(figure, path)


def parser() -> flags.Parser:
    result = flags.Parser(__doc__, quick={"only": ["steps", "engine"], "repeat": 3})
    number = flags.positive
    result.add_argument("--only", nargs="+", choices=TABLES, default=[*TABLES], help="the tables to print")
    result.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS], help="the models to time")
    result.add_argument("--device", default="cpu", help='"cpu", "gpu" or "gpu:N"')
    result.add_argument("--repeat", type=number, default=10, help="timed calls of each")
    result.add_argument("--size", type=number, help="height and width of the images (default: the model's own)")
    result.add_argument("--sizes", type=number, nargs="+", default=[16, 20, 28, 40], help="growth: heights and widths")
    result.add_argument("--batch-sizes", type=number, nargs="+", default=[4, 16, 64], help="sampling, growth: images")
    result.add_argument(
        "--naive-seconds", type=flags.at_least_zero, default=10.0, help="sampling: time for the naive loop's rows"
    )
    result.add_argument("--full", action="store_true", help="sampling: let the naive loop finish")
    result.add_argument("--out", type=Path, default=Path("runs/benchmark"), help="folder for the tables and the figure")
    return result


if __name__ == "__main__":
    flags.run(run, parser())
