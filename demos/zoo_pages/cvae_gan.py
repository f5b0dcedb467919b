"""CVAE-GAN on the digits, beside the conditional VAE that is left of it without the features of D and C.

A classifier that no model has seen reads the samples, and compares them with test digits.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

import minigen
from minigen import plot
from minigen.models import MLPGenerator
from minigen.models.zoo.cvae_gan import CVAEGAN
from minigen.models.zoo.encoder import GaussianEncoder
from minigen.models.zoo.heads import Heads, MLPTrunk
from zoo_pages import Claim, digits, learn, seeds, spread

ITERATIONS = 3000
CLAIM = "an autoencoder that compares features draws sharper digits than one that compares pixels"
LATENT, HIDDEN, CLASSES, VAE_FRECHET = 32, 256, 10, 96  # the last is that of the project's VAE
VARIANTS = {"CVAE-GAN": {}, "conditional VAE": {"features": 0.0, "matching": 0.0}}


def train(variant: str, seed: int, args: argparse.Namespace, out: Path) -> CVAEGAN:
    minigen.manual_seed(seed)
    trunk = lambda: MLPTrunk(digits.SHAPE, (HIDDEN, HIDDEN))
    model = CVAEGAN(
        MLPGenerator(digits.SHAPE, LATENT, HIDDEN, classes=CLASSES),
        Heads(trunk(), 1),
        Heads(trunk(), CLASSES),
        GaussianEncoder(trunk(), LATENT),
        **VARIANTS[variant],
    )
    rates = {"discriminator": 2e-4, "classifier": 2e-4, "generator": 1e-3}
    return learn(model, digits.batches(64, seed), args, out / f"{variant}-{seed}", lr=rates)


class Found(NamedTuple):
    frechet: float
    right: float  # share of the samples that are read as the digit that was asked for
    samples: np.ndarray  # ten of each class


def look(model: CVAEGAN, judge: digits.Judge) -> Found:
    labels = np.arange(1000) % CLASSES
    samples = model.sample(1000, model.device.asarray(labels))
    right = float((judge.read(samples) == labels).mean())
    return Found(judge.distance(samples), right, digits.shown(samples)[:20])


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)
    mine, plain = ([look(train(name, seed, args, out), judge) for seed in seeds(args)] for name in VARIANTS)
    rows = [f"{name}, seed {seed}" for name in VARIANTS for seed in seeds(args)]
    plot.save_grid(np.concatenate([run.samples for run in mine + plain]), out / "samples.png", columns=20, rows=rows)
    distances, others = [run.frechet for run in mine], [run.frechet for run in plain]
    right, right_of_others = [run.right for run in mine], [run.right for run in plain]
    text = "Fréchet distance"
    return [
        Claim(
            f"{text}, beside a VAE's",
            f"< {VAE_FRECHET}",
            spread(distances, ".1f"),
            str(VAE_FRECHET),
            bool(np.median(distances) < VAE_FRECHET),
        ),
        Claim(
            f"{text}, beside the conditional VAE's",
            "less",
            spread(distances, ".1f"),
            spread(others, ".1f"),
            bool(np.median(distances) < np.median(others)),
        ),
        Claim(
            "samples of the digit that was asked for",
            ">= 0.95",
            spread(right),
            spread(right_of_others),
            bool(np.median(right) >= 0.95),
        ),
    ]
