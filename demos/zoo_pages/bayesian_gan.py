"""Bayesian GAN infers z from x = z^2 + noise: a posterior with two modes, known by quadrature, that no Gaussian fits.

The distance of learned and true posterior is Wasserstein-1, the mean over 19 quantiles of x. Beside it stand the
Gaussian with the true mean and standard deviation for each x, and the prior.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import minigen
from common.figures import new_figure
from minigen import evaluate, plot
from minigen.backend import Array, to_numpy
from minigen.data import toy
from minigen.models import MLPDiscriminator, MLPGenerator
from minigen.models.zoo.bayesian_gan import BayesianGAN
from minigen.random import normal, separate_random
from zoo_pages import Claim, learn, seeds, spread

ITERATIONS = 3000
CLAIM = "the posterior of a simulator is learned from simulations, also where it has two modes"
NOISE, DRAWS = 0.3, 4000
Z, CELL = evaluate.integration_grid(-4.5, 4.5, 3000)


def simulate(n: int) -> tuple[Array, Array]:
    """z ~ N(0, 1) and x = z^2 + noise."""
    z = normal((n, 1))
    return z * z + normal((n, 1), std=NOISE), z


def posterior(x: float) -> np.ndarray:
    """p(z | x) at the points of the grid."""
    log_p = -(Z[:, 0] ** 2) / 2 - (x - Z[:, 0] ** 2) ** 2 / (2 * NOISE**2)
    p = np.exp(log_p - log_p.max())
    return p / (p.sum() * CELL)


class Observations:
    """x of the model, as a density for `toy.Draws`."""

    def sample(self, n: int) -> np.ndarray:
        return to_numpy(simulate(n)[0])


def train(seed: int, args: argparse.Namespace, out: Path) -> BayesianGAN:
    minigen.manual_seed(seed)
    q, r = MLPGenerator((1,), 1 + 3, 64, tanh=False), MLPDiscriminator((2,), 64, pieces=2, dropout=0.0)
    model = BayesianGAN(simulate, q, r, latent_dim=3, k=2)
    batches = toy.Draws(Observations(), 2 * 256, args.iterations, seed)
    rates = {"ratio": 2e-3, "posterior": 1e-3}
    return learn(model, batches, args, out / f"{seed}", lr=rates, average="posterior")


def test_points() -> np.ndarray:
    """19 quantiles of x."""
    with separate_random(0):
        x, _ = simulate(20_000)
    return np.quantile(to_numpy(x), np.arange(1, 20) / 20)


def distance(x: float, z: np.ndarray) -> float:
    """The Wasserstein distance of draws z (n,) to the posterior of x, by as many of its quantiles."""
    shares = (np.arange(len(z)) + 0.5) / len(z)
    return evaluate.wasserstein_1d(z, np.interp(shares, posterior(x).cumsum() * CELL, Z[:, 0] + CELL / 2))


def gaussian(x: float, noise: np.ndarray) -> np.ndarray:
    """Draws of the Gaussian with the posterior's mean and standard deviation."""
    p = posterior(x) * CELL
    mean = p @ Z[:, 0]
    return mean + np.sqrt(p @ (Z[:, 0] - mean) ** 2) * noise


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    points, models = test_points(), [train(seed, args, out) for seed in seeds(args)]
    inferred = [[infer(model, x) for x in points] for model in models]
    draw(points, inferred, out / "posterior.png")
    mean = lambda draws: float(np.mean([distance(x, z) for x, z in zip(points, draws, strict=True)]))
    learned = [mean(draws) for draws in inferred]
    noise = to_numpy(normal((DRAWS,)))
    best, prior = mean([gaussian(x, noise) for x in points]), mean([noise] * len(points))
    text, middle = "W1 of learned and true posterior, beside ", np.median(learned)
    return [
        Claim(f"{text}a Gaussian's", "half", spread(learned), f"{best:.3f}", bool(middle <= best / 2)),
        Claim(f"{text}the prior's", "a quarter", spread(learned), f"{prior:.3f}", bool(middle <= prior / 4)),
    ]


def infer(model: BayesianGAN, x: float) -> np.ndarray:
    """Draws of z (DRAWS,)."""
    xs = model.device.asarray(np.full((DRAWS, 1), x, np.float32))
    return to_numpy(model.infer(xs).data)[:, 0]


def draw(points: np.ndarray, inferred: list[list[np.ndarray]], path: Path) -> None:
    """The posteriors of five x, true and learned."""
    figure = new_figure(12, 2.6)
    shown = [1, 5, 9, 13, 17]
    for axes, i in zip(figure.subplots(1, len(shown)), shown, strict=True):
        axes.fill_between(Z[:, 0], posterior(points[i]), color="C0", alpha=0.3, lw=0, label="true")
        for k, draws in enumerate(inferred):
            label = None if k else "learned"
            axes.hist(draws[i], bins=np.linspace(-4, 4, 81), density=True, histtype="step", color="C3", label=label)
        axes.set(title=f"p(z | x = {points[i]:.2f})", yticks=[], xlim=(-3.5, 3.5))
    figure.axes[0].legend(fontsize="small")
    plot.save_figure(figure, path)
