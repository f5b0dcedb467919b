"""CCGAN with ten labelled digits of each class and 8,000 without labels, beside its classifier trained by itself.

The holes hide half of each image. With holes of a quarter and no batch normalisation D can hardly tell what was filled,
and learns little from it; by itself the classifier is better without batch normalisation, and so it stands beside. A
judge reads filled digits no better than those with black holes (0.148, 0.154); so what they look like is measured by
the Fréchet distance.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from minigen import data, ops, plot
from minigen.autograd import Tensor, no_grad
from minigen.evaluate import evaluating
from minigen.models import Batch, Player
from minigen.models.zoo.ccgan import CCGAN
from minigen.models.zoo.heads import ConvTrunk, Heads
from zoo_pages import Claim, compared, digits, few, learn, seeds

ITERATIONS = 1200
CLAIM = "telling filled holes from whole images teaches a classifier what 100 labels cannot"
BATCH = 64


class Supervised(CCGAN):
    """The classifier by itself."""

    def players(self) -> dict[str, Player]:
        return {"discriminator": Player(self.discriminator, self.cross_entropy)}

    def cross_entropy(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        images, labels = self.labelled.draw(len(batch.data))
        return ops.cross_entropy(self.discriminator(images)[1], labels), {}


def train(kind: type[CCGAN], batch_norm: bool, seed: int, args: argparse.Namespace, out: Path) -> CCGAN:
    minigen.manual_seed(seed)
    discriminator = Heads(ConvTrunk(digits.SHAPE, 16, batch_norm), 1, 10)
    model = kind(digits.SHAPE, discriminator, few.labelled(seed), hole=20)
    folder = out / f"{kind.__name__.lower()}{'' if batch_norm else '-plain'}-{seed}"
    return learn(model, digits.batches(BATCH, seed), args, folder, lr=5e-4, average="discriminator")


def accuracy(model: CCGAN, images: Any, labels: Any) -> float:
    return float((model.classify(Tensor(images)) == labels).mean())


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    images, labels = next(data.Loader(data.load("digits", "test"), 2000, pixels="signed", shuffle=False).epoch(0))
    kinds = (CCGAN, True), (Supervised, True), (Supervised, False)
    models, *alone = ([train(*kind, seed, args, out) for seed in seeds(args)] for kind in kinds)
    mine, same, plain = ([accuracy(model, images, labels) for model in kind] for kind in (models, *alone))
    filled = [fill(model, images) for model in models]
    draw(images, *filled[0], out / "filled.png")
    judge = digits.Judge(out)
    found, black = [judge.distance(y[1::2]) for y, _ in filled], judge.distance(filled[0][1][1::2])
    return [
        compared("test accuracy with 100 labels, beside D by itself", "more", mine, same),
        compared("the same, beside D by itself without batch normalisation", "more", mine, plain),
        compared("Fréchet distance of filled digits, beside black holes", "less", found, [black], ".1f"),
    ]


@no_grad()
def fill(model: CCGAN, images: Any) -> tuple[Tensor, Tensor]:
    """Images with their holes filled, and with black holes."""
    mask = model.noise(len(images))
    with evaluating(model):
        return model(Tensor(images), mask), mask * Tensor(images) - (1.0 - mask)


def draw(images: Any, filled: Tensor, known: Tensor, path: Path) -> None:
    rows = {"given": known, "filled": filled, "data": Tensor(images)}
    plot.save_grid(np.concatenate([digits.shown(x[:20]) for x in rows.values()]), path, columns=20, rows=list(rows))
