"""Whole training steps (forward, backward, Adam; of a GAN, a round of both players), in turns with PyTorch."""

from __future__ import annotations

import argparse
import math

from benchmarks import Ratio, Table, compared, in_turns, torch_twins
from benchmarks.models import example, training_step


def measure(args: argparse.Namespace, table: Table) -> None:
    ratios = []
    for name in args.models:
        model, x = example(name, args.size)
        theirs = torch_twins.training_step(model, x) if torch_twins.usable(args.device) else None
        row = compared(in_turns([f for f in (training_step(model, x), theirs) if f], args.repeat))
        table.add(model=name, images=len(x), **row)
        if isinstance(ratio := row.get("ratio"), Ratio):
            ratios.append(ratio.of_medians)
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        table.remark(f"geometric mean of the {len(ratios)} ratios of medians: {mean:.2f}")
