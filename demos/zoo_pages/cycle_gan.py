"""CycleGAN turns red digits on black into black digits on green, and back, without pairs; beside it, without a cycle.

The two domains are disjoint halves of the training digits. A classifier of digits says whether the digit is kept; both
domains become grey for it exactly. The colour is right if the mean colour is nearer to the second domain's than to the
first's. DiscoGAN and DualGAN learn the same, with as many rounds. The networks halve the side only once, and to copy
a digit is the easiest for them: without a cycle they come to it as well, only later.

DualGAN's cycle has the weight 1 here. The scores of critics as small as these, with clipped weights, differ by
hundredths; beside a weight of 500 they decide nothing, and the digits stay bright, which leads back as well.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

import minigen
from minigen import data, plot
from minigen.autograd import Tensor, no_grad
from minigen.backend import to_numpy
from minigen.data.domains import Unpaired, halves, painted
from minigen.models.zoo.cycle_gan import CycleGAN
from minigen.models.zoo.disco_gan import DiscoGAN
from minigen.models.zoo.dual_gan import DualGAN
from minigen.nn.module import evaluating
from zoo_pages import Claim, digits, learn, reaches, seeds

ITERATIONS = 400
CLAIM = "translations learned without pairs change the colour and keep the digit, if each leads back to where it began"
SHAPE, FEATURES, HALVINGS, BATCH, SHOWN = (3, 28, 28), 8, 1, 16, 20
RATES = {"discriminator": 2e-4, "generator": 2e-3}
KINDS = {
    "CycleGAN": lambda rounds: CycleGAN(SHAPE, FEATURES, HALVINGS),
    "no cycle": lambda rounds: CycleGAN(SHAPE, FEATURES, HALVINGS, cycle=0.0),
    "DiscoGAN": lambda rounds: DiscoGAN(SHAPE, FEATURES, HALVINGS, early=rounds // 3),
    "DualGAN": lambda rounds: DualGAN(SHAPE, FEATURES, HALVINGS, cycle=1.0),
}


def red(dataset: data.Dataset) -> data.Dataset:
    return replace(dataset, images=painted(dataset.images, (255, 0, 0)))


def on_green(dataset: data.Dataset) -> data.Dataset:
    return replace(dataset, images=painted(dataset.images, (0, 0, 0), (0, 255, 0)))


class Score(NamedTuple):
    """Of translations forth and back, the worse of the two."""

    kept: float
    """share of the images whose digit is read"""
    coloured: float
    """share of the images with the other domain's colour"""
    forth: Tensor
    """the translations of red digits"""
    cycle: Tensor
    """some of them, and back"""


def learned(kind: str, seed: int, args: argparse.Namespace, out: Path) -> CycleGAN:
    minigen.manual_seed(seed)
    model = KINDS[kind](args.iterations)
    first, second = halves(data.load("digits"), seed)
    parts = max(model.steps)
    batches = Unpaired(red(first), on_green(second), parts * BATCH, args.iterations, seed)
    betas = (0.0, 0.99) if kind == "DualGAN" else (0.5, 0.999)  # the former is nearly the paper's RMSprop
    return learn(model, batches, args, out / f"{kind.replace(' ', '-')}-{seed}", lr=RATES, betas=betas)


@no_grad()
def score(model: CycleGAN, x: Tensor, y: Tensor, labels: np.ndarray, judge: digits.Judge) -> Score:
    with evaluating(model):
        forth, back = model.forth(x), model.back(y)
        cycle = model.back(forth[:SHOWN])
    greys = -forth.data[:, 1:2], back.data[:, :1]  # black on green, red on black
    kept = [float((judge.read(grey) == labels).mean()) for grey in greys]
    tint = lambda images: to_numpy(images.data.mean(axis=(2, 3)))  # (N, 3)
    far = lambda images, domain: np.linalg.norm(tint(images) - tint(domain).mean(axis=0), axis=1)
    coloured = [float((far(z, to) < far(z, start)).mean()) for z, start, to in ((forth, x, y), (back, y, x))]
    return Score(min(kept), min(coloured), forth, cycle)


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge, test = digits.Judge(out), data.load("digits", "test")[1::2]  # not those that the judge compares with
    signed = lambda dataset: Tensor(minigen.device().asarray(dataset.images.astype(np.float32) / 127.5 - 1))
    x, y = signed(red(test)), signed(on_green(test))
    scores = {}
    for kind in KINDS:
        scores[kind] = [score(learned(kind, seed, args, out), x, y, test.labels, judge) for seed in seeds(args)]
    rows = {"red": x} | {kind: found[0].forth for kind, found in scores.items()}
    rows["CycleGAN, back"] = scores["CycleGAN"][0].cycle
    pictures = np.concatenate([digits.shown(images[:SHOWN]) for images in rows.values()])
    plot.save_grid(pictures, out / "translated.png", columns=SHOWN, rows=list(rows))
    claims = []
    for kind in ("CycleGAN", "DiscoGAN", "DualGAN"):
        for text, what in (("digit kept", "kept"), ("colour changed", "coloured")):
            mine, plain = ([getattr(s, what) for s in scores[name]] for name in (kind, "no cycle"))
            claims.append(reaches(f"{kind}: {text}, beside no cycle", ">= 95%", mine, plain, ".1%"))
    return claims
