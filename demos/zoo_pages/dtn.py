"""DTN turns coloured digits into grey digits on white, and keeps what a classifier of the coloured ones sees.

The domains are disjoint halves of the training digits, without pairs; only the source has labels, from which f learns.
f sees half of the source's images as negatives, so that it can read digits on white at all. Another classifier, of grey
digits, says whether the digit is kept. Beside it, the same without f-constancy.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigen
from minigen import data, nn, plot
from minigen.autograd import Tensor, no_grad
from minigen.backend import to_numpy
from minigen.data.domains import Unpaired, halves, painted
from minigen.evaluate import Classifier
from minigen.models import Batch, DCGANGenerator, Player
from minigen.models.zoo.dtn import DTN
from minigen.models.zoo.heads import ConvTrunk, Heads
from minigen.nn.module import evaluating
from minigen.random import uniform
from zoo_pages import Claim, digits, learn, seeds, spread

ITERATIONS = 400
CLAIM = "a translation from colour to grey negatives, learned without pairs, keeps the digit"
SHAPE, FEATURES, BATCH = (3, 28, 28), 8, 32


def on_white(dataset: data.Dataset) -> data.Dataset:
    return replace(dataset, images=painted(dataset.images, (0, 0, 0), (255, 255, 255)))


class Reader(nn.Module):
    """A classifier that learns by itself: a game of one player. It sees half of the images as negatives."""

    def __init__(self) -> None:
        self.classifier = Classifier(SHAPE, width=FEATURES)

    def players(self) -> dict[str, Player]:
        return {"classifier": Player(self.classifier, self.loss)}

    def noise(self, n: int) -> Tensor:
        u = uniform((n, 1, 1, 1), -1.0, 1.0, device=self.device)
        return Tensor(u / abs(u))  # signs

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        return self.classifier.loss(batch.noise * batch.data, batch.labels), {}


class Score(NamedTuple):
    kept: float
    """share of the translations whose digit is read"""
    seen: float
    """share of the given images whose digit f's classifier sees"""
    translations: Tensor


def learned(seed: int, args: argparse.Namespace, out: Path) -> dict[float, DTN]:
    """A model for each weight of f-constancy, with the same f."""
    minigen.manual_seed(seed)
    source, target = halves(data.load("coloured_digits"), seed)[0], on_white(halves(data.load("digits"), seed)[1])
    loader = data.Loader(source, 2 * BATCH, pixels="signed", seed=seed)
    f = learn(Reader(), loader, args, out / f"reader-{seed}", lr=3e-3, average=None).classifier
    models = {}
    for constancy in (15.0, 0.0):
        generator = DCGANGenerator(SHAPE, f.head.weight.shape[1], FEATURES)
        model = DTN(f, generator, Heads(ConvTrunk(SHAPE, FEATURES), 3), constancy=constancy)
        batches, rates = (
            Unpaired(source, target, BATCH, args.iterations, seed),
            {"discriminator": 5e-4, "generator": 1e-3},
        )
        models[constancy] = learn(model, batches, args, out / f"dtn-{constancy:g}-{seed}", lr=rates)
    return models


@no_grad()
def score(model: DTN, test: data.Dataset, judge: digits.Judge) -> Score:
    x = Tensor(model.device.asarray(test.images.astype(np.float32) / 127.5 - 1))
    with evaluating(model):
        translations, seen = model(x), to_numpy(model.classifier(x).data).argmax(axis=1)
    grey = -translations.data.mean(axis=1, keepdims=True)
    return Score(float((judge.read(grey) == test.labels).mean()), float((seen == test.labels).mean()), translations)


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge, test = (
        digits.Judge(out),
        data.load("coloured_digits", "test")[1::2],
    )  # not those that the judge compares with
    models = [learned(seed, args, out) for seed in seeds(args)]
    mine, other = ([score(model[constancy], test, judge) for model in models] for constancy in (15.0, 0.0))
    given = test.images[:20] / 255
    rows = {
        "coloured": given,
        "DTN": digits.shown(mine[0].translations[:20]),
        "no constancy": digits.shown(other[0].translations[:20]),
    }
    plot.save_grid(np.concatenate(list(rows.values())), out / "translated.png", 20, rows=list(rows))
    kept, without = ([s.kept for s in found] for found in (mine, other))
    text = "digit kept, beside no f-constancy"
    return [Claim(text, ">= 95%", spread(kept, ".1%"), spread(without, ".1%"), bool(np.median(kept) >= 0.95))]
