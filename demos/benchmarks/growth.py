"""A training step as images and as batches grow, and the exponent e of the fit milliseconds ~ n^e: 1 is linear."""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks import Table, Times, in_turns
from benchmarks.models import MODELS, example, training_step


def measure(args: argparse.Namespace, table: Table) -> None:
    for name in args.models:
        side, n = args.size or MODELS[name].image_shape[1], MODELS[name].batch_size
        for what, cases in (
            ("pixels", [(size, n) for size in args.sizes]),
            ("images", [(side, images) for images in args.batch_sizes]),
        ):
            times = [step_time(table, name, size, images, args.repeat) for size, images in cases]
            numbers = [size**2 if what == "pixels" else images for size, images in cases]
            if len(set(numbers)) > 1:
                table.remark(f"{name}: milliseconds ~ {what}^{exponent(numbers, [t.median for t in times]):.2f}")


def step_time(table: Table, name: str, side: int, images: int, repeat: int) -> Times:
    """Time the steps of one case, as a row of the table."""
    (times,) = in_turns([training_step(*example(name, side, images))], repeat)
    per_pixel = 1e6 * times.median / (images * side**2)
    table.add(model=name, size=f"{side} x {side}", images=images, milliseconds=times, ns_a_pixel=round(per_pixel))
    return times


def exponent(n: list[int], times: list[float]) -> float:
    """The slope of log(times) over log(n)."""
    return float(np.polyfit(np.log(n), np.log(times), 1)[0])
