"""CoGAN learns digits and their negatives, or digits and their edges, from disjoint halves of the training digits.

What the second image of a pair should be is computed from the first. Beside it, the same two GANs without shared
layers. Agreement is the share of equal pixels, as black and white; a constant image has 0.87 of them, so the overlap of
the ink, intersection over union, says more. A classifier reads the digit in digits and in negatives made positive.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

import minigen
from common.judge import as_bytes
from minigen import data, evaluate, plot
from minigen.data.domains import Unpaired, edges, halves, negatives
from minigen.models import DCGAN
from minigen.models.zoo.cogan import CoGAN
from zoo_pages import Claim, digits, learn, seeds, spread

ITERATIONS = 600
CLAIM = "shared layers make two GANs draw pairs that correspond, from images without pairs"
FEATURES, BATCH = 8, 64
DOMAINS = {"negatives": negatives, "edges": edges}
AIMS = [(domain, what, aim) for domain in DOMAINS for what, aim in (("agreement", 0.93), ("overlap", 0.6))]
AIMS.insert(2, ("negatives", "same", 0.85))


class Pairs(NamedTuple):
    """1,000 pairs of a model, beside what the second image should be."""

    images: np.ndarray  # (1000, 2, 1, 28, 28), pixels in [0, 1]
    agreement: float
    overlap: float
    same: float  # share of the pairs in which the same digit is read


def learned(domain: str, tied: bool, seed: int, args: argparse.Namespace, out: Path) -> CoGAN:
    minigen.manual_seed(seed)
    first, second = halves(data.load("digits"), seed)
    second = replace(second, images=DOMAINS[domain](second.images))
    new = lambda: DCGAN(digits.SHAPE, 64, FEATURES)
    model, name = CoGAN(new(), new(), tied=tied), "tied" if tied else "untied"
    batches, rates = Unpaired(first, second, BATCH, args.iterations, seed), {"discriminator": 5e-4, "generator": 1e-3}
    return learn(model, batches, args, out / f"{domain}-{name}-{seed}", lr=rates)


def compared(model: CoGAN, domain: str, judge: digits.Judge) -> Pairs:
    x = digits.shown(model.sample(1000))
    first, second = as_bytes(x[:, 0]), as_bytes(x[:, 1])
    right = DOMAINS[domain](first)
    ink = (lambda images: images > 127) if domain == "edges" else (lambda images: images < 128)
    agreement = ((right > 127) == (second > 127)).mean()
    overlap = evaluate.intersection_over_union(ink(right), ink(second)).mean()
    one, two = (judge.read(2 * part.astype(np.float32) - 1) for part in (x[:, 0], 1 - x[:, 1]))
    return Pairs(x, float(agreement), float(overlap), float((one == two).mean()))


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)
    found = {
        (domain, tied): [compared(learned(domain, tied, seed, args, out), domain, judge) for seed in seeds(args)]
        for domain, tied in (("negatives", True), ("negatives", False), ("edges", True))
    }
    names = ["digits", "negatives", "digits, untied", "negatives, untied", "digits", "edges"]
    first = [pairs[0].images[:20] for pairs in found.values()]
    pictures = np.concatenate([images[:, i] for images in first for i in (0, 1)])
    plot.save_grid(pictures, out / "pairs.png", columns=20, rows=names)
    claims = []
    for domain, what, aim in AIMS:
        mine = [getattr(pairs, what) for pairs in found[domain, True]]
        other = [getattr(pairs, what) for pairs in found.get((domain, False), [])]
        text, holds = f"{domain}: {what}{', beside untied GANs' * bool(other)}", bool(np.median(mine) >= aim)
        claims.append(Claim(text, f">= {aim}", spread(mine), spread(other) if other else "", holds))
    return claims
