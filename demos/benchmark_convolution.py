"""How long convolutions take: ours, and beside it PyTorch's where that is installed.

    python demos/benchmark_convolution.py --repeat 10

Milliseconds in float32, the fastest / the median of the repeats, for the forward pass and for the gradients of the
input and of the weight. Both libraries work in turns on the same numbers; between turns both rest, since the waiting
threads of one take the processor from the other. PyTorch computes masked convolutions in full. On a busy machine
look at the fastest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from minigen import ops
from minigen.autograd import Tensor, grad

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

Work = list[Callable[[], Any]]  # forward, gradient of the input, gradient of the weight

# operation, images, channels in, size, channels out, kernel, options
SHAPES: list[tuple[str, int, int, int, int, int, dict[str, int]]] = [
    ("conv2d", 64, 64, 28, 64, 3, {"padding": 1}),
    ("conv2d", 64, 128, 14, 128, 3, {"padding": 1}),
    ("conv2d", 16, 128, 32, 128, 3, {"padding": 1}),
    ("conv2d", 64, 64, 28, 64, 7, {"padding": 3}),
    ("masked_conv2d", 64, 1, 28, 64, 7, {"padding": 3, "live": 24}),  # the kernel's first so many taps are live
    ("masked_conv2d", 64, 64, 28, 64, 3, {"padding": 1, "live": 5}),
    ("masked_conv2d", 64, 16, 28, 16, 3, {"padding": 1, "live": 5}),
    ("conv2d", 64, 32, 28, 16, 1, {}),
    ("conv2d", 128, 1, 28, 64, 4, {"stride": 2, "padding": 1}),
    ("conv2d", 128, 64, 14, 128, 4, {"stride": 2, "padding": 1}),
    ("conv_transpose2d", 128, 100, 1, 256, 7, {}),
    ("conv_transpose2d", 128, 128, 7, 64, 4, {"stride": 2, "padding": 1}),
    ("conv_transpose2d", 128, 64, 14, 1, 4, {"stride": 2, "padding": 1}),
]


def ours(operation: str, x: Any, weight: Any, g: Any, options: dict[str, Any]) -> Work:
    # channels last in memory, as our convolutions leave their results
    x, g = (np.ascontiguousarray(v.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for v in (x, g))
    x, weight = Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)
    forward = lambda: getattr(ops, operation)(x, weight, **options)
    out = forward()
    gradient = lambda wanted: grad(out, [wanted], g, create_graph=True)  # create_graph: so that it can be repeated
    return [forward, lambda: gradient(x), lambda: gradient(weight)]


def theirs(operation: str, x: Any, weight: Any, g: Any, options: dict[str, Any]) -> Work:
    x, weight, g = (torch.from_numpy(v) for v in (x, weight, g))
    x.requires_grad, weight.requires_grad = True, True
    mask = torch.from_numpy(options.pop("mask", np.ones(1, np.float32)))
    function = getattr(torch.nn.functional, operation.removeprefix("masked_"))
    forward = lambda: function(x, weight * mask, **options)
    out = forward()
    gradient = lambda wanted: torch.autograd.grad(out, [wanted], g, retain_graph=True)
    return [forward, lambda: gradient(x), lambda: gradient(weight)]


def milliseconds(function: Callable[[], Any]) -> float:
    function()
    start = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="how often each is timed (default: 5)")
    parser.add_argument("--threads", type=int, default=2, help="PyTorch's threads (ours: OMP_NUM_THREADS)")
    arguments = parser.parse_args()
    if torch is not None:
        torch.set_num_threads(arguments.threads)
    print(f"{'':57}{'forward':>33}{'gradient of input':>33}{'gradient of weight':>33}")
    print(f"{'ms, fastest/median':57}" + 3 * f"{'ours':>14}{'torch':>14}{'':5}")
    for operation, images, channels, size, out_channels, kernel, options in SHAPES:
        random = np.random.default_rng(0)
        settings: dict[str, Any] = dict(options)
        live = settings.pop("live", None)
        if live is not None:
            settings["mask"] = (np.arange(kernel**2) < live).reshape(kernel, kernel).astype(np.float32)
        shape = (channels, out_channels) if operation == "conv_transpose2d" else (out_channels, channels)
        x = random.standard_normal((images, channels, size, size), dtype=np.float32)
        weight = random.standard_normal((*shape, kernel, kernel), dtype=np.float32)
        stride, padding = options.get("stride", 1), options.get("padding", 0)
        if operation == "conv_transpose2d":
            out_size = stride * (size - 1) + kernel - 2 * padding
        else:
            out_size = (size + 2 * padding - kernel) // stride + 1
        g = random.standard_normal((images, out_channels, out_size, out_size), dtype=np.float32)
        libraries = [ours, theirs] if torch is not None else [ours]
        work = [library(operation, x, weight, g, dict(settings)) for library in libraries]
        times: list[list[list[float]]] = [[[] for _ in range(3)] for _ in work]
        for _ in range(arguments.repeat):
            for turn, three in zip(times, work, strict=True):
                time.sleep(0.1)
                for taken, function in zip(turn, three, strict=True):
                    taken.append(milliseconds(function))
        line = f"{operation:17}{images:4}{channels:5}{size:4}{out_channels:5}{kernel:3}  "
        line = f"{line + ' '.join(f'{k} {v}' for k, v in options.items()):57}"
        for part in range(3):
            line += "".join(f"{f'{min(t[part]):.1f}/{median(t[part]):.1f}':>14}" for t in times)
            if torch is not None:
                line += f"{min(times[0][part]) / min(times[1][part]):4.1f}x"
        print(line, flush=True)


if __name__ == "__main__":
    main()
