"""GoGAN on a line: the Wasserstein distance of samples and data after each of three stages, beside WGAN.

The data are a mixture of four Gaussians. WGAN has the same networks, the same clipping and the rounds of all stages
together. A stage starts from the weights of the one before. What the ranking contributes is seen beside stages that are
trained alike without it. The distance of two samples of the data is the floor.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from common.figures import new_figure
from minigen import evaluate, plot
from minigen.backend import to_numpy
from minigen.data.toy import GaussianMixture
from minigen.models import GAN, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.gogan import GoGAN
from zoo_pages import Claim, play, seeds, spread

ITERATIONS = 700
CLAIM = "the last stage is nearer to the data than the first, and halves the distance that WGAN leaves"
STAGES, CLIP, MARGIN, DRAWS = 3, 0.1, 0.1, 100_000
SETTINGS = {"batch_size": 128, "lr": (1e-3, 1e-3)}
MIXTURE = GaussianMixture([[-2.0], [-0.5], [0.5], [2.0]], [0.1, 0.1, 0.3, 0.2], [0.2, 0.2, 0.4, 0.2])


def networks() -> tuple[MLPGenerator, MLPDiscriminator]:
    return MLPGenerator((1,), 2, 64, tanh=False), MLPDiscriminator((1,), 64, pieces=2, dropout=0.0)


def gap(model: Any) -> float:
    """The Wasserstein distance of the model's samples to the data."""
    return evaluate.wasserstein_1d(model.sample(DRAWS), MIXTURE.sample(DRAWS))


def stages(ranked: bool, seed: int, args: argparse.Namespace, out: Path) -> list[GoGAN]:
    minigen.manual_seed(seed)
    trained: list[GoGAN] = []
    for stage in range(STAGES):
        generator, critic = networks()
        if trained:
            generator.load_state_dict(trained[-1].generator.state_dict())
            critic.load_state_dict(trained[-1].discriminator.state_dict())
        gan = GoGAN(generator, critic, trained[-1].generator if trained and ranked else None, MARGIN, CLIP)
        folder = out / f"{'ranked' if ranked else 'unranked'}-{seed}-{stage}"
        trained.append(play(gan, MIXTURE, args, folder, seed=STAGES * seed + stage, **SETTINGS))
    return trained


def wgan(seed: int, args: argparse.Namespace, out: Path) -> GAN:
    minigen.manual_seed(seed)
    gan = GAN(*networks(), "wasserstein")
    gan.objective = replace(gan.objective, clip=CLIP)
    longer = argparse.Namespace(**vars(args) | {"iterations": STAGES * args.iterations})
    return play(gan, MIXTURE, longer, out / f"wgan-{seed}", seed=STAGES * seed, **SETTINGS)


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    ranked, unranked = ([stages(kind, seed, args, out) for seed in seeds(args)] for kind in (True, False))
    plain = [wgan(seed, args, out) for seed in seeds(args)]
    distances = lambda gans: [gap(gan) for gan in gans]
    first, last = (distances([gang[i] for gang in ranked]) for i in (0, -1))
    without, of_wgan = distances([gang[-1] for gang in unranked]), distances(plain)
    draw([*ranked[0], unranked[0][-1], plain[0]], out / "samples.png")
    floor = evaluate.wasserstein_1d(MIXTURE.sample(DRAWS), MIXTURE.sample(DRAWS))
    text = f"distance after the last stage (floor {floor:.4f}), beside "
    claim = lambda name, other, aim, factor: Claim(
        text + name, aim, spread(last), spread(other), bool(np.median(last) < factor * np.median(other))
    )
    return [
        claim("the first", first, "less", 1.0),
        claim("no ranking", without, "less", 1.0),
        claim("WGAN", of_wgan, "half", 0.5),
    ]


def draw(gans: Sequence[GAN], path: Path) -> None:
    """Histograms of the first seed's samples, over the density of the data."""
    figure = new_figure(14, 2.8)
    x = np.linspace(-3.5, 3.5, 500)
    names = [*(f"stage {i + 1}" for i in range(STAGES)), f"stage {STAGES}, no ranking", "WGAN"]
    for axes, name, gan in zip(figure.subplots(1, len(names), sharey=True), names, gans, strict=True):
        axes.fill_between(x, np.exp(MIXTURE.log_prob(x[:, None])), color="C0", alpha=0.3, lw=0)
        axes.hist(to_numpy(gan.sample(DRAWS).data)[:, 0], bins=x[::4], density=True, histtype="step", color="C3")
        axes.set(title=f"{name}: {gap(gan):.3f}", yticks=[])
    plot.save_figure(figure, path)
