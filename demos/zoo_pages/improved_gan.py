"""Minibatch discrimination on the ring of 8 Gaussians, with the minimax loss: how many modes, with and without it.

A mode is covered if it is the nearest of at least 50 of 4,000 samples that lie within three standard deviations.

The claim is not met here, and the last row says why: one look at a batch tells samples from data, D's loss stays near
0, and against such a D the minimax loss has no slope (`theory/generator_losses.py`). A plain D leaves G a gradient.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import minigen
from common import figures
from minigen.data import toy
from minigen.models import GAN, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.improved_gan import MinibatchDiscriminator
from zoo_pages import Claim, Samples, covered, play, seeds, spread

ITERATIONS = 2000
CLAIM = "a discriminator that sees the whole batch keeps minimax on more modes of the ring"


def learn(minibatch: bool, seed: int, args: argparse.Namespace, out: Path) -> Samples:
    minigen.manual_seed(seed)
    discriminator: MLPDiscriminator
    if minibatch:
        discriminator = MinibatchDiscriminator((2,), 64, pieces=2, kernels=4, size=2)
    else:
        discriminator = MLPDiscriminator((2,), 64, pieces=2, dropout=0.0)
    gan = GAN(MLPGenerator((2,), 2, 64, tanh=False), discriminator, "minimax")
    name = "minibatch" if minibatch else "plain"
    play(gan, toy.ring(), args, out / f"{name}-{seed}", batch_size=64, lr=(1e-3, 1e-3), seed=seed)
    return covered(name, seed, gan, toy.ring())


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    runs = [learn(minibatch, seed, args, out) for minibatch in (True, False) for seed in seeds(args)]
    figures.save_modes(toy.ring(), runs, args.seeds, out / "ring.png")
    both = runs[: args.seeds], runs[args.seeds :]
    claims = []
    for text, value, form in (
        ("modes covered, of 8, beside plain minimax", lambda run: run.covered, ".0f"),
        ("share of the samples near a mode", lambda run: run.near, ".2f"),
    ):
        mine, plain = ([value(run) for run in kind] for kind in both)
        holds = bool(np.median(mine) > np.median(plain))
        claims.append(Claim(text, "more", spread(mine, form), spread(plain, form), holds))
    mine, plain = ([loss(out / f"{run.objective}-{run.seed}") for run in kind] for kind in both)
    text, holds = "D's mean loss (1.39: it cannot tell)", bool(np.median(mine) < np.median(plain))
    return [*claims, Claim(text, "less", spread(mine), spread(plain), holds)]


def loss(folder: Path) -> float:
    """The discriminator's, averaged over the training."""
    return float(json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["train"]["d_loss"])
