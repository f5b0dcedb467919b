"""ID-CGAN takes slanted streaks off the digits, beside the same network with the squared error alone.

The classifier whose features are compared is not the judge: it has seen 2,000 of the digits, twice. The training is
short on purpose. With 1,000 rounds the squared error alone restores as well (Fréchet distances 6.2 and 6.1): the
streaks cover little of a digit, so that there is hardly anything to guess. Rounds are gained and no time: one with D
and the classifier takes four times as long as one of the squared error alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import minigen
from minigen import data, evaluate, ops, plot
from minigen.autograd import Tensor, no_grad
from minigen.backend import to_numpy
from minigen.models import DCGANDiscriminator
from minigen.models.zoo.id_cgan import IDCGAN, streaks
from minigen.models.zoo.restoration import Hourglass
from minigen.nn.module import evaluating
from zoo_pages import Claim, compared, digits, learn, seeds, spread

ITERATIONS = 600
CLAIM = "with a discriminator of pairs and a classifier's features, few rounds restore what was under the streaks"
BATCH = 64


def train(terms: bool, seed: int, classifier: evaluate.Classifier, args: argparse.Namespace, out: Path) -> IDCGAN:
    """With both terms beside the squared error, or with neither."""
    minigen.manual_seed(seed)
    weights = {"adversarial": 0.01, "perceptual": 0.03} if terms else {"adversarial": 0.0, "perceptual": 0.0}
    discriminator = DCGANDiscriminator((2, *digits.SHAPE[1:]), 16)
    model = IDCGAN(Hourglass(1, 1), discriminator, classifier, streaks, **weights)
    folder = out / f"{'id-cgan' if terms else 'squared-error'}-{seed}"
    return learn(model, digits.batches(BATCH, seed), args, folder, lr=1e-3)


@no_grad()
def restored(model: IDCGAN, x: Tensor) -> Tensor:
    with evaluating(model):
        return ops.clip(model(x), -1, 1)


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge, training, test = digits.Judge(out), data.load("digits"), data.load("digits", "test")
    some = {"training": training[:2000], "test": test[:500], "path": out / "features.safetensors"}
    classifier = evaluate.trained_classifier(**some, epochs=2).classifier
    both = [[train(terms, seed, classifier, args, out) for seed in seeds(args)] for terms in (True, False)]
    others = data.Loader(test[1::2], 1000, pixels="signed", shuffle=False)  # not those that the judge compares with
    images, labels = next(others.epoch(0))
    minigen.manual_seed(args.seed)
    x, y = streaks(images), Tensor(images)
    mine, plain = ([restored(model, x) for model in models] for models in both)
    rows = {"given": x, "squared error": plain[0], "ID-CGAN": mine[0], "data": y}
    pictures = np.concatenate([digits.shown(part[:20]) for part in rows.values()])
    plot.save_grid(pictures, out / "restored.png", columns=20, rows=list(rows))
    right = lambda images: float((judge.read(images) == to_numpy(labels)).mean())
    of_both = lambda value: [[value(part) for part in kind] for kind in (mine, plain)]
    quality, other = of_both(lambda part: digits.psnr(part, y))
    text = f"PSNR in dB, beside none (squared error {spread(other, '.1f')})"
    return [
        compared("Fréchet distance, beside the squared error's", "less", *of_both(judge.distance), ".1f"),
        compared(f"digits read (with streaks {right(x):.3f}), beside the squared error's", "more", *of_both(right)),
        compared(text, "more", quality, [digits.psnr(x, y)], ".1f"),
    ]
