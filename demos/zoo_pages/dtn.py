"""DTN turns coloured digits into grey digits on white, and keeps what a classifier of the coloured ones sees.

The domains are disjoint halves of the training digits, without pairs; only the source has labels, from which f learns.
f has to read both domains: it sees the source's images moved a little, and each of their channels as a negative half of
the time, so that neither the ground nor the colour of the ink helps it. With whole images as negatives only, it read
95 % of the source but 89 % of the target, and the translation kept 83 % of the digits. Another classifier, of grey
digits, says whether the digit is kept. Beside it, once, the same without f-constancy.

What f reads of the source bounds what can be kept. Most of the rest is lost in what f does not see: of one model's
translations f read 95.5 %, the other classifier 91.2 %. Neither noise on D's input helped, nor a last layer of G that
keeps the side.
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
from minigen.backend import array_module, to_numpy
from minigen.data.domains import Unpaired, halves, painted
from minigen.evaluate import Classifier
from minigen.models import Batch, DCGANGenerator, Player
from minigen.models.zoo.dtn import DTN
from minigen.models.zoo.heads import ConvTrunk, Heads
from minigen.nn.module import evaluating
from minigen.random import random_generator, uniform
from zoo_pages import Claim, compared, digits, learn, reaches, seeds

ITERATIONS = 1600
CLAIM = "a translation from colour to grey negatives, learned without pairs, keeps the digit"
SHAPE, FEATURES, BATCH = (3, 28, 28), 16, 32
RATES = {"discriminator": 2e-4, "generator": 1e-3}


def on_white(dataset: data.Dataset) -> data.Dataset:
    return replace(dataset, images=painted(dataset.images, (0, 0, 0), (255, 255, 255)))


class Reader(nn.Module):
    """A classifier that learns by itself: a game of one player. It sees each channel as a negative half of the time."""

    def __init__(self) -> None:
        self.classifier = Classifier(SHAPE)

    def players(self) -> dict[str, Player]:
        return {"classifier": Player(self.classifier, self.loss)}

    def noise(self, n: int) -> Tensor:
        u = uniform((n, SHAPE[0], 1, 1), -1.0, 1.0, device=self.device)
        return Tensor(1 - 2 * (u < 0).astype(u.dtype))  # signs

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        moved = array_module(batch.data).roll(batch.data, tuple(random_generator().integers(-1, 2, 2)), axis=(2, 3))
        return self.classifier.loss(batch.noise * moved, batch.labels), {}


class Score(NamedTuple):
    kept: float
    """share of the translations whose digit is read"""
    distance: float
    """Fréchet distance of their grey negatives to digits"""
    seen: float
    """share of the given images whose digit f's classifier reads"""
    translations: Tensor


def learned(seed: int, args: argparse.Namespace, out: Path) -> list[DTN]:
    """With f-constancy; for the first seed also without it, with the same f."""
    minigen.manual_seed(seed)
    source, target = halves(data.load("coloured_digits"), seed)[0], on_white(halves(data.load("digits"), seed)[1])
    loader = data.Loader(source, 2 * BATCH, pixels="signed", seed=seed)
    longer = argparse.Namespace(**vars(args) | {"iterations": 2 * args.iterations})
    f = learn(Reader(), loader, longer, out / f"reader-{seed}", lr=1e-3, average=None).classifier
    batches = Unpaired(source, target, BATCH, args.iterations, seed)
    models = []
    for constancy in (15.0, 0.0) if seed == args.seed else (15.0,):
        generator = DCGANGenerator(SHAPE, f.head.weight.shape[1], FEATURES)
        model = DTN(f, generator, Heads(ConvTrunk(SHAPE, FEATURES // 2), 3), constancy=constancy)
        models.append(learn(model, batches, args, out / f"dtn-{constancy:g}-{seed}", lr=RATES))
    return models


@no_grad()
def score(model: DTN, test: data.Dataset, judge: digits.Judge) -> Score:
    x = Tensor(model.device.asarray(test.images.astype(np.float32) / 127.5 - 1))
    with evaluating(model):
        translations, seen = model(x), to_numpy(model.classifier(x).data).argmax(axis=1)
    grey = -translations.data.mean(axis=1, keepdims=True)
    right = lambda read: float((read == test.labels).mean())
    return Score(right(judge.read(grey)), judge.distance(grey), right(seen), translations)


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge, test = digits.Judge(out), data.load("coloured_digits", "test")[1::2]  # the judge compares with the others
    models = [learned(seed, args, out) for seed in seeds(args)]
    mine, other = ([score(model, test, judge) for model in found] for found in ([m[0] for m in models], models[0][1:]))
    rows = {"given": test.images[:20] / 255.0}
    rows |= {name: digits.shown(found[0].translations[:20]) for name, found in (("DTN", mine), ("no constancy", other))}
    plot.save_grid(np.concatenate(list(rows.values())), out / "translated.png", columns=20, rows=list(rows))
    of = lambda scores, what: [getattr(s, what) for s in scores]
    kept, distance = of(mine, "kept"), of(mine, "distance")
    text = f"digit kept (f reads {np.median(of(mine, 'seen')):.1%}), beside no f-constancy"
    return [
        reaches(text, ">= 95%", kept, of(other, "kept"), ".1%"),
        compared("Fréchet distance to digits, beside that", "less", distance, of(other, "distance"), ".1f"),
    ]
