"""A posterior over generators on a grid of 25 Gaussians: ten generators against one D, beside one generator.

The data are 5,000 points. A mode is covered if it is the nearest of at least 16 of 4,000 samples that lie within three
standard deviations. Ten generators without SGHMC's noise and prior show what these contribute: divided by N they are
far smaller than the losses' gradients, and it is the number of generators that counts. So it is chance whether the
second row holds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import minigen
from common import figures
from minigen.data import toy
from minigen.models import MLPDiscriminator, MLPGenerator
from minigen.models.zoo.sghmc_gan import SGHMCGAN
from zoo_pages import Claim, compared, covered, learn, seeds

ITERATIONS = 2000
CLAIM = "ten generators, as samples of a posterior, cover more modes than one"
GRID, POINTS = toy.grid(std=0.1), 5000
KINDS = {"ten": (10, 0.01, 1.0), "one": (1, 0.01, 1.0), "no noise": (10, 0.0, 1e6)}  # J, alpha, sigma


def train(kind: str, seed: int, args: argparse.Namespace, out: Path) -> figures.Samples:
    minigen.manual_seed(seed)
    generators, alpha, sigma = KINDS[kind]
    networks = [MLPGenerator((2,), 2, 64, tanh=False) for _ in range(generators)]
    discriminator = MLPDiscriminator((2,), 64, pieces=2, dropout=0.0)
    gan = SGHMCGAN(networks, discriminator, POINTS, alpha, sigma)
    batches = toy.Draws(toy.WeightedPoints(GRID.sample(POINTS)), 64, args.iterations, seed)
    learn(gan, batches, args, out / f"{kind}-{seed}".replace(" ", "-"), lr=1e-3, average=None)
    return covered(kind, seed, gan, GRID, 16)


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    runs = {kind: [train(kind, seed, args, out) for seed in seeds(args)] for kind in KINDS}
    figures.save_modes(GRID, [run for kind in KINDS for run in runs[kind]], args.seeds, out / "grid.png")
    ten, one, plain = ([run.covered for run in runs[kind]] for kind in KINDS)
    text = "modes covered by ten generators, of 25, beside "
    return [
        compared(f"{text}one", "more", ten, one, ".0f"),
        compared(f"{text}ten without noise", "more", ten, plain, ".0f"),
    ]
