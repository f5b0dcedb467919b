"""BiGAN on the digits: is the encoder that nobody told to reconstruct G's inverse, and do its features know the digit?

Beside it stands AEGAN, whose encoder is learned after the generator of a plain GAN, on the error of the image. The
features are E's last hidden layer; their nearest neighbours are also found with an E that has learned nothing. Pixels
are a low mark: in 50 principal components of them, the nearest neighbour has the same digit in 0.931.

E is convolutional: the features of a fully connected one know the digit less well than the pixels do. The authors train
on 60,000 digits, for about 50 times as long, and come to a ratio of 0.62. On these 8,000 more rounds do not help, as D
comes to know the images: in 8,000 rounds the ratio was 0.62 after half of them and 0.73 at the end, where D gave the
training images 0.67 on average, and test images 0.56. So the training ends early, by the ratio of the test images. Its
rates do not fall: where they did, the features knew the digit better still, and the ratio was 0.68. A slower D, or more
noise in it, was no remedy.
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
from minigen.models.zoo.heads import ConvTrunk, Heads, MLPTrunk
from zoo_pages import Claim, after_half, compared, digits, learn, reaches, seeds

ITERATIONS = 4500
CLAIM = "an encoder that D judges together with the generator comes to invert it, without a loss that says so"
LATENT, HIDDEN, BATCH, QUARTERS = 32, (256, 256), 64, 4
IMAGES = {"train": 8000, "test": 2000}
RATES = {"discriminator": 1e-3, "generator": 1e-3}


def encoder() -> Heads:
    """Its codes are normalised over the batch, so that their mean and deviation are those of z."""
    trunk = ConvTrunk(digits.SHAPE, 16)
    return Heads(trunk, nn.Sequential(nn.Linear(trunk.width, LATENT), nn.BatchNorm1d(LATENT)))


def generator() -> MLPGenerator:
    return MLPGenerator(digits.SHAPE, LATENT, HIDDEN[0], batch_norm=True)


def bigan(seed: int, args: argparse.Namespace, out: Path) -> BiGAN:
    minigen.manual_seed(seed)
    net = Heads(MLPTrunk((math.prod(digits.SHAPE) + LATENT,), HIDDEN, input_noise=0.3), 1)
    model = BiGAN(generator(), encoder(), PairDiscriminator(nn.Flatten(), net), noise="normal")
    test = data.load("digits", "test").take(IMAGES["test"])
    ratio = lambda: {"ratio": inverse(model.encoder, model.generator, test)[2]}
    folder, batches = out / f"bigan-{seed}", digits.batches(BATCH, seed)
    return learn(model, batches, args, folder, lr=RATES, average="both", decay=False, epochs=QUARTERS, evaluate=ratio)


def aegan(seed: int, args: argparse.Namespace, out: Path) -> Inversion:
    """A plain GAN for half of the rounds, and an encoder for it for the other half."""
    minigen.manual_seed(seed)
    args = argparse.Namespace(**vars(args) | {"iterations": -(-args.iterations // 2)})
    gan = GAN(generator(), Heads(MLPTrunk(digits.SHAPE, HIDDEN), 1))
    learn(gan, digits.batches(BATCH, seed), args, out / f"gan-{seed}", lr=RATES)
    model = Inversion(gan, encoder(), "samples")
    return learn(model, digits.batches(BATCH, seed), args, out / f"aegan-{seed}", lr=1e-3, average="encoder")


class Found(NamedTuple):
    neighbours: float  # accuracy of the nearest neighbour in E's features
    own: float  # mean |x - G(E(x))| of test images, pixels in [0, 1]
    ratio: float  # that, divided by the same with another x
    images: np.ndarray  # of the first 20, G(E(x))


def as_tensor(e: Heads, part: data.Dataset) -> Tensor:
    return Tensor(e.device.asarray(part.images.astype(np.float32) / 127.5 - 1))


def inverse(e: Heads, g: MLPGenerator, test: data.Dataset) -> tuple[np.ndarray, float, float]:
    """The images G(E(x)), their error and the ratio of `Found`."""
    with no_grad(), evaluate.evaluating(e), evaluate.evaluating(g):
        images = digits.shown(g(e(as_tensor(e, test))))
    error = lambda originals: np.linalg.norm((images - originals / 255).reshape(len(images), -1), axis=1).mean()
    own, other = float(error(test.images)), float(error(np.roll(test.images, 1, axis=0)))
    return images, own, own / other


def look(e: Heads, g: MLPGenerator, training: data.Dataset, test: data.Dataset) -> Found:
    with no_grad(), evaluate.evaluating(e):
        x, y = (e.features(as_tensor(e, part)) for part in (training, test))
    images, own, ratio = inverse(e, g, test)
    return Found(evaluate.knn_accuracy(x, training.labels, y, test.labels), own, ratio, images[:20])


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    training, test = (data.load("digits", part).take(n) for part, n in IMAGES.items())
    mine, after, fresh = [], [], []
    for seed in seeds(args):
        model, inversion = bigan(seed, args, out), aegan(seed, args, out)
        mine.append(look(model.encoder, model.generator, training, test))
        after.append(look(inversion.encoder, inversion.gan.generator, training, test))
        fresh.append(look(untrained(training), model.generator, training, test).neighbours)
    pictures = [test.images[:20] / 255, mine[0].images, after[0].images]
    plot.save_grid(np.concatenate(pictures), out / "codes.png", columns=20, rows=["test image", "BiGAN", "AEGAN"])
    knn, own, ratio, _ = zip(*mine, strict=True)
    knn_after, own_after, ratio_after, _ = zip(*after, strict=True)
    half = [after_half(out / f"bigan-{seed}", "ratio") for seed in seeds(args)]
    pixels = evaluate.knn_accuracy(training.images / 255, training.labels, test.images / 255, test.labels)
    return [
        compared("1-NN on E's features, beside pixels", "more", knn, [pixels]),
        compared("the same, beside an untrained E", "more", knn, fresh),
        compared("the same, beside AEGAN's E", "more", knn, knn_after),
        reaches("|x - G(E(x))| by another x's", "<= 0.65", ratio, ratio_after),
        compared("this ratio, beside that after half of the training", "less", ratio, half),
        compared("AEGAN's |x - G(E(x))|, beside BiGAN's", "less", own_after, own, ".2f"),
    ]


def untrained(training: data.Dataset) -> Heads:
    """An encoder with the weights that it starts with, and the statistics of the data."""
    e = encoder()
    with no_grad():
        for images in np.array_split(training.images, 100):
            e(Tensor(e.device.asarray(images.astype(np.float32) / 127.5 - 1)))
    return e
