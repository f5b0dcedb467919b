"""BiGAN on the digits: is the encoder that nobody told to reconstruct G's inverse, and do its features know the digit?

Beside it stands AEGAN, whose encoder is learned after the generator of a plain GAN, on the error of the image. The
features are E's last hidden layer; their nearest neighbours are also found with an E that has learned nothing.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

import minigen
from minigen import data, evaluate, nn, plot
from minigen.autograd import Tensor, no_grad
from minigen.models import GAN, MLPGenerator
from minigen.models.zoo.bigan import BiGAN, PairDiscriminator
from minigen.models.zoo.encoder import Inversion
from minigen.models.zoo.heads import Heads, MLPTrunk
from zoo_pages import Claim, compared, digits, learn, seeds, spread

ITERATIONS = 3000
CLAIM = "an encoder that D judges together with the generator comes to invert it, without a loss that says so"
LATENT, HIDDEN, BATCH = 32, (256, 256), 64
RATES = {"discriminator": 1e-3, "generator": 1e-3}


def encoder() -> Heads:
    """Its codes are normalised over the batch, so that their mean and deviation are those of z."""
    head = nn.Sequential(nn.Linear(HIDDEN[-1], LATENT), nn.BatchNorm1d(LATENT))
    return Heads(MLPTrunk(digits.SHAPE, HIDDEN, batch_norm=True), head)


def generator() -> MLPGenerator:
    return MLPGenerator(digits.SHAPE, LATENT, HIDDEN[0], batch_norm=True)


def bigan(seed: int, args: argparse.Namespace, out: Path) -> BiGAN:
    minigen.manual_seed(seed)
    net = Heads(MLPTrunk((math.prod(digits.SHAPE) + LATENT,), HIDDEN), 1)
    model = BiGAN(generator(), encoder(), PairDiscriminator(nn.Flatten(), net), noise="normal")
    return learn(model, digits.batches(BATCH, seed), args, out / f"bigan-{seed}", lr=RATES, average="both")


def aegan(seed: int, args: argparse.Namespace, out: Path) -> Inversion:
    """A plain GAN, and then an encoder for it."""
    minigen.manual_seed(seed)
    gan = GAN(generator(), Heads(MLPTrunk(digits.SHAPE, HIDDEN), 1))
    learn(gan, digits.batches(BATCH, seed), args, out / f"gan-{seed}", lr=RATES)
    model = Inversion(gan, encoder(), "samples")
    return learn(model, digits.batches(BATCH, seed), args, out / f"aegan-{seed}", lr=1e-3, average="encoder")


class Found(NamedTuple):
    neighbours: float  # accuracy of the nearest neighbour in E's features
    own: float  # mean |x - G(E(x))| of test images, pixels in [0, 1]
    ratio: float  # that, divided by the same with another x
    images: np.ndarray  # of the first 20, G(E(x))


def look(e: Heads, g: MLPGenerator, training: data.Dataset, test: data.Dataset) -> Found:
    with no_grad(), evaluate.evaluating(e), evaluate.evaluating(g):
        x, y = (Tensor(e.device.asarray(part.images.astype(np.float32) / 127.5 - 1)) for part in (training, test))
        neighbours = evaluate.knn_accuracy(e.features(x), training.labels, e.features(y), test.labels)
        images = digits.shown(g(e(y)))
    error = lambda originals: np.linalg.norm((images - originals / 255).reshape(len(images), -1), axis=1).mean()
    own, other = float(error(test.images)), float(error(np.roll(test.images, 1, axis=0)))
    return Found(neighbours, own, own / other, images[:20])


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    training, test = data.load("digits"), data.load("digits", "test")
    mine, after, fresh = [], [], []
    for seed in seeds(args):
        model, inversion = bigan(seed, args, out), aegan(seed, args, out)
        mine.append(look(model.encoder, model.generator, training, test))
        after.append(look(inversion.encoder, inversion.gan.generator, training, test))
        fresh.append(look(untrained(training), model.generator, training, test).neighbours)
    pictures = [test.images[:20] / 255, mine[0].images, after[0].images]
    rows = ["test image", "BiGAN", "AEGAN"]
    plot.save_grid(np.concatenate(pictures), out / "reconstructions.png", columns=20, rows=rows)
    knn, own, ratio, _ = zip(*mine, strict=True)
    knn_after, own_after, ratio_after, _ = zip(*after, strict=True)
    pixels = evaluate.knn_accuracy(training.images / 255, training.labels, test.images / 255, test.labels)
    text = "|x - G(E(x))| beside that of another x, ratio; AEGAN's"
    return [
        compared("1-NN on E's features, beside pixels", "more", knn, [pixels]),
        compared("the same, beside an untrained E", "more", knn, fresh),
        compared("the same, beside AEGAN's E", "more", knn, knn_after),
        Claim(text, "<= 0.65", spread(ratio), spread(ratio_after), bool(np.median(ratio) <= 0.65)),
        compared("AEGAN's |x - G(E(x))|, beside BiGAN's", "less", own_after, own, ".2f"),
    ]


def untrained(training: data.Dataset) -> Heads:
    """An encoder with the weights that it starts with, and the statistics of the data."""
    e = encoder()
    with no_grad():
        for images in np.array_split(training.images, 100):
            e(Tensor(e.device.asarray(images.astype(np.float32) / 127.5 - 1)))
    return e
