"""Drawing images pixel by pixel: with a cache, only the features at the next pixel are computed (Ramachandran et al.
2017, arXiv 1704.06001); without, the whole image goes through the model for each pixel.

The naive loop takes minutes for many images: its time is extrapolated from its first rows, unless --full.
"""

from __future__ import annotations

import argparse
import math
import time
from contextlib import suppress
from typing import Any

import numpy as np

import minigen
from benchmarks import Table
from benchmarks.models import AUTOREGRESSIVE, example
from minigen.backend import Array, to_numpy


def measure(args: argparse.Namespace, table: Table) -> None:
    limit = math.inf if args.full else args.naive_seconds
    for name in (name for name in args.models if name in AUTOREGRESSIVE):
        model, _ = example(name, args.size, 1)
        sample(model, 1, cached=True)  # warms up
        for n in args.batch_sizes:
            cached, images = sample(model, n, cached=True)
            naive, some = sample(model, n, cached=False, limit=limit)
            rows, height = some.shape[2], images.shape[2]
            same = int((some == images[:, :, :rows]).all(axis=(1, 2, 3)).sum())
            if n - same > n // 50:  # rarely, rounding changes a draw, and with it the rest of the image
                raise RuntimeError(f"{name}: with the cache, {n - same} of {n} images are others than without")
            naive, about = naive * height / rows, "~" if rows < height else ""
            table.add(
                model=name,
                images=n,
                naive_rows=f"{rows} of {height}",
                naive_s=f"{about}{naive:.2f}",
                cached_s=f"{cached:.2f}",
                speedup=f"{about}{naive / cached:.1f}",
                ms_an_image=f"{1000 * cached / n:.1f}",
                the_same_images=f"{same} of {n}",
            )


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
