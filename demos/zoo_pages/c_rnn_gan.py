"""C-RNN-GAN writes digits from the top down, in 7 strips of 4 rows.

Feature matching stands beside the loss of a plain GAN. D is slow on purpose: one that runs ahead leaves G one image.
With matching, G repeats a few images with traits of digits (a Fréchet distance of 325 with seed 0); without it, G draws
one (686). So matching helps, but neither has learned to write digits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import minigen
from minigen import plot
from minigen.models.zoo.c_rnn_gan import CRNNGAN, RecurrentDiscriminator, RecurrentGenerator
from zoo_pages import Claim, compared, digits, learn, seeds

ITERATIONS = 1800
CLAIM = "feature matching helps recurrent networks that write digits from the top down"
BATCH, STEPS = 64, 7


def train(matching: bool, seed: int, args: argparse.Namespace, out: Path) -> CRNNGAN:
    minigen.manual_seed(seed)
    gan = CRNNGAN(RecurrentGenerator(digits.SHAPE, STEPS), RecurrentDiscriminator(digits.SHAPE, STEPS), matching)
    folder = out / f"{'matching' if matching else 'plain'}-{seed}"
    return learn(gan, digits.batches(BATCH, seed), args, folder, lr={"discriminator": 1e-4, "generator": 2e-3})


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)
    both = [[train(matching, seed, args, out) for seed in seeds(args)] for matching in (True, False)]
    samples = np.concatenate([digits.shown(gan.sample(20)) for gans in both for gan in gans])
    names = [f"{name}, seed {seed}" for name in ("matching", "plain") for seed in seeds(args)]
    plot.save_grid(samples, out / "samples.png", columns=20, rows=names)
    matching, plain = ([judge.frechet(gan) for gan in gans] for gans in both)
    return [compared("Fréchet distance, beside no matching", "less", matching, plain, ".1f")]
