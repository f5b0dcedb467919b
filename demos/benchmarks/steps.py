"""Whole training steps (forward, backward, Adam; of a GAN, a round of both players), in turns with PyTorch.

On a GPU ours are captured, and the time without that stands beside; PyTorch runs eagerly.
"""

from __future__ import annotations

import argparse
import math

from benchmarks import Ratio, Table, compared, in_turns, torch_twins
from benchmarks.models import example, training_step
from minigen.capture import Captured


def measure(args: argparse.Namespace, table: Table) -> None:
    ratios = []
    for name in args.models:
        model, x = example(name, args.size)
        theirs = torch_twins.training_step(model, x) if torch_twins.usable(args.device) else None
        ours = training_step(model, x, captured=True)
        one_by_one = {}
        if args.device != "cpu":
            (one_by_one["kernel_by_kernel"],) = in_turns([training_step(model, x)], args.repeat)
            for _ in range(Captured.WARM_UP + 1):
                ours()
        row = compared(in_turns([f for f in (ours, theirs) if f], args.repeat))
        table.add(model=name, images=len(x), **one_by_one, **row)
        if isinstance(ratio := row.get("ratio"), Ratio):
            ratios.append(ratio.of_medians)
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        table.remark(f"geometric mean of the {len(ratios)} ratios of medians: {mean:.2f}")
