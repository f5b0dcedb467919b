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
from zoo_pages import Claim, compared, digits, learn, seeds, spread

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
    distances, right, _ = zip(*mine, strict=True)
    distances_of_vae, right_of_vae, _ = zip(*plain, strict=True)
    below, read = bool(np.median(distances) < VAE_FRECHET), bool(np.median(right) >= 0.95)
    text = "Fréchet distance, beside "
    return [
        Claim(f"{text}a VAE's", f"< {VAE_FRECHET}", spread(distances, ".1f"), str(VAE_FRECHET), below),
        compared(f"{text}the conditional VAE's", "less", distances, distances_of_vae, ".1f"),
        Claim("share of the samples read as asked for", ">= 0.95", spread(right), spread(right_of_vae), read),
    ]
