"""CatGAN sorts the digits into classes: with 100 labels into ten, and without labels into twenty.

Beside the first stands its D, trained on the 100 labels alone, and on all 8,000. Without labels, a class stands for the
digit that most of its training images are, and the score is on test images; beside it k-means of the pixels, with as
many clusters.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import minigen
from minigen import plot
from minigen.models import DCGANGenerator
from minigen.models.zoo.cat_gan import CatGAN
from zoo_pages import Claim, digits, few, learn, seeds, spread

ITERATIONS = 1500
CLAIM = "a discriminator that is to be sure of data sorts digits by what they are, with few labels or with none"
BATCH, CLASSES = 128, 20


def train(labels: bool, seed: int, args: argparse.Namespace, out: Path) -> CatGAN:
    """With 100 labels, or with none; it has the average of D's weights."""
    minigen.manual_seed(seed)
    generator = DCGANGenerator(few.SHAPE, latent_dim=64, features=16)
    gan = CatGAN(generator, few.discriminator(10 if labels else CLASSES), few.labelled(seed) if labels else None)
    folder = out / f"{'labels' if labels else 'none'}-{seed}"
    rates = {"discriminator": 1e-3, "generator": 2e-3}
    return learn(gan, few.batches(BATCH, seed), args, folder, lr=rates, average="discriminator")


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    with_labels, without = ([train(labels, seed, args, out) for seed in seeds(args)] for labels in (True, False))
    draw(without[0], out / "classes.png")
    alone, everything = (
        [few.alone(seed, args, out) for seed in seeds(args)],
        few.alone(args.seed, args, out, all_labels=True),
    )
    found, sorted_ = (
        [few.accuracy(gan.discriminator) for gan in with_labels],
        [few.sorted_right(gan.discriminator) for gan in without],
    )
    clusters = [few.k_means(CLASSES, seed) for seed in seeds(args)]
    more = bool(np.median(found) > np.median(alone))
    return [
        Claim(
            "accuracy with 100 labels",
            ">= 0.95",
            spread(found),
            f"all labels {everything:.3f}",
            bool(np.median(found) >= 0.95),
        ),
        Claim("the same, beside D on the labels alone", "more", spread(found), spread(alone), more),
        Claim(
            f"no labels, {CLASSES} classes, beside k-means",
            ">= 0.8",
            spread(sorted_),
            spread(clusters),
            bool(np.median(sorted_) >= 0.8),
        ),
    ]


def draw(gan: CatGAN, path: Path) -> None:
    """Ten test digits of each class that was found without labels, a row a class; and samples in the last rows."""
    found, _ = few.classes_of(gan.discriminator, "test")
    images = few.digits("test").images / 255.0
    rows = [np.flatnonzero(found == k)[:10] for k in range(CLASSES)]
    blank = np.zeros((10, *few.SHAPE))
    tiles = [np.concatenate([images[row], blank])[:10] for row in rows]
    samples = digits.shown(gan.sample(20))
    names = [f"class {k}" for k in range(CLASSES)] + ["samples"] * 2
    plot.save_grid(np.concatenate([*tiles, samples]), path, columns=10, rows=names)
