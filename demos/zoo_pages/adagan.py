"""AdaGAN on a grid of 25 Gaussians: five minimax GANs, each on reweighted data, beside one, and beside bagging.

In bagging each GAN after the first has a bootstrap sample of the data, and all count alike. The data are 5,000 points.
A mode is covered if it is the nearest of at least 16 of 4,000 samples that lie within three standard deviations. The
paper's own measure is the share of the data where the model's density is over that of all but 5 % of its own samples.
It does not mind samples between the modes, which raise it from 0.95, the value of the data's own density, to 1; one GAN
by itself has 0.83 to 0.98.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import minigen
from common import figures
from minigen import evaluate, optim
from minigen.autograd import Tensor, no_grad
from minigen.backend import to_numpy
from minigen.data import toy
from minigen.models import GAN, MLPDiscriminator, MLPGenerator
from minigen.models.objectives import OBJECTIVES
from minigen.models.zoo.adagan import AdaGAN, water_filling
from minigen.random import random_generator
from zoo_pages import Claim, compared, covered, play, reaches, seeds

ITERATIONS = 5000
CLAIM = "five GANs boosted cover the modes of a grid that one misses, and more than five bagged"
GRID, COMPONENTS, POINTS = toy.grid(std=0.1), 5, 5000


def discriminator() -> MLPDiscriminator:
    return MLPDiscriminator((2,), 64, pieces=2, dropout=0.0)


def ratios(points: np.ndarray, model: AdaGAN, steps: int) -> np.ndarray:
    """r = p_model / p_data (N,) at each point, from a classifier of points against samples: r = e^-s."""
    classifier, (x, y) = discriminator(), map(toy.WeightedPoints, (points, model.sample(len(points)).data))
    optimizer, decay = optim.Adam(classifier.parameters(), 2e-3), optim.linear_decay(steps)
    to_tensor = lambda values: Tensor(classifier.device.asarray(values))
    for step in range(steps):
        optimizer.lr = 2e-3 * decay(step)
        optimizer.zero_grad()
        s, t = (classifier(to_tensor(part.sample(256))) for part in (x, y))
        OBJECTIVES["minimax"].discriminator(s, t).backward()
        optimizer.step()
    with no_grad():
        return np.exp(-to_numpy(classifier(to_tensor(points)).data).astype(np.float64))


def learn(boost: bool, seed: int, args: argparse.Namespace, out: Path) -> list[figures.Samples]:
    """What the mixture of the first component, of the first two, and so on covers."""
    minigen.manual_seed(seed)
    points, weights = GRID.sample(POINTS), None
    model, name = AdaGAN(), "boosted" if boost else "bagged"
    found: list[figures.Samples] = []
    for t in range(COMPONENTS):
        gan = GAN(MLPGenerator((2,), 2, 64, tanh=False), discriminator(), "minimax")
        density, folder = toy.WeightedPoints(points, weights), out / f"{name}-{seed}-{t}"
        play(gan, density, args, folder, batch_size=64, lr=(2e-3, 1e-3), seed=COMPONENTS * seed + t)
        model.add(gan)
        found.append(covered(f"{name}, {t + 1}", seed, model, GRID, 16))
        if boost and t + 1 < COMPONENTS:
            weights = water_filling(ratios(points, model, args.iterations // 3), 1 / (t + 2))
        elif not boost:
            weights = random_generator().multinomial(POINTS, np.full(POINTS, 1 / POINTS)).astype(float)
    return found


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    boosted, bagged = ([learn(boost, seed, args, out) for seed in seeds(args)] for boost in (True, False))
    shown = [runs[t] for t, kind in ((0, boosted), (-1, boosted), (-1, bagged)) for runs in kind]
    figures.save_modes(GRID, shown, args.seeds, out / "grid.png")
    chosen, fresh = ((0, boosted), (-1, boosted), (-1, bagged)), GRID.sample(2000)
    share = lambda run: evaluate.coverage(fresh, run.points, float(GRID.std[0]))
    claims = []
    for text, value, form, aim in (
        ("modes covered, of 25", lambda run: run.covered, ".0f", ">= 24"),
        ("share of the data covered", share, ".3f", ">= 0.9"),
    ):
        one, five, bag = ([value(runs[t]) for runs in kind] for t, kind in chosen)
        claims.append(reaches(f"{text}: five boosted beside one", aim, five, one, form))
        claims.append(compared(f"{text}: five boosted beside five bagged", "more", five, bag, form))
    return claims
