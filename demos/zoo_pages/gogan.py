"""GoGAN on a line: the Wasserstein distance of samples and data after each of three stages, beside WGAN.

The data are a mixture of four Gaussians. WGAN has the same networks, the same clipping and the rounds of all stages
together. A stage starts from the weights of the one before. The distance of two samples of the data is the floor.
"""

from __future__ import annotations

import argparse
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

ITERATIONS = 1000
CLAIM = "each stage gets nearer to the data, and the last one halves the distance that WGAN leaves"
STAGES, CLIP, MARGIN, DRAWS = 3, 0.1, 0.1, 20_000
SETTINGS = {"batch_size": 128, "lr": (1e-3, 1e-3)}
MIXTURE = GaussianMixture([[-2.0], [-0.5], [0.5], [2.0]], [0.1, 0.1, 0.3, 0.2], [0.2, 0.2, 0.4, 0.2])


def networks() -> tuple[MLPGenerator, MLPDiscriminator]:
    return MLPGenerator((1,), 2, 64, tanh=False), MLPDiscriminator((1,), 64, pieces=2, dropout=0.0)


def gap(model: Any) -> float:
    """The Wasserstein distance of the model's samples to the data."""
    return evaluate.wasserstein_1d(model.sample(DRAWS), MIXTURE.sample(DRAWS))


def stages(seed: int, args: argparse.Namespace, out: Path) -> list[GoGAN]:
    minigen.manual_seed(seed)
    trained: list[GoGAN] = []
    for stage in range(STAGES):
        generator, critic = networks()
        if trained:
            generator.load_state_dict(trained[-1].generator.state_dict())
            critic.load_state_dict(trained[-1].discriminator.state_dict())
        gan = GoGAN(generator, critic, trained[-1].generator if trained else None, MARGIN, CLIP)
        trained.append(play(gan, MIXTURE, args, out / f"gogan-{seed}-{stage}", seed=STAGES * seed + stage, **SETTINGS))
    return trained


def wgan(seed: int, args: argparse.Namespace, out: Path) -> GAN:
    minigen.manual_seed(seed)
    gan = GAN(*networks(), "wasserstein")
    gan.objective = replace(gan.objective, clip=CLIP)
    longer = argparse.Namespace(**vars(args) | {"iterations": STAGES * args.iterations})
    return play(gan, MIXTURE, longer, out / f"wgan-{seed}", seed=STAGES * seed, **SETTINGS)


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    gangs, plain = ([train(seed, args, out) for seed in seeds(args)] for train in (stages, wgan))
    draw(gangs, plain, out / "samples.png")
    gaps, wgan_gaps = [[gap(gan) for gan in gang] for gang in gangs], [gap(gan) for gan in plain]
    first, last = ([gang[i] for gang in gaps] for i in (0, -1))
    floor = evaluate.wasserstein_1d(MIXTURE.sample(DRAWS), MIXTURE.sample(DRAWS))
    better, text = bool(np.median(last) < np.median(first)), "distance after the last stage (floor {:.4f}), beside "
    halved = bool(np.median(last) <= np.median(wgan_gaps) / 2)
    return [
        Claim(text.format(floor) + "the first", "less", spread(last), spread(first), better),
        Claim(text.format(floor) + "WGAN", "half", spread(last), spread(wgan_gaps), halved),
    ]


def draw(gangs: list[list[GoGAN]], plain: list[GAN], path: Path) -> None:
    """Histograms of the first seed's samples, over the density of the data."""
    figure = new_figure(12, 2.8)
    x = np.linspace(-3.5, 3.5, 500)
    named = [(f"stage {i + 1}", gan) for i, gan in enumerate(gangs[0])] + [("WGAN", plain[0])]
    for axes, (name, gan) in zip(figure.subplots(1, len(named), sharey=True), named, strict=True):
        axes.fill_between(x, np.exp(MIXTURE.log_prob(x[:, None])), color="C0", alpha=0.3, lw=0)
        axes.hist(to_numpy(gan.sample(DRAWS).data)[:, 0], bins=x[::4], density=True, histtype="step", color="C3")
        axes.set(title=f"{name}, distance {gap(gan):.3f}", yticks=[])
    plot.save_figure(figure, path)
