"""EBGAN on the digits, with and without the pulling-away term: angles between codes, and the Fréchet distance.

The codes are those of each model's own D. Their mean squared cosine is measured over 1,000 samples of the averaged
generator, and beside it over as many digits of the data, which are a measure of what would be natural.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from minigen import plot
from minigen.autograd import no_grad
from minigen.models import MLPGenerator
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator
from minigen.models.zoo.ebgan import EBGAN, pulling_away
from zoo_pages import Claim, compared, digits, learn, seeds, spread

ITERATIONS = 3000
CLAIM = "the pulling-away term turns the samples' codes away from each other, and the samples get no worse"
BATCH, MARGIN, PULL = 64, 0.2, 0.1


def train(pull: float, seed: int, args: argparse.Namespace, out: Path) -> EBGAN:
    minigen.manual_seed(seed)
    gan = EBGAN(MLPGenerator(digits.SHAPE, 64), AutoencoderDiscriminator(digits.SHAPE), MARGIN, pull)
    return learn(gan, digits.batches(BATCH, seed), args, out / f"{'pull' if pull else 'plain'}-{seed}", lr=1e-3)


@no_grad()
def cosine(gan: EBGAN, images: Any) -> float:
    """The mean squared cosine of the images' codes."""
    return float(pulling_away(gan.discriminator.encode(images)).item())


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)
    both = [[train(pull, seed, args, out) for seed in seeds(args)] for pull in (PULL, 0.0)]
    samples = np.concatenate([digits.shown(gan.sample(20)) for gans in both for gan in gans])
    names = [f"{name}, seed {seed}" for name in ("with PT", "without") for seed in seeds(args)]
    plot.save_grid(samples, out / "samples.png", columns=20, rows=names)
    angles, plain_angles = ([cosine(gan, gan.sample(1000)) for gan in gans] for gans in both)
    images, _ = next(digits.batches(1000, 0).epoch(0))
    natural = [cosine(gan, minigen.Tensor(images)) for gan in both[0]]
    frechet, plain_frechet = ([judge.frechet(gan) for gan in gans] for gans in both)
    no_worse = bool(np.median(frechet) <= np.median(plain_frechet))
    text = f"mean cos^2 of codes (data: {np.median(natural):.3f}), beside no PT"
    return [
        compared(text, "less", angles, plain_angles),
        Claim(
            "Fréchet distance, beside no PT", "no more", spread(frechet, ".1f"), spread(plain_frechet, ".1f"), no_worse
        ),
    ]
