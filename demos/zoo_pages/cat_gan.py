"""CatGAN sorts the digits into classes: with 100 labels into ten, and without labels into twenty.

Beside the first stands its D, trained on the 100 labels alone, and on all 8,000. Without labels, images have half the
resolution, for more rounds in the same time. A class stands for the digit that most of its training images are, and the
score is on test images; beside it k-means of the pixels, with as many clusters.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import minigen
from minigen import plot
from minigen.models import DCGANGenerator
from minigen.models.zoo.cat_gan import CatGAN
from minigen.models.zoo.heads import ConvTrunk, Heads
from zoo_pages import Claim, clusters, digits, few, learn, reaches, seeds

ITERATIONS = 2500
CLAIM = "a discriminator that is to be sure of data sorts digits by what they are, with few labels or with none"
CLASSES = 20


def with_labels(seed: int, args: argparse.Namespace, out: Path) -> CatGAN:
    """From 100 labels; it has the average of D's weights."""
    minigen.manual_seed(seed)
    generator = DCGANGenerator(digits.SHAPE, latent_dim=64, features=16)
    gan = CatGAN(generator, few.discriminator(10), few.labelled(seed))
    return learn(gan, digits.batches(64, seed), args, out / f"labels-{seed}", lr=1e-3, average="discriminator")


def without(seed: int, args: argparse.Namespace, out: Path) -> CatGAN:
    """At half the resolution; in large batches, so that the entropy of the mean is estimated well."""
    minigen.manual_seed(seed)
    generator = DCGANGenerator(clusters.SHAPE, latent_dim=64, features=16)
    gan = CatGAN(generator, Heads(ConvTrunk(clusters.SHAPE, noise=0.3), CLASSES))
    rates = {"discriminator": 1e-3, "generator": 2e-3}
    return learn(gan, clusters.batches(128, seed), args, out / f"none-{seed}", lr=rates, average="discriminator")


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    found = [few.accuracy(with_labels(seed, args, out).discriminator) for seed in seeds(args)]
    gans = [without(seed, args, out) for seed in seeds(args)]
    draw(gans[0], out / "classes.png")
    right = [clusters.sorted_right(gan.discriminator) for gan in gans]
    by_pixels = [clusters.k_means(CLASSES, seed) for seed in seeds(args)]
    return [
        *few.claims("100 labels: accuracy", found, *few.alone(args, out)),
        reaches(f"digits right by {CLASSES} classes, beside k-means", ">= 0.8", right, by_pixels),
    ]


def draw(gan: CatGAN, path: Path) -> None:
    """Ten test digits of each class that was found without labels, a row a class; and samples in the last rows."""
    test = clusters.digits("test")
    found, _ = few.classes_of(gan.discriminator, test)
    images, blank = test.images / 255.0, np.zeros((10, *clusters.SHAPE))
    rows = [np.concatenate([images[found == k][:10], blank])[:10] for k in range(CLASSES)]
    names = [f"class {k}" for k in range(CLASSES)] + ["samples"] * 2
    plot.save_grid(np.concatenate([*rows, digits.shown(gan.sample(20))]), path, columns=10, rows=names)
