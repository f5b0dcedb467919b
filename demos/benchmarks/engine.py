"""What the engine itself costs: microseconds an operation on single numbers, and seconds to import it."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import minigen
from benchmarks import Table, torch_twins
from minigen import ops

CHAIN = 50  # operations in a row


def measure(args: argparse.Namespace, table: Table) -> None:
    libraries: dict[str, dict[str, Callable[[], Any]]] = {"minigen": work(lambda x: tensor(x, args.device), ops.tanh)}
    if torch_twins.usable(args.device):
        libraries["PyTorch"] = work(lambda x: torch_twins.torch.tensor([x], requires_grad=True), torch_twins.torch.tanh)
    for what in libraries["minigen"]:
        table.add(microseconds=what, **{name: microseconds(w[what], args.repeat) for name, w in libraries.items()})
    imports = {"minigen": "minigen", "PyTorch": "torch"}
    table.add(
        milliseconds="import, Python and NumPy running already",
        **{name: import_time(imports[name], args.repeat) for name in libraries},
    )


def tensor(x: float, device: str) -> Any:
    return minigen.tensor([x], requires_grad=True).to(device)


def work(new: Callable[[float], Any], tanh: Callable[[Any], Any]) -> dict[str, Callable[[], Any]]:
    """Functions that do `CHAIN` operations each."""
    x, y = new(0.5), new(2.0)

    def add() -> None:
        for _ in range(CHAIN):
            x + y

    def forward() -> Any:
        z = x
        for _ in range(CHAIN // 2):
            z = tanh(z) * y
        return z

    def both() -> None:
        forward().backward()
        x.grad = y.grad = None

    return {"x + y": add, "tanh(z) * y in a chain, forward": forward, "the same, forward and backward": both}


def microseconds(function: Callable[[], Any], repeat: int) -> float:
    """The least time of an operation."""
    times = []
    for _ in range(10 * repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times) / CHAIN


def import_time(module: str, repeat: int) -> float:
    """The least milliseconds that importing a module takes in a new process, after NumPy."""
    code = f"import time, numpy; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    run = lambda: subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return 1000 * min(float(run()) for _ in range(min(repeat, 5)))
