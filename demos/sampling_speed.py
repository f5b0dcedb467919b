"""How much faster a cache makes drawing images pixel by pixel (Ramachandran et al. 2017, arXiv 1704.06001).

The naive loop sends the whole image through the model for every pixel and uses one number of what comes out; with a
cache, only the features at the next pixel are computed. Both draw the same pixels from the same seed, which is checked.
The naive loop takes minutes for many images: after --naive-seconds it is stopped, and its time so far is extrapolated
to the whole image (every row costs it the same); such times are marked with a ~, and --full avoids them. The weights
are random unless --weights gives some. Prints a table and draws the speedup by batch size in --out.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

import minigen
from minigen import command_line, plot
from minigen.backend import Array, to_numpy
from minigen.models import GatedPixelCNN, PixelCNN, PixelRNN
from minigen.models.autoregressive import Autoregressive

MODELS: dict[str, Callable[[tuple[int, int, int]], Autoregressive]] = {  # as large as the demos train them
    "pixelcnn": PixelCNN,
    "gated": GatedPixelCNN,
    "row": lambda shape: PixelRNN(shape, cell="row"),
    "diagonal": lambda shape: PixelRNN(shape, cell="diagonal"),
}
Timing = tuple[int, float, float, bool]  # images, seconds naive and cached, and whether the naive ones are extrapolated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    number = command_line.positive
    parser.add_argument("--model", choices=[*MODELS, "all"], default="pixelcnn", help="which model draws")
    parser.add_argument("--batch-sizes", type=number, nargs="+", default=[1, 4, 16, 64, 100], help="images at a time")
    parser.add_argument("--size", type=number, default=28, help="height and width of the images")
    parser.add_argument("--naive-seconds", type=float, default=20.0, help="for its rows; see above")
    parser.add_argument("--full", action="store_true", help="let the naive loop finish, however long it takes")
    parser.add_argument("--weights", type=Path, help="of one model, from its demo's default settings")
    parser.add_argument("--device", default="cpu", help='"cpu", "gpu" or "gpu:N"')
    parser.add_argument("--seed", type=int, default=0, help="of weights and images")
    parser.add_argument("--out", type=Path, default=Path("runs/sampling_speed"), help="folder for the figure")
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        run(args)


def run(args: argparse.Namespace) -> None:
    if args.weights and args.model == "all":
        raise ValueError("--weights needs one --model, not all")
    limit = math.inf if args.full else args.naive_seconds
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    print(f"Drawing images of {args.size} x {args.size} on {args.device}, {threads} threads")
    measured: dict[str, list[Timing]] = {}
    for name in MODELS if args.model == "all" else [args.model]:
        minigen.manual_seed(args.seed)
        model = MODELS[name]((1, args.size, args.size))
        if args.weights:
            minigen.load(args.weights, into=model)
        measured[name] = measure(name, model, args.batch_sizes, limit, args.seed)
    path = args.out / "sampling_speed.png"
    draw(measured, path)
    print(f"\nThe figure is {path}")


def measure(name: str, model: Autoregressive, batch_sizes: list[int], limit: float, seed: int) -> list[Timing]:
    """Prints the table of one model."""
    height = model.image_shape[1]
    sample(model, 1, seed, cached=True)  # warms up
    sample(model, 1, seed, cached=False, limit=0)
    print(f"\n{name}, seconds (~ extrapolated from the rows drawn)")
    print(f"{'images':>8}{'naive rows':>12}{'naive':>10}{'cached':>10}{'speedup':>10}{'ms/image':>10}  same images")
    timings = []
    for n in batch_sizes:
        cached, images = sample(model, n, seed, cached=True)
        naive, some = sample(model, n, seed, cached=False, limit=limit)
        done = some.shape[2]
        same = int((some == images[:, :, :done]).all(axis=(1, 2, 3)).sum())
        if n - same > n // 50:  # rarely, rounding turns a draw, and with it the rest of the image
            raise RuntimeError(f"{name}: with the cache, {n - same} of {n} images are others than without")
        naive *= height / done
        timings.append((n, naive, cached, done < height))
        about = "~" if done < height else ""
        rows_drawn, seconds, speedup = f"{done} of {height}", f"{about}{naive:.2f}", f"{about}{naive / cached:.1f}"
        columns = f"{n:8}{rows_drawn:>12}{seconds:>10}{cached:10.2f}{speedup:>10}{1000 * cached / n:10.1f}"
        print(f"{columns}  {same} of {n}", flush=True)
    return timings


class Stopped(Exception):
    """The time is over."""


def sample(
    model: Autoregressive, n: int, seed: int, *, cached: bool, limit: float = math.inf
) -> tuple[float, np.ndarray]:
    """Seconds for the rows that begin within `limit` seconds, and these rows, (n, C, rows, W)."""
    minigen.manual_seed(seed)
    seconds, drawn = 0.0, np.empty(0)

    def watch(row: int, x: Array) -> None:
        nonlocal seconds, drawn
        drawn = to_numpy(x)[:, :, : row + 1]  # waits for the GPU
        seconds = time.perf_counter() - start
        if seconds >= limit:
            raise Stopped

    start = time.perf_counter()
    with suppress(Stopped):
        model.sample(n, cached=cached, watch=watch)
    return seconds, drawn


def draw(measured: dict[str, list[Timing]], path: Path) -> None:
    """The speedup by batch size, hollow where it is extrapolated."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for k, (name, timings) in enumerate(measured.items()):
        sizes, naive, cached, extrapolated = (np.array(x) for x in zip(*timings, strict=True))
        speedup = naive / cached
        axes.loglog(sizes, speedup, "-", color=f"C{k}", label=name)
        axes.loglog(sizes[~extrapolated], speedup[~extrapolated], "o", color=f"C{k}")
        axes.loglog(sizes[extrapolated], speedup[extrapolated], "o", color=f"C{k}", markerfacecolor="white")
    labels = sorted({n for timings in measured.values() for n, *_ in timings})
    axes.set_xticks(labels, [str(n) for n in labels])
    axes.minorticks_off()
    axes.set_xlabel("images drawn at once")
    axes.set_ylabel("times faster with the cache")
    axes.set_title("Drawing images pixel by pixel (hollow: extrapolated)", fontsize=11)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    plot.save_figure(figure, path)


if __name__ == "__main__":
    main()
