"""GeneGAN takes white bars off digits and puts them onto others; it is told which images have a bar, but not where.

The bars are pasted, so that what is behind them is known. The two halves of the training digits are disjoint.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import minigen
from minigen import data, plot
from minigen.autograd import Tensor
from minigen.backend import to_numpy
from minigen.data.domains import Unpaired, halves, with_bars
from minigen.models.zoo.gene_gan import GeneGAN
from zoo_pages import Claim, digits, learn, seeds, spread

ITERATIONS = 600
CLAIM = "an object gets a code of its own, so that it can be taken off and put onto another image"
FEATURES, BATCH, OBJECTIVE = 12, 32, "non-saturating"


def learned(seed: int, args: argparse.Namespace, out: Path) -> GeneGAN:
    minigen.manual_seed(seed)
    first, second = halves(data.load("digits"), seed)
    first = replace(first, images=with_bars(first.images, seed))
    model = GeneGAN(digits.SHAPE, FEATURES, objective=OBJECTIVE)
    batches = Unpaired(first, second, BATCH, args.iterations, seed)
    return learn(model, batches, args, out / f"gene-gan-{seed}", lr={"discriminator": 5e-4, "generator": 2e-3})


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge, test = digits.Judge(out), data.load("digits", "test")[1::2]  # not those that the judge compares with
    signed = lambda images: Tensor(minigen.device().asarray(images.astype(np.float32) / 127.5 - 1))
    bare, barred = signed(test.images), signed(with_bars(test.images, seed=1))
    bars = with_bars(np.zeros_like(test.images), seed=1) > 0
    other = bare[::-1]
    models = [learned(seed, args, out) for seed in seeds(args)]
    error = lambda x: float(abs(x.data - bare.data).mean()) / 2
    removed, moved = (
        [getattr(m, what)(*xs) for m in models] for what, xs in (("removed", (barred,)), ("moved", (barred, other)))
    )
    rows = {"given": barred, "removed": removed[0], "truth": bare, "onto": other, "moved": moved[0]}
    plot.save_grid(np.concatenate([digits.shown(x[:20]) for x in rows.values()]), out / "bars.png", 20, rows=list(rows))
    read = lambda x: float((judge.read(x) == test.labels).mean())
    errors, kept = [error(x) for x in removed], [read(x) for x in removed]
    black = Tensor(barred.device.asarray(np.where(bars, np.float32(-1), to_numpy(barred.data))))
    inside = [to_numpy(x.data)[bars].mean() for x in moved]
    print(
        "errors",
        errors,
        error(barred),
        "black rows",
        error(black),
        "kept",
        kept,
        read(barred),
        read(black),
        read(bare),
        "inside",
        inside,
        to_numpy(other.data)[bars].mean(),
    )
    return []
