"""f-GAN fits one Gaussian to a mixture of two: where it comes to rest depends on the divergence (the paper's table 4).

The best fits are known by quadrature, and so is the divergence that each bound must stay below.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigen
from common.figures import new_figure
from minigen import nn, ops, optim, plot
from minigen.autograd import Tensor, no_grad
from minigen.backend import to_numpy
from minigen.data.toy import GaussianMixture
from minigen.evaluate import integration_grid
from minigen.models.zoo.f_gan import DIVERGENCES, FGAN, f_divergence
from zoo_pages import Claim, play, reaches, seeds

ITERATIONS = 1500
CLAIM = "the fit of one Gaussian to two is the best one for the divergence that was chosen"
NAMES = [name for name in DIVERGENCES if name != "gan"]  # "gan" has the fit of jensen-shannon
MIXTURE = GaussianMixture([[-1.0], [2.0]], np.sqrt([0.065, 2.0]), [0.33, 0.67])
GRID, CELL = integration_grid(-15, 18, 3300)
X, P = GRID[:, 0], np.exp(MIXTURE.log_prob(GRID))


class Normal(nn.Module):
    """z (N, 1) -> mu + sigma z."""

    latent_dim = 1

    def __init__(self, mu: float = 0.0, sigma: float = 1.0) -> None:
        self.mu, self.log_sigma = nn.init.constant((1,), mu), nn.init.constant((1,), math.log(sigma))

    def forward(self, z: Any) -> Any:
        return self.mu + ops.exp(self.log_sigma) * z

    @property
    def fit(self) -> np.ndarray:
        """(mu, sigma)"""
        return np.array([self.mu.item(), math.exp(self.log_sigma.item())])


def density(x: Any, mu: Any, log_sigma: Any) -> Any:
    """That of its samples."""
    u = (x - mu) * ops.exp(-log_sigma)
    return ops.exp(-0.5 * u * u - log_sigma - 0.5 * math.log(2 * math.pi))


class Fit(NamedTuple):
    fit: np.ndarray  # (mu, sigma)
    bound: float  # what D has found of the divergence
    divergence: float  # of the mixture and the fit


def best_fit(divergence: str, steps: int = 400) -> Fit:
    """The Gaussian with the smallest divergence, by gradient descent on the integral from the moments."""
    mean = P @ X * CELL
    with minigen.default_dtype("float64"), minigen.device("cpu"):
        q = Normal(mean, math.sqrt(P @ (X - mean) ** 2 * CELL))
    optimizer = optim.Adam(q.parameters(), lr=0.02)
    for step in range(steps + 1):
        optimizer.lr = 0.02 * optim.linear_decay(steps)(step)
        optimizer.zero_grad()
        found = f_divergence(divergence, P, density(X, q.mu, q.log_sigma), CELL)
        found.backward()
        optimizer.step()
    return Fit(q.fit, found.item(), found.item())


def train(divergence: str, seed: int, args: argparse.Namespace, out: Path, kind: type[FGAN] = FGAN) -> FGAN:
    """A game with D two tanh layers of 64."""
    minigen.manual_seed(seed)
    hidden = [nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()]
    gan = kind(Normal(), nn.Sequential(*hidden, nn.Linear(64, 1), nn.Unflatten(())), divergence, 3)
    return play(gan, MIXTURE, args, out / f"{divergence}-{seed}", batch_size=512, lr=(5e-3, 5e-3), seed=seed)


def learn(divergence: str, seed: int, args: argparse.Namespace, out: Path) -> Fit:
    """What the game comes to."""
    gan = train(divergence, seed, args, out)
    mu, sigma = gan.generator.fit
    with no_grad():
        v = to_numpy(gan.discriminator(Tensor(gan.device.asarray(GRID.astype(np.float32)))).data).astype(np.float64)
    q, row = density(X, mu, np.log(sigma)), DIVERGENCES[divergence]
    bound = float((P * row.activation(v) - q * row.conjugate(v)).sum() * CELL)
    return Fit(np.array([mu, sigma]), bound, float(f_divergence(divergence, P, q, CELL)))


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    best = {name: best_fit(name) for name in NAMES}
    learned = {name: [learn(name, seed, args, out) for seed in seeds(args)] for name in NAMES}
    draw(best, learned, out / "fits.png")
    claims = []
    for name in NAMES:
        errors = [float(np.abs(found.fit - best[name].fit).max()) for found in learned[name]]
        other = np.abs(best["kl" if name != "kl" else "jensen-shannon"].fit - best[name].fit).max()
        text = "{}: largest error of mu {:.3f} and sigma {:.3f}".format(name, *best[name].fit)
        claims.append(reaches(text, "<= 0.05", errors, [other]))
    over = max(found.bound - found.divergence for fits in learned.values() for found in fits)
    return [*claims, Claim("largest (D's bound - the divergence)", "<= 0", f"{over:.5f}", "", over <= 1e-6)]


def draw(best: dict[str, Fit], learned: dict[str, list[Fit]], path: Path) -> None:
    figure = new_figure(3 * len(best), 3)
    normal = lambda fit: density(X, fit[0], np.log(fit[1]))
    for axes, (name, fit) in zip(figure.subplots(1, len(best), sharey=True), best.items(), strict=True):
        axes.fill_between(X, P, color="C0", alpha=0.25, lw=0, label="data")
        axes.plot(X, normal(fit.fit), "k", lw=4, alpha=0.3, label="the best fit")
        for i, found in enumerate(learned[name]):
            axes.plot(X, normal(found.fit), "C3", lw=1, label="learned" if i == 0 else None)
        axes.set(xlim=(-5, 8), title=f"{name}, $\\mu$ {fit.fit[0]:.2f}, $\\sigma$ {fit.fit[1]:.2f}", yticks=[])
    axes.legend(fontsize="small")
    plot.save_figure(figure, path)
