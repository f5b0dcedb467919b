"""CVAE-GAN on the digits, beside the conditional VAE that is left of it without the features of D and C.

A classifier that no model has seen reads the samples, and compares them with test digits. The errors of features have a
smaller weight than in the paper, and the means a larger one. With the paper's weights the features, which here are as
many as the pixels, outweigh the divergence: then z holds the class, and G often ignores the one that is asked for.

The conditional VAE keeps the divergence's weight of 3, which is large beside the error of the pixels alone. Its
distance, 168, is far above that of the VAE of `vae.py`, so that the second row claims less than the first.

The option IAN has no classes; it is trained with the first seed, and its weights are a tenth of the paper's, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

import minigen
from minigen import plot
from minigen.models import GAN
from minigen.models.dcgan import DCGANGenerator
from minigen.models.zoo.cvae_gan import CVAEGAN
from minigen.models.zoo.encoder import GaussianEncoder
from minigen.models.zoo.heads import ConvTrunk, Heads
from minigen.models.zoo.ian import IAN
from zoo_pages import Claim, compared, digits, learn, reaches, seeds

ITERATIONS = 1200
CLAIM = "an autoencoder that compares features draws sharper digits than one that compares pixels"
LATENT, FEATURES, CLASSES, VAE_FRECHET = 32, 8, 10, 96  # the last: of the VAE of `vae.py`
VARIANTS = {"CVAE-GAN": {"features": 0.1, "matching": 1.0}, "conditional VAE": {"features": 0.0, "matching": 0.0}}


def train(variant: str, seed: int, args: argparse.Namespace, out: Path) -> GAN:
    minigen.manual_seed(seed)
    trunk = lambda: ConvTrunk(digits.SHAPE, FEATURES)
    rates = {"discriminator": 5e-4, "classifier": 5e-4, "generator": 1e-3}
    if variant == "IAN":
        model: GAN = IAN(DCGANGenerator(digits.SHAPE, LATENT, FEATURES), Heads(trunk(), 3), pixels=0.3, features=0.1)
        rates.pop("classifier")
    else:
        generator = DCGANGenerator(digits.SHAPE, LATENT, FEATURES, CLASSES)
        heads = Heads(trunk(), 1), Heads(trunk(), CLASSES), GaussianEncoder(trunk(), LATENT)
        model = CVAEGAN(generator, *heads, **VARIANTS[variant])
    return learn(model, digits.batches(32, seed), args, out / f"{variant}-{seed}", lr=rates)


class Found(NamedTuple):
    frechet: float
    right: float  # share of the samples that are read as the digit that was asked for
    samples: np.ndarray  # the first 20


def look(model: GAN, judge: digits.Judge) -> Found:
    labels = np.arange(1000) % CLASSES
    samples = model.sample(1000, model.device.asarray(labels) if model.classes else None)
    right = float((judge.read(samples) == labels).mean())
    return Found(judge.distance(samples), right, digits.shown(samples)[:20])


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)
    mine, plain = ([look(train(name, seed, args, out), judge) for seed in seeds(args)] for name in VARIANTS)
    ian = look(train("IAN", args.seed, args, out), judge)
    rows = [*(f"{name}, seed {seed}" for name in VARIANTS for seed in seeds(args)), "IAN"]
    pictures = [run.samples for run in (*mine, *plain, ian)]
    plot.save_grid(np.concatenate(pictures), out / "samples.png", columns=20, rows=rows)
    distances, right, _ = zip(*mine, strict=True)
    distances_of_vae, right_of_vae, _ = zip(*plain, strict=True)
    text, bound = "Fréchet distance, beside ", f"< {VAE_FRECHET}"
    return [
        reaches(f"{text}a VAE's", bound, distances, str(VAE_FRECHET), ".1f"),
        compared(f"{text}the conditional VAE's", "less", distances, distances_of_vae, ".1f"),
        reaches("share of the samples read as asked for", ">= 0.95", right, right_of_vae),
        reaches(f"IAN: {text}a VAE's", bound, [ian.frechet], str(VAE_FRECHET), ".1f"),
    ]
