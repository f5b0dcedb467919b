"""C-RNN-GAN writes digits row by row: 28 steps of 28 pixels. Feature matching beside G's own loss of a plain GAN."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import minigen
from minigen import plot
from minigen.models.zoo.c_rnn_gan import CRNNGAN, RecurrentDiscriminator, RecurrentGenerator
from zoo_pages import Claim, digits, learn, seeds, spread

ITERATIONS = 800
CLAIM = "recurrent networks learn digits row by row, and feature matching helps them"
BATCH = 64


def train(matching: bool, seed: int, args: argparse.Namespace, out: Path) -> CRNNGAN:
    minigen.manual_seed(seed)
    gan = CRNNGAN(RecurrentGenerator(digits.SHAPE), RecurrentDiscriminator(digits.SHAPE), matching)
    folder = out / f"{'matching' if matching else 'plain'}-{seed}"
    return learn(gan, digits.batches(BATCH, seed), args, folder, lr={"discriminator": 1e-3, "generator": 2e-3})


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)
    both = [[train(matching, seed, args, out) for seed in seeds(args)] for matching in (True, False)]
    samples = np.concatenate([digits.shown(gan.sample(20)) for gans in both for gan in gans])
    names = [f"{name}, seed {seed}" for name in ("matching", "plain") for seed in seeds(args)]
    plot.save_grid(samples, out / "samples.png", columns=20, rows=names)
    matching, plain = ([judge.frechet(gan) for gan in gans] for gans in both)
    less = bool(np.median(matching) < np.median(plain))
    return [Claim("Fréchet distance, beside no matching", "less", spread(matching, ".1f"), spread(plain, ".1f"), less)]
