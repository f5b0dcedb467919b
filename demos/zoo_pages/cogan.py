"""CoGAN learns digits and their negatives, or digits and their edges, from disjoint halves of the training digits.

What the second image of a pair should be is computed from the first. Beside the negatives stand the same two GANs
without shared layers, beside the edges the same images in wrong pairs. Agreement is the share of equal pixels, as black
and white; a constant image has 0.87 of them, so the overlap of the ink, intersection over union, says more. A
classifier reads the digit in digits and in negatives made positive.

G's last layer, which each has for itself, keeps the side, as the authors' does: where it doubles the side of the shared
maps, as DCGAN's, the second GAN does not learn what edges look like.

The edges, trained once and twice as long, are a negative result: the figure shows edges, but of a digit that only
resembles the first one. The authors make 5,000 rounds with networks about ten times as wide, which was not tried.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

import minigen
from common.judge import as_bytes
from minigen import data, evaluate, plot
from minigen.data.domains import Unpaired, edges, halves, negatives
from minigen.models import GAN, DCGANDiscriminator
from minigen.models.zoo.cogan import CoGAN
from zoo_pages import Claim, digits, learn, reaches, seeds

ITERATIONS = 1200
CLAIM = "shared layers make two GANs draw pairs that correspond, from images without pairs"
FEATURES, BATCH, PAIRS = 12, 64, 500  # the last: that are measured
DOMAINS = {"negatives": negatives, "edges": edges}
AIMS = {"negatives": {"agreement": 0.93, "overlap": 0.6, "same": 0.85}, "edges": {"agreement": 0.93, "overlap": 0.6}}


class Pairs(NamedTuple):
    """How well the second images of pairs fit the first."""

    agreement: float
    overlap: float
    same: float
    """share of the pairs in which the same digit is read"""


def learned(domain: str, tied: bool, seed: int, args: argparse.Namespace, out: Path) -> CoGAN:
    minigen.manual_seed(seed)
    first, second = halves(data.load("digits"), seed)
    second = replace(second, images=DOMAINS[domain](second.images))
    rounds = args.iterations if domain == "edges" else -(-args.iterations // 2)
    args = argparse.Namespace(**vars(args) | {"iterations": rounds})
    generator = lambda: digits.FullSizeGenerator(64, (7, 14, 28), (64, 32, 16))
    new = lambda: GAN(generator(), DCGANDiscriminator(digits.SHAPE, FEATURES))
    model, name = CoGAN(new(), new(), tied=tied), "tied" if tied else "untied"
    batches, rates = Unpaired(first, second, BATCH, args.iterations, seed), {"discriminator": 5e-4, "generator": 1e-3}
    return learn(model, batches, args, out / f"{domain}-{name}-{seed}", lr=rates)


def compared(x: np.ndarray, domain: str, judge: digits.Judge) -> Pairs:
    """Of pairs (N, 2, 1, 28, 28) with pixels in [0, 1]."""
    first, second = as_bytes(x[:, 0]), as_bytes(x[:, 1])
    right = DOMAINS[domain](first)
    ink = (lambda images: images > 127) if domain == "edges" else (lambda images: images < 128)
    agreement = (ink(right) == ink(second)).mean()
    overlap = evaluate.intersection_over_union(ink(right), ink(second)).mean()
    one, two = (judge.read(2 * images.astype(np.float32) - 1) for images in (x[:, 0], 1 - x[:, 1]))
    return Pairs(float(agreement), float(overlap), float((one == two).mean()))


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)

    def drawn(domain: str, tied: bool, which: Sequence[int]) -> list[np.ndarray]:
        return [digits.shown(learned(domain, tied, seed, args, out).sample(PAIRS)) for seed in which]

    mine = {"negatives": drawn("negatives", True, seeds(args)), "edges": drawn("edges", True, seeds(args)[:1])}
    wrong = [np.stack([x[:, 0], np.roll(x[:, 1], 1, axis=0)], axis=1) for x in mine["edges"]]
    other = {"negatives": drawn("negatives", False, seeds(args)), "edges": wrong}
    rows = {"digits": mine["negatives"], "digits, untied": other["negatives"], "digits ": mine["edges"]}
    names = [name for pair in zip(rows, ("negatives", "negatives, untied", "edges"), strict=True) for name in pair]
    pictures = np.concatenate([x[0][:20, i] for x in rows.values() for i in (0, 1)])
    plot.save_grid(pictures, out / "pairs.png", columns=20, rows=names)
    claims = []
    for domain, beside in (("negatives", "untied GANs"), ("edges", "wrong pairs")):
        found, others = ([compared(x, domain, judge) for x in kind[domain]] for kind in (mine, other))
        for what, aim in AIMS[domain].items():
            values, theirs = ([getattr(pairs, what) for pairs in kind] for kind in (found, others))
            claims.append(reaches(f"{domain}: {what}, beside {beside}", f">= {aim}", values, theirs))
    return claims
