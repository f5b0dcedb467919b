"""Improved GAN: digits from 100 labels, with two targets for G; and minibatch discrimination on a ring of Gaussians.

100 digits have labels, 10 of each class, and 8,000 have none. Beside each GAN stands its D, trained on the 100
alone, and on all 8,000 labels. The aim of 95 % is the paper's setting: 60,000 images, over 100 times as many rounds.

On the ring, a mode is covered if it is the nearest of at least 50 of 4,000 samples that lie within three standard
deviations. Minibatch discrimination does not help minimax there: one look at a batch tells samples from data, D's loss
stays near 0, and against such a D the minimax loss has no slope (`theory/generator_losses.py`). A plain D leaves G a
gradient.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import minigen
from common import figures
from minigen import plot
from minigen.data import toy
from minigen.files import read_json
from minigen.models import GAN, DCGANGenerator, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.improved_gan import TARGETS, ImprovedGAN, MinibatchDiscriminator
from zoo_pages import Claim, compared, covered, digits, few, learn, play, seeds

ITERATIONS = 1300  # on the ring half as many again
CLAIM = "with 100 labels, images without labels help to classify; a D that sees the batch keeps minimax on more modes"
RATES = {  # the target "features" needs a G that learns fast, so that D stays unsure of samples
    "features": {"discriminator": 1e-3, "generator": 5e-3},
    "class": {"discriminator": 1e-3, "generator": 1e-3},
}


def classifier(target: str, seed: int, args: argparse.Namespace, out: Path) -> ImprovedGAN:
    """It learns from 100 labels, and has the average of D's weights."""
    minigen.manual_seed(seed)
    generator = DCGANGenerator(digits.SHAPE, latent_dim=64, features=16)
    gan = ImprovedGAN(generator, few.discriminator(10), few.labelled(seed), target)
    folder = out / f"{target}-{seed}"
    return learn(gan, digits.batches(64, seed), args, folder, lr=RATES[target], average="discriminator")


def on_ring(minibatch: bool, seed: int, args: argparse.Namespace, out: Path) -> figures.Samples:
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
    more = argparse.Namespace(**vars(args) | {"iterations": args.iterations * 3 // 2})
    gans = {target: [classifier(target, seed, args, out) for seed in seeds(args)] for target in TARGETS}
    runs = [on_ring(minibatch, seed, more, out) for minibatch in (True, False) for seed in seeds(args)]
    draw(gans, runs, args.seeds, out / "figure.png")
    alone, everything = few.alone(args, out)
    claims = []
    for target, trained in gans.items():
        found = [few.accuracy(gan.discriminator) for gan in trained]
        claims += few.claims(f"100 labels, target {target}: accuracy", found, alone, everything)
    both = runs[: args.seeds], runs[args.seeds :]
    for text, value, form in (
        ("modes covered, of 8, beside plain minimax", lambda run: run.covered, ".0f"),
        ("share of the samples near a mode", lambda run: run.near, ".2f"),
    ):
        mine, plain = ([value(run) for run in kind] for kind in both)
        claims.append(compared(text, "more", mine, plain, form))
    mine, plain = ([loss(out / f"{run.name}-{run.seed}") for run in kind] for kind in both)
    return [*claims, compared("D's mean loss (1.39: it cannot tell)", "less", mine, plain)]


def loss(folder: Path) -> float:
    """The discriminator's, averaged over the training."""
    return float(read_json(folder / "log.jsonl", lines=True)[-1]["train"]["d_loss"])


def draw(gans: dict[str, list[ImprovedGAN]], runs: list[figures.Samples], columns: int, path: Path) -> None:
    """Samples of the first training with each target, and what the GANs on the ring do."""
    figure = figures.new_figure(max(2.3 * columns, 7), 8)
    above, below = figure.subfigures(2, 1, height_ratios=[2, 5])
    for axes, (target, trained) in zip(above.subplots(1, len(gans)), gans.items(), strict=True):
        axes.imshow(plot.mosaic(digits.shown(trained[0].sample(40)), columns=10))
        axes.set_title(f"100 labels, target: {target}", fontsize=9)
        axes.axis("off")
    figures.draw_modes(below, toy.ring(), runs, columns)
    plot.save_figure(figure, path)
