"""b-GAN fits one Gaussian to the mixture of the f-GAN page, and rests elsewhere: G's loss is not the divergence.

Where it comes to rest can be computed: there the mean of f'(r) dr/dx, over all samples x, moves neither mu nor sigma,
for the exact r. The page does so for "gan". For Pearson there is no such place, and training leads away from the data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from common.figures import new_figure
from minigen import plot
from minigen.models.zoo.b_gan import BGAN
from minigen.models.zoo.f_gan import DIVERGENCES
from zoo_pages import Claim, f_gan, reaches, seeds
from zoo_pages.f_gan import CELL, P, X, density

ITERATIONS = 1500
CLAIM = "the generator minimises the divergence that D's estimate of the density ratio says there is"
NAMES = ["gan", "pearson"]


def rest(divergence: str, steps: int = 300) -> np.ndarray:
    """(mu, sigma) where b-GAN comes to rest, by descent along G's gradient for the exact ratio, from the best."""
    mu, sigma = f_gan.best_fit(divergence).fit
    for _ in range(steps):
        q = density(X, mu, np.log(sigma))
        slope = np.gradient(DIVERGENCES[divergence].f(P / q), CELL)  # f'(r) dr/dx
        moves = slope, slope * (X - mu) / sigma  # of the sample x = mu + sigma z, by mu and by sigma
        mu, sigma = np.array([mu, sigma]) - 0.1 * np.array([(q * move).sum() * CELL for move in moves])
    return np.array([mu, sigma])


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    fit = lambda name, seed: f_gan.train(name, seed, args, out, BGAN).generator.fit
    learned = {name: [fit(name, seed) for seed in seeds(args)] for name in NAMES}
    best, at_rest = {name: f_gan.best_fit(name).fit for name in NAMES}, rest("gan")
    draw(best, at_rest, learned, out / "fits.png")
    errors = lambda name, place: [float(np.abs(fit - place).max()) for fit in learned[name]]
    claims = []
    for name, (mu, sigma) in best.items():
        text = f"{name}: largest error of the best mu {mu:.3f} and sigma {sigma:.3f}"
        claims.append(reaches(text, "<= 0.05", errors(name, best[name]), ""))
    text = "gan: of where it rests by theory, mu {:.3f} and sigma {:.3f}".format(*at_rest)
    return [*claims, reaches(text, "<= 0.05", errors("gan", at_rest), [np.abs(best["gan"] - at_rest).max()])]


def draw(best: dict[str, np.ndarray], at_rest: np.ndarray, learned: dict[str, list[np.ndarray]], path: Path) -> None:
    figure = new_figure(9, 3.2)
    normal = lambda fit: density(X, fit[0], np.log(fit[1]))
    for axes, name in zip(figure.subplots(1, len(NAMES), sharey=True), NAMES, strict=True):
        axes.fill_between(X, P, color="C0", alpha=0.25, lw=0, label="data")
        axes.plot(X, normal(best[name]), "k", lw=4, alpha=0.3, label="the best fit")
        if name == "gan":
            axes.plot(X, normal(at_rest), "C2", lw=4, alpha=0.5, label="b-GAN's rest")
        for i, found in enumerate(learned[name]):
            axes.plot(X, normal(found), "C3", lw=1, label=None if i else "learned")
        axes.set(xlim=(-6, 12), ylim=(0, 0.6), title=name, yticks=[])
        axes.legend(fontsize="small")
    plot.save_figure(figure, path)
