"""The time of a training step (forward, backward, Adam) as images grow and as batches grow.

Convolutions cost as much for every pixel, and so do the recurrent layers, whose steps become longer and more numerous
with the image: the time is linear in the number of pixels and in that of images. Prints the median of --repeat steps,
that time for each pixel of each image, and the exponent e of the fit seconds ~ n^e: 1 is linear, and below 1 the
overhead of every operation, which does not grow, still counts. Shared machines are noisy; look twice.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from statistics import median

import numpy as np

import minigen
from minigen import command_line, optim
from minigen.models import GatedPixelCNN, PixelCNN, PixelRNN
from minigen.models.autoregressive import Autoregressive

MODELS: dict[str, Callable[[tuple[int, int, int]], Autoregressive]] = {  # as large as the demos train them
    "pixelcnn": PixelCNN,
    "gated": GatedPixelCNN,
    "row": lambda shape: PixelRNN(shape, cell="row"),
    "diagonal": lambda shape: PixelRNN(shape, cell="diagonal"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    number = command_line.positive
    parser.add_argument("--model", choices=[*MODELS, "all"], default="all", help="which model learns")
    parser.add_argument("--sizes", type=number, nargs="+", default=[14, 20, 28, 40], help="heights and widths")
    parser.add_argument("--batch-sizes", type=number, nargs="+", default=[4, 8, 16, 32], help="images in a step")
    parser.add_argument("--size", type=number, default=28, help="height and width while the batches grow")
    parser.add_argument("--batch-size", type=number, default=16, help="images in a step while the images grow")
    parser.add_argument("--repeat", type=number, default=5, help="timed steps of each")
    parser.add_argument("--device", default="cpu", help='"cpu", "gpu" or "gpu:N"')
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        run(args)


def run(args: argparse.Namespace) -> None:
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    print(f"A training step on {args.device}, {threads} threads; the median of {args.repeat}")
    for name in MODELS if args.model == "all" else [args.model]:
        print(f"\n{name:10}{'size':>8}{'images':>8}{'ms/step':>10}{'ns/pixel':>10}")
        seconds = [report(name, size, args.batch_size, args.repeat) for size in args.sizes]
        report_exponent("pixels", [size * size for size in args.sizes], seconds)
        seconds = [report(name, args.size, images, args.repeat) for images in args.batch_sizes]
        report_exponent("images", args.batch_sizes, seconds)


def report(name: str, size: int, images: int, repeat: int) -> float:
    """Times and prints one case; returns the seconds of a step."""
    seconds = time_of_step(MODELS[name]((1, size, size)), images, repeat)
    per_pixel = 1e9 * seconds / (images * size * size)
    print(f"{f'{size} x {size}':>18}{images:8}{1e3 * seconds:10.1f}{per_pixel:10.0f}", flush=True)
    return seconds


def time_of_step(model: Autoregressive, images: int, repeat: int) -> float:
    """The median of the seconds that training steps on random images take, after one that warms up."""
    random = np.random.default_rng(0)
    x = model.device.asarray(random.integers(0, 2, (images, *model.image_shape), np.uint8))
    adam = optim.Adam(model.parameters(), 1e-3)
    seconds = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        loss = model.loss(x)
        adam.zero_grad()
        loss.backward()
        adam.step()
        next(model.parameters()).numpy()  # waits for the GPU
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:])


def report_exponent(what: str, n: list[int], seconds: list[float]) -> None:
    """Prints the slope of log(seconds) over log(n), which takes two values of n."""
    if len(set(n)) > 1:
        slope = np.polyfit(np.log(n), np.log(seconds), 1)[0]
        print(f"{'':10}seconds ~ {what}^{slope:.2f}")


if __name__ == "__main__":
    main()
