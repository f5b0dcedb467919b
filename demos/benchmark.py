"""How fast is it? Four tables, of which --only chooses some.

steps         whole training steps (forward, backward, Adam) of every model, as the demos train it
convolutions  the forward pass and both gradients of single convolutions
sampling      drawing images pixel by pixel: with a cache, only the features at the next pixel are computed
              (Ramachandran et al. 2017, arXiv 1704.06001); without, the whole image goes through the model for each
growth        a training step as images and as batches grow, and the exponent e of the fit seconds ~ n^e: 1 is linear

Where PyTorch is installed (pip install -e ".[bench]") and has a twin, both work in turns in this process, in float32,
with as many threads and on the same numbers; the ratio is ours / PyTorch's. Times are milliseconds, minimum / median.
Shared machines are noisy: look at the ratios, and at the minimum.

    python demos/benchmark.py --only steps --models vae dcgan --repeat 40
    python demos/benchmark.py --only sampling --models pixelcnn --batch-sizes 100 --full
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import minigen
from common import flags, torch_twins
from common.torch_twins import torch
from minigen import grad, nn, ops, optim, train
from minigen.backend import Array, Shape, to_numpy
from minigen.models import DCGAN, GAN, VAE, GatedPixelCNN, MLPDiscriminator, MLPGenerator, PixelCNN, PixelRNN

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
THREADS = int(os.environ.get("OMP_NUM_THREADS") or CORES or 1)


class Model(NamedTuple):
    make: Callable[[Shape], nn.Module]
    batch_size: int


MODELS = {
    "vae": Model(VAE, 128),
    "gan": Model(lambda shape: GAN(MLPGenerator(shape), MLPDiscriminator(shape)), 64),
    "dcgan": Model(DCGAN, 32),
    "pixelcnn": Model(PixelCNN, 16),
    "gated": Model(GatedPixelCNN, 16),
    "row": Model(lambda shape: PixelRNN(shape, cell="row"), 16),
    "diagonal": Model(lambda shape: PixelRNN(shape, cell="diagonal"), 16),
}
AUTOREGRESSIVE = ("pixelcnn", "gated", "row", "diagonal")


def run(args: argparse.Namespace) -> None:
    library = f"PyTorch {torch.__version__}" if torch else "PyTorch is not installed: minigen alone"
    print(f"{platform.platform()}, {args.device}, {THREADS} threads; NumPy {np.__version__}; {library}")
    if torch:
        torch.set_num_threads(THREADS)
    for section in args.only:
        print(f"\n{section}")
        SECTIONS[section](args)


# -- timing ------------------------------------------------------------------------------------------------------------


def in_turns(functions: list[Callable[[], Any]], repeat: int) -> list[list[float]]:
    """The milliseconds that each function takes, `repeat` times.

    With several, a turn begins with a rest and a call that is not timed: after its call, a library's waiting threads
    take the processor from the next one for a while.
    """
    times: list[list[float]] = [[] for _ in functions]
    for i in range(repeat):
        for function, taken in zip(functions, times, strict=True):
            if len(functions) > 1:
                time.sleep(0.05)
            if len(functions) > 1 or i == 0:
                function()
            start = time.perf_counter()
            function()
            taken.append(1000 * (time.perf_counter() - start))
    return times


def columns(times: list[list[float]]) -> str:
    """Minimum / median of each, and the ratio of the first to the second."""
    text = "".join(f"{f'{min(t):.1f} / {median(t):.1f}':>17}" for t in times)
    if len(times) == 2:
        ours, theirs = times
        text += f"{f'{min(ours) / min(theirs):.2f} / {median(ours) / median(theirs):.2f}':>14}"
    return text


# -- training steps ----------------------------------------------------------------------------------------------------


def example(name: str, side: int, n: int) -> tuple[nn.Module, np.ndarray]:
    """A model for images of that side, and n random binary images."""
    minigen.manual_seed(0)
    model = MODELS[name].make((1, side, side))
    return model, np.random.default_rng(0).integers(0, 2, (n, 1, side, side), np.uint8)


def training_step(model: Any, x: np.ndarray) -> Callable[[], Any]:
    """The step that the demos train the model with, on the images x."""
    images: Array = model.device.asarray(x)
    adam = lambda module: optim.Adam(module.parameters(), torch_twins.LR)
    if isinstance(model, GAN):
        images = images.astype(np.float32)
        step: Any = train.Game(model, {name: adam(player.module) for name, player in model.players().items()})
    else:
        step = train.MaximumLikelihood(model, adam(model))

    def run_and_wait() -> None:
        step(images, None)
        next(model.parameters()).numpy()  # waits for a GPU

    return run_and_wait


def steps(args: argparse.Namespace) -> None:
    print(f"{'model':10}{'images':>8}{'minigen':>17}{'PyTorch':>17}{'ratio':>14}")
    for name in args.models:
        n = MODELS[name].batch_size
        model, x = example(name, args.size, n)
        theirs = torch_twins.training_step(model, x) if torch and args.device == "cpu" else None
        functions = [f for f in (training_step(model, x), theirs) if f]
        print(f"{name:10}{n:8}{columns(in_turns(functions, args.repeat))}", flush=True)


def growth(args: argparse.Namespace) -> None:
    for name in args.models:
        print(f"{name:10}{'size':>10}{'images':>8}{'ms':>10}{'ns/pixel':>10}")
        cases = {
            "pixels": [(side, MODELS[name].batch_size) for side in args.sizes],
            "images": [(args.size, n) for n in args.batch_sizes],
        }
        for what, shapes in cases.items():
            n = [side**2 if what == "pixels" else images for side, images in shapes]
            milliseconds = [report_step(name, side, images, args.repeat) for side, images in shapes]
            if len(set(n)) > 1:
                print(f"{'':10}seconds ~ {what}^{exponent(n, milliseconds):.2f}")


def report_step(name: str, side: int, images: int, repeat: int) -> float:
    """Time and print the steps of one case; returns the median in milliseconds."""
    (times,) = in_turns([training_step(*example(name, side, images))], repeat)
    per_pixel = 1e6 * median(times) / (images * side**2)
    print(f"{'':10}{f'{side} x {side}':>10}{images:8}{median(times):10.1f}{per_pixel:10.0f}", flush=True)
    return median(times)


def exponent(n: list[int], times: list[float]) -> float:
    """The slope of log(times) over log(n)."""
    return float(np.polyfit(np.log(n), np.log(times), 1)[0])


# -- convolutions ------------------------------------------------------------------------------------------------------


class Convolution(NamedTuple):
    operation: str
    images: int
    inputs: int
    side: int
    outputs: int
    kernel: int
    padding: int = 0
    stride: int = 1
    live: int | None = None  # the first so many taps of a masked kernel see

    def arrays(self) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """x, the weight, and the mask if there is one."""
        random, k = np.random.default_rng(0), self.kernel
        channels = (self.inputs, self.outputs) if "transpose" in self.operation else (self.outputs, self.inputs)
        x = random.standard_normal((self.images, self.inputs, self.side, self.side), dtype=np.float32)
        weight = random.standard_normal((*channels, k, k), dtype=np.float32)
        mask = {} if self.live is None else {"mask": (np.arange(k * k) < self.live).reshape(k, k).astype(np.float32)}
        return x, weight, mask


CONVOLUTIONS = [
    Convolution("conv2d", 64, 64, 28, 64, 3, padding=1),
    Convolution("conv2d", 64, 128, 14, 128, 3, padding=1),
    Convolution("conv2d", 16, 128, 32, 128, 3, padding=1),
    Convolution("conv2d", 64, 64, 28, 64, 7, padding=3),
    Convolution("masked_conv2d", 64, 1, 28, 64, 7, padding=3, live=24),
    Convolution("masked_conv2d", 64, 64, 28, 64, 3, padding=1, live=5),
    Convolution("masked_conv2d", 64, 16, 28, 16, 3, padding=1, live=5),
    Convolution("conv2d", 64, 32, 28, 16, 1),
    Convolution("conv2d", 128, 1, 28, 64, 4, padding=1, stride=2),
    Convolution("conv2d", 128, 64, 14, 128, 4, padding=1, stride=2),
    Convolution("conv_transpose2d", 128, 100, 1, 256, 7),
    Convolution("conv_transpose2d", 128, 128, 7, 64, 4, padding=1, stride=2),
    Convolution("conv_transpose2d", 128, 64, 14, 1, 4, padding=1, stride=2),
]


def convolutions(args: argparse.Namespace) -> None:
    libraries = [our_convolution, their_convolution] if torch and args.device == "cpu" else [our_convolution]
    parts = ("forward", "gradient of the input", "gradient of the weight")
    print(f"{'':64}" + "".join(f"{part:>{48 if len(libraries) == 2 else 17}}" for part in parts))
    for case in CONVOLUTIONS:
        work = [library(case, *case.arrays()) for library in libraries]
        times = [in_turns(list(functions), args.repeat) for functions in zip(*work, strict=True)]
        label = f"{case.operation:17}{case.images:4}{case.inputs:5}{case.side:4}{case.outputs:5}{case.kernel:3}"
        label += f"  stride {case.stride} padding {case.padding}" + f" live {case.live}" * (case.live is not None)
        print(f"{label:64}" + "".join(columns(part) for part in times), flush=True)


def our_convolution(case: Convolution, x: Any, weight: Any, mask: dict[str, Any]) -> list[Callable[[], Any]]:
    """The forward pass and the two gradients. x lies channels last in memory, as our convolutions leave results."""
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    x, weight = (minigen.Tensor(minigen.device().asarray(v), requires_grad=True) for v in (x, weight))
    operation = getattr(ops, case.operation)
    forward = lambda: operation(x, weight, stride=case.stride, padding=case.padding, **mask)
    out = forward()
    gradient = lambda wanted: grad(out, [wanted], out.data, create_graph=True)  # create_graph: it can be repeated
    return [forward, lambda: gradient(x), lambda: gradient(weight)]


def their_convolution(case: Convolution, x: Any, weight: Any, mask: dict[str, Any]) -> list[Callable[[], Any]]:
    """The same; PyTorch computes a masked convolution in full."""
    x, weight = (torch.from_numpy(v).requires_grad_() for v in (x, weight))
    factor = torch.from_numpy(mask["mask"]) if mask else 1.0
    operation = getattr(torch.nn.functional, case.operation.removeprefix("masked_"))
    forward = lambda: operation(x, weight * factor, stride=case.stride, padding=case.padding)
    out = forward()
    gradient = lambda wanted: torch.autograd.grad(out, [wanted], out.detach(), retain_graph=True)
    return [forward, lambda: gradient(x), lambda: gradient(weight)]


# -- sampling ----------------------------------------------------------------------------------------------------------


def sampling(args: argparse.Namespace) -> None:
    """The naive loop takes minutes for many images: its time is extrapolated from its first rows, unless --full."""
    names = ("images", "naive rows", "naive s", "cached s", "speedup", "ms/image")
    print(f"{'model':10}" + "".join(f"{name:>12}" for name in names) + "  the same images")
    limit = math.inf if args.full else args.naive_seconds
    for name in (name for name in args.models if name in AUTOREGRESSIVE):
        model, _ = example(name, args.size, 1)
        sample(model, 1, cached=True)  # warms up
        for n in args.batch_sizes:
            cached, images = sample(model, n, cached=True)
            naive, some = sample(model, n, cached=False, limit=limit)
            rows = some.shape[2]
            same = int((some == images[:, :, :rows]).all(axis=(1, 2, 3)).sum())
            if n - same > n // 50:  # rarely, rounding changes a draw, and with it the rest of the image
                raise RuntimeError(f"{name}: with the cache, {n - same} of {n} images are others than without")
            naive, about = naive * args.size / rows, "~" if rows < args.size else ""
            row = (n, f"{rows} of {args.size}", f"{about}{naive:.2f}", f"{cached:.2f}", f"{about}{naive / cached:.1f}")
            numbers = "".join(f"{value:>12}" for value in (*row, f"{1000 * cached / n:.1f}"))
            print(f"{name:10}{numbers}  {same} of {n}", flush=True)


class Stopped(Exception):
    """The time is over."""


def sample(model: Any, n: int, *, cached: bool, limit: float = math.inf) -> tuple[float, np.ndarray]:
    """Seconds for the rows that begin within `limit` seconds, and these rows, (n, C, rows, W)."""
    minigen.manual_seed(0)
    seconds, drawn = 0.0, np.empty(0)

    def watch(row: int, x: Array) -> None:
        nonlocal seconds, drawn
        drawn = to_numpy(x)[:, :, : row + 1]  # waits for a GPU
        seconds = time.perf_counter() - start
        if seconds >= limit:
            raise Stopped

    start = time.perf_counter()
    with suppress(Stopped):
        model.sample(n, cached=cached, watch=watch)
    return seconds, drawn


SECTIONS = {"steps": steps, "convolutions": convolutions, "sampling": sampling, "growth": growth}


def parser() -> flags.Parser:
    result = flags.Parser(__doc__, quick={"only": ["steps"], "repeat": 3})
    number = flags.positive
    result.add_argument("--only", nargs="+", choices=SECTIONS, default=[*SECTIONS], help="the tables to print")
    result.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS], help="the models to time")
    result.add_argument("--device", default="cpu", help='"cpu", "gpu" or "gpu:N"; PyTorch is timed on the CPU only')
    result.add_argument("--repeat", type=number, default=10, help="timed calls of each")
    result.add_argument("--size", type=number, default=28, help="height and width of the images")
    result.add_argument("--sizes", type=number, nargs="+", default=[14, 20, 28, 40], help="growth: heights and widths")
    result.add_argument("--batch-sizes", type=number, nargs="+", default=[4, 16, 64], help="sampling, growth: images")
    result.add_argument(
        "--naive-seconds", type=flags.at_least_zero, default=10.0, help="sampling: time for the naive loop's rows"
    )
    result.add_argument("--full", action="store_true", help="sampling: let the naive loop finish")
    return result


if __name__ == "__main__":
    flags.run(run, parser())
