"""Minibatch discrimination on the ring of 8 Gaussians, with the minimax loss: how many modes, with and without it.

A mode is covered if it is the nearest of at least 50 of 4,000 samples that lie within three standard deviations.
"""

from __future__ import annotations

import argparse
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
    mine, plain = runs[: args.seeds], runs[args.seeds :]
    modes = [[run.covered for run in kind] for kind in (mine, plain)]
    near = [[run.near for run in kind] for kind in (mine, plain)]
    better = [bool(np.median(with_it) > np.median(without)) for with_it, without in (modes, near)]
    return [
        Claim("modes covered, of 8, beside plain minimax", "more", *(spread(x, ".0f") for x in modes), better[0]),
        Claim("share of the samples near a mode", "more", *(spread(x, ".2f") for x in near), better[1]),
    ]
