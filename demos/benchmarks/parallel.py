"""Training steps of one process with one thread and with two, and of two processes with one thread each.

Then a model of a step's time for n processes. A step of one process takes c + k N for N images. Of n processes, each
computes N / n images, and the gradients are summed in a ring, which moves every byte 2 (n - 1) / n times:

    t(n) = c + k N / n + 2 (n - 1) / n bytes / bandwidth + messages ceil(log2 n) latency

c and k come from the processor's time for steps with N and N / 2 images, which other programs disturb less; bandwidth
and latency come from sums of a long and of a short array.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import Ratio, Table, Times
from benchmarks.models import example, training_step
from common.figures import new_figure, save_small
from minigen import train

NETWORKS = {"one machine": None, "machines with 1 Gbit/s": (125e6, 50e-6), "machines with 25 Gbit/s": (3e9, 10e-6)}
"""What connects the processes: bytes a second and seconds of latency. Those of one machine are measured."""
PROCESSES = (1, 2, 4, 8, 16, 32)


def measure(args: argparse.Namespace, table: Table) -> None:
    if shutil.which("mpiexec") is None:
        table.remark('there is no mpiexec: pip install "minigen[parallel]"')
        return
    models = {}
    for name in args.models:
        one, two, both = (steps_of(name, n, threads, args) for n, threads in ((1, 1), (1, 2), (2, 1)))
        half, both_times, two_times = steps_of(name, 1, 1, args, share=0.5), Times(both["ms"]), Times(two["ms"])
        table.add(
            model=name,
            one_thread=Times(one["ms"]),
            two_threads=two_times,
            two_processes=both_times,
            faster=Ratio(two_times, both_times),
            of_it_summing=f"{both['sum_ms']:.2f}",
            megabytes=f"{both['bytes'] / 1e6:.2f}",
        )
        models[name] = StepTime(one["processor_ms"] / 1e3, half["processor_ms"] / 1e3, both)
    for name, model in models.items():
        table.remark(f"{name}: {model.limit()}")
    draw(models, args.out / "parallel.png")


def steps_of(name: str, processes: int, threads: int, args: argparse.Namespace, share: float = 1.0) -> dict[str, Any]:
    """What `worker` prints, of so many processes that have so many threads each."""
    demos = Path(__file__).parents[1]
    path = os.pathsep.join([str(demos), str(demos.parent)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
    case = json.dumps([name, args.size, args.repeat, share])
    worker = ["mpiexec", "-n", str(processes), sys.executable, __file__, case]
    ended = subprocess.run(worker, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"parallel: {processes} processes of {name} failed: {ended.stderr.strip()}")
    return json.loads(ended.stdout)


def worker(name: str, side: int | None, repeat: int, share: float) -> None:
    """Time training steps together with the other processes; the first one prints what it found as JSON."""
    with train.parallel.together() as group:
        model, x = example(name, side)
        step = training_step(model, x[: round(share * len(x))])
        step()
        before = group.count
        step()
        messages = group.count - before
        gradient = np.zeros(sum(p.size for p in model.parameters()), np.float32)
        short = np.zeros(1)
        found = {
            "messages": messages,
            "bytes": gradient.nbytes,
            "ms": [timed(group, step) for _ in range(repeat)],
            "processor_ms": min(timed(group, step, time.process_time) for _ in range(repeat)),
            "sum_ms": min(timed(group, lambda: group.sum(gradient)) for _ in range(200)),
            "latency_ms": min(timed(group, lambda: group.sum(short)) for _ in range(200)),
        }
        if group.rank == 0:
            print(json.dumps(found))


def timed(
    group: train.parallel.MPIGroup, work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Milliseconds of work that all processes begin at the same time."""
    group.sum(np.zeros(1))
    start = clock()
    work()
    return 1000 * (clock() - start)


class StepTime:
    """The model of the step's time.

    whole, half    seconds of a step of one process, of all images and of half of them
    sums           what the first of two processes found of sums, see `worker`
    """

    def __init__(self, whole: float, half: float, sums: dict[str, Any]) -> None:
        self.undivided = max(2 * half - whole, 0.0)
        self.divided = whole - self.undivided
        self.bytes, self.messages = sums["bytes"], sums["messages"]
        self.latency = sums["latency_ms"] / 1e3
        self.bandwidth = self.bytes / max(sums["sum_ms"] / 1e3 - self.latency, 1e-9)

    def parts(self, n: int, network: tuple[float, float] | None = None) -> dict[str, float]:
        """Seconds of a step of n processes, by what takes them."""
        bandwidth, latency = network or (self.bandwidth, self.latency)
        return {
            "what every process does for any number of images": self.undivided,
            "the images": self.divided / n,
            "the bytes of the gradient": 2 * (n - 1) / n * self.bytes / bandwidth,
            "the number of messages": self.messages * math.ceil(math.log2(n)) * latency,
        }

    def speedup(self, n: int, network: tuple[float, float] | None = None) -> float:
        return (self.undivided + self.divided) / sum(self.parts(n, network).values())

    def limit(self) -> str:
        """What takes most of the step of 8 processes, beside the images."""
        texts = []
        for where, network in NETWORKS.items():
            parts = self.parts(8, network)
            del parts["the images"]
            texts.append(
                f"{where}: {self.speedup(8, network):.1f} times, limited by {max(parts, key=parts.__getitem__)}"
            )
        return "8 processes, " + "; ".join(texts)


def draw(models: dict[str, StepTime], path: Path) -> None:
    """How many times faster n processes are, in the model: a panel for each network, a line for each model."""
    figure = new_figure(3.2 * len(NETWORKS), 3.2)
    for axes, (where, network) in zip(figure.subplots(1, len(NETWORKS), sharey=True), NETWORKS.items(), strict=True):
        axes.plot(PROCESSES, PROCESSES, color="lightgray", linestyle="--")
        for name, model in models.items():
            axes.plot(PROCESSES, [model.speedup(n, network) for n in PROCESSES], marker=".", label=name)
        axes.set(xscale="log", yscale="log", xticks=PROCESSES, yticks=PROCESSES, title=where, xlabel="processes")
        axes.set_xticks(PROCESSES, PROCESSES, minor=False)
        axes.set_yticks(PROCESSES, PROCESSES, minor=False)
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("speedup of the model")
    figure.axes[0].legend(frameon=False, fontsize=7)
    save_small(figure, path)


if __name__ == "__main__":
    worker(*json.loads(sys.argv[1]))
