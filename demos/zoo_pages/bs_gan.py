"""BS-GAN learns the bars and stripes of 2 x 2 pixels, 6 of 16 patterns of 4 bits: KL(data || G) is a sum.

z has 4 signs, so that G's distribution is a mean over 16 codes, and exact. Beside it stand a plain GAN, whose D sees
G's probabilities in place of bits, and the best fit by independent bits.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from common.figures import new_figure
from minigen import ops, plot
from minigen.autograd import Tensor, no_grad
from minigen.backend import to_numpy
from minigen.data.toy import WeightedPoints
from minigen.models import GAN, MLPDiscriminator
from minigen.models.zoo.bs_gan import BitGenerator, BoundarySeekingGAN, log_prob
from minigen.random import uniform
from zoo_pages import Claim, compared, play, reaches, seeds

ITERATIONS = 1200
CLAIM = "a generator of bits learns without gradients through them, and better than a plain GAN with soft bits"
SIDE, SIGNS = 2, 4
EVERY = np.array(list(product((0, 1), repeat=SIDE**2)), np.float32)  # (16, 4)
CODES = np.array(list(product((-1, 1), repeat=SIGNS)), np.float32)  # (16, 4)


def bars_and_stripes() -> np.ndarray:
    """The patterns (6, 4) whose rows are all equal, or whose columns are."""
    lines = np.array(list(product((0, 1), repeat=SIDE)), np.float32)
    bars = np.repeat(lines, SIDE, axis=1).reshape(-1, SIDE, SIDE)
    return np.unique(np.concatenate([bars, bars.transpose(0, 2, 1)]).reshape(-1, SIDE**2), axis=0)


class Signs:
    """Draws z from the codes."""

    def noise(self, n: int) -> Tensor:
        z = uniform((n, SIGNS), device=self.device)  # type: ignore[attr-defined]
        return Tensor((z < 0.5).astype(z.dtype) * 2 - 1)


class BSGAN(Signs, BoundarySeekingGAN):
    pass


class SoftGAN(Signs, GAN):
    pass


class SoftGenerator(BitGenerator):
    """Gives the probabilities of the bits, with derivatives."""

    def forward(self, z: Any, labels: Any = None) -> Any:
        return ops.sigmoid(self.logits(z))


@no_grad()
def probabilities(gan: GAN) -> np.ndarray:
    """g(x) of each of all patterns: the mean of g(x | z) over the codes."""
    logits = to_numpy(gan.generator.logits(Tensor(gan.device.asarray(CODES))).data).astype(np.float64)  # (codes, bits)
    x = np.broadcast_to(EVERY[:, None].astype(np.float64), (len(EVERY), *logits.shape))
    return np.exp(log_prob(x, logits)).mean(axis=1)


def kl(gan: GAN) -> float:
    """KL(data || G) in nats."""
    shown = (EVERY[:, None] == bars_and_stripes()).all(axis=2).any(axis=1)
    return float(-np.log(shown.sum()) - np.log(probabilities(gan)[shown]).mean())


def learn(kind: str, seed: int, args: argparse.Namespace, out: Path) -> GAN:
    minigen.manual_seed(seed)
    shape = (SIDE**2,)
    discriminator = MLPDiscriminator(shape, hidden=32, pieces=2, dropout=0.0)
    gan: GAN
    if kind == "BS-GAN":
        gan = BSGAN(BitGenerator(shape, SIGNS, hidden=32), discriminator, k=2)
    else:
        gan = SoftGAN(SoftGenerator(shape, SIGNS, hidden=32), discriminator, k=2)
    density, folder = WeightedPoints(bars_and_stripes()), out / f"{kind}-{seed}"
    return play(gan, density, args, folder, batch_size=64, lr=(5e-3, 1e-3), seed=seed)


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    gans = {kind: [learn(kind, seed, args, out) for seed in seeds(args)] for kind in ("BS-GAN", "soft bits")}
    draw(gans, out / "patterns.png")
    mine, plain = ([kl(gan) for gan in gans[kind]] for kind in gans)
    independent = SIDE**2 * np.log(2) - np.log(len(bars_and_stripes()))  # each bit is 1 in half of the patterns
    return [
        reaches("KL(data || G) in nats, beside independent bits", "<= 0.2", mine, [independent]),
        compared("the same, beside a plain GAN with soft bits", "less", mine, plain),
    ]


def draw(gans: dict[str, list[GAN]], path: Path) -> None:
    """The probabilities of the patterns and of all others, for each training."""
    figure = new_figure(8, 3.2)
    shown = bars_and_stripes()
    index = [int(np.flatnonzero((pattern == EVERY).all(axis=1))[0]) for pattern in shown]
    for axes, (kind, trained) in zip(figure.subplots(1, len(gans), sharey=True), gans.items(), strict=True):
        for i, gan in enumerate(trained):
            g = probabilities(gan)
            axes.plot([*g[index], 1 - g[index].sum()], "o", alpha=0.6, label=f"training {i + 1}")
        axes.axhline(1 / len(shown), color="grey", ls=":", label="data")
        axes.set(title=kind, xlabel="pattern; at the right, all that are none", ylabel="probability")
    axes.legend(fontsize="small")
    plot.save_figure(figure, path)
