"""DR-GAN repaints digits, which keep what they are: the identity is the digit, the pose is one of five colours.

Each of 1,000 test digits is drawn in another colour. A classifier of grey digits reads the brightest channel of each
pixel; the colour is that whose channels the brightness is nearest to. The code of an image should hold the digit and
not the colour: it is compared with the nearest code of 1,000 training images.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import minigen
from minigen import data, evaluate, plot
from minigen.autograd import Tensor, no_grad
from minigen.backend import to_numpy
from minigen.data.coloured_digits import COLOURS
from minigen.models import DCGANGenerator
from minigen.models.zoo.dr_gan import DRGAN
from minigen.models.zoo.heads import ConvTrunk, Heads
from zoo_pages import Claim, digits, learn, reaches, seeds

ITERATIONS = 1000
CLAIM = "a digit that is drawn in another colour stays the same digit, and its code does not say the colour"
SHAPE, FEATURES, CODE, NOISE, POSES = (3, 28, 28), 16, 32, 16, len(COLOURS)


def train(seed: int, args: argparse.Namespace, out: Path) -> DRGAN:
    minigen.manual_seed(seed)
    encoder, decoder = Heads(ConvTrunk(SHAPE, FEATURES), CODE), DCGANGenerator(SHAPE, CODE + NOISE, FEATURES, POSES)
    gan = DRGAN(encoder, decoder, Heads(ConvTrunk(SHAPE, FEATURES), 11, POSES), NOISE)
    coloured = data.load("coloured_digits")
    names = tuple(f"{colour} {digit}" for digit in coloured.classes for colour in coloured.colour_names)
    both = replace(coloured, labels=coloured.labels * POSES + coloured.colours, classes=names)
    loader = data.Loader(both, 64, pixels="signed", seed=seed, drop_last=True)
    rates = {"discriminator": 1e-3, "generator": 2e-3}
    return learn(gan, loader, args, out / f"dr-{seed}", lr=rates, average=None)


def colour_of(images: np.ndarray) -> np.ndarray:
    """The number of the nearest colour (N,), from pixels in [-1, 1]."""
    brightness = (images + 1).mean(axis=(2, 3))  # (N, 3)
    brightness /= brightness.max(axis=1, keepdims=True) + 1e-12
    corners = np.array(list(COLOURS.values()))
    return ((brightness[:, None] - corners) ** 2).sum(axis=2).argmin(axis=1)


@no_grad()
def codes(gan: DRGAN, images: np.ndarray) -> np.ndarray:
    with evaluate.evaluating(gan):
        return to_numpy(gan.encoder(Tensor(gan.device.asarray(images))).data)


def alike_in(codes: np.ndarray, others: np.ndarray, test: data.Dataset, training: data.Dataset) -> list[float]:
    """The shares of test images whose nearest training image, by its code, has the same digit, and the same colour."""
    place = evaluate.nearest(codes, others)[0][:, 0]
    pairs = (training.labels[place] == test.labels, training.colours[place] == test.colours)
    return [float(same.mean()) for same in pairs]


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)
    read = lambda images: judge.read(images.max(axis=1, keepdims=True))
    gans = [train(seed, args, out) for seed in seeds(args)]
    training, test = (data.load("coloured_digits", split).take(1000) for split in ("train", "test"))
    signed = lambda dataset: dataset.images.astype(np.float32) / 127.5 - 1
    x = signed(test)
    asked = (test.colours + np.random.default_rng(0).integers(1, POSES, len(test))) % POSES
    kept, painted, alike = [], [], []
    for gan in gans:
        y = to_numpy(gan.turned(gan.device.asarray(x), gan.device.asarray(asked)).data)
        kept.append((read(y) == test.labels).mean())
        painted.append((colour_of(y) == asked).mean())
        alike.append(alike_in(codes(gan, x), codes(gan, signed(training)), test, training))
    of_pixels = alike_in(x, signed(training), test, training)
    draw(gans[0], x[:12], out / "repainted.png")
    original, chance = f"originals {(read(x) == test.labels).mean():.3f}", f"chance {1 / POSES:.3f}"
    (digit, colour), pixels = zip(*alike, strict=True), [f"pixels {share:.3f}" for share in of_pixels]
    return [
        reaches("the digit is read in another colour", ">= 0.95", kept, original),
        reaches("the colour is the one asked for", ">= 0.95", painted, chance),
        reaches("the nearest code is of the same digit", ">= 0.9", digit, pixels[0]),
        reaches("and of the same colour", "<= 0.3", colour, pixels[1]),
    ]


def draw(gan: DRGAN, x: np.ndarray, path: Path) -> None:
    """Digits, and below them the same in each colour."""
    images = gan.device.asarray(x)
    rows = [digits.shown(gan.turned(images, gan.device.asarray(np.full(len(x), c)))) for c in range(POSES)]
    plot.save_grid(np.concatenate([(x + 1) / 2, *rows]), path, columns=len(x), rows=["given", *COLOURS])
