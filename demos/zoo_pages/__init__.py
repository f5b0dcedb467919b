"""The pages of the zoo: how each model of `minigen.models.zoo` is trained and measured; `zoo.py` runs them.

Each page has ITERATIONS, the rounds of one training, and `measure(args, out)`, which trains with every seed, draws into
the folder `out` and returns its claims.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigen import data, evaluate, optim, train
from minigen.backend import to_numpy


class Claim(NamedTuple):
    """What is claimed, and what was measured beside a baseline."""

    text: str
    aim: str
    measured: str
    baseline: str
    holds: bool


def spread(values: Sequence[float], form: str = ".3f") -> str:
    """The median, and the range if there are several values."""
    low, middle, high = (format(float(x), form) for x in (min(values), np.median(values), max(values)))
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle


def seeds(args: argparse.Namespace) -> range:
    return range(args.seed, args.seed + args.seeds)


def play(
    gan: Any, density: Any, args: argparse.Namespace, out: Path, *, batch_size: int, lr: tuple[float, float], seed: int
) -> Any:
    """Train a GAN on draws of a density, for --iterations rounds; returns it with the average of its weights.

    `lr` are the rates of discriminator and generator, which fall to 0.
    """
    draws = data.toy.Draws(density, batch_size * gan.k, args.iterations, seed)
    adam = lambda network, rate: optim.Adam(network.parameters(), rate, betas=(0.5, 0.999))
    game = train.Game(
        gan,
        {"discriminator": adam(gan.discriminator, lr[0]), "generator": adam(gan.generator, lr[1])},
        average=optim.WeightEMA(gan.generator, 0.995),
        schedule=optim.linear_decay(args.iterations),
    )
    settings = {"iterations": args.iterations, "seed": seed}
    resume = args.resume and (out / "checkpoint.safetensors").exists()
    train.train(game, draws, epochs=1, out=out, resume=resume, settings=settings)
    with game.averaged():
        weights = {name: x.copy() for name, x in gan.state_dict().items()}
    gan.load_state_dict(weights)
    return gan


class Samples(NamedTuple):
    """What `figures.save_modes` draws."""

    objective: str
    seed: int
    samples: np.ndarray  # (4000, 2)
    near: float  # share of the samples that are near a mode
    covered: int  # modes


def covered(name: str, seed: int, model: Any, mixture: data.toy.GaussianMixture, at_least: int = 50) -> Samples:
    """4,000 samples of a model of points in the plane, and the modes that at least so many of them are near."""
    samples = to_numpy(model.sample(4000).data)
    return Samples(name, seed, samples, *evaluate.modes_covered(samples, mixture, at_least))
