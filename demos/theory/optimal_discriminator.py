"""The best discriminator is D* = p_data / (p_data + p_g) (Goodfellow et al. 2014, proposition 1)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.figures import new_figure
from minigen import nn, plot
from minigen.data import toy
from minigen.data.toy import GaussianMixture
from minigen.evaluate import divergences
from theory import Claim
from theory.networks import evaluate, mlp, probabilities, train_discriminator


class Measured(NamedTuple):
    x: np.ndarray  # (N, dimensions), a grid
    log_p_data: np.ndarray  # (N,)
    log_p_g: np.ndarray
    best: np.ndarray  # D*(x)
    trained: np.ndarray  # D(x)
    error: float  # the mean of |D - D*| under (p_data + p_g) / 2
    value: float  # V(G, D)
    highest: float  # V(G, D*)


def measure(steps: int, out: Path) -> list[Claim]:
    """Two humps on a line, and a ring of eight in the plane, each against one broad hump."""
    line = train(toy.bimodal(), GaussianMixture([[0.0]], 2.0), 4000, steps)
    plane = train(toy.ring(8, radius=2.0, std=0.3), GaussianMixture([[0.0, 0.0]], 1.5), 240, steps)
    draw(line, plane, out / "optimal_discriminator.png")
    claims = []
    for name, m in (("1-D", line), ("2-D", plane)):
        closeness = f"{name}: mean |D - D*| under (p_data + p_g) / 2, D trained"
        claims.append(Claim(closeness, "<= 0.02", f"{m.error:.4f}", m.error <= 0.02))
        bound = f"{name}: V(G, D) of the trained D is at most V(G, D*)"
        claims.append(Claim(bound, f"<= {m.highest:.4f}", f"{m.value:.4f}", m.value <= m.highest))
    return claims


def train(p_data: GaussianMixture, p_g: GaussianMixture, n: int, steps: int) -> Measured:
    """A discriminator between the two densities, measured on a grid of n points in each dimension."""
    dimensions = p_data.means.shape[1]
    discriminator = mlp(dimensions, nn.Tanh)
    train_discriminator(discriminator, p_data.sample, p_g.sample, steps)

    x, cell = divergences.integration_grid(-12, 12, n, dimensions)
    log_p_data, log_p_g, logits = p_data.log_prob(x), p_g.log_prob(x), evaluate(discriminator, x)
    best, trained = divergences.optimal_discriminator(log_p_data, log_p_g), probabilities(logits)
    error = ((np.exp(log_p_data) + np.exp(log_p_g)) / 2 * np.abs(trained - best)).sum() * cell
    value, highest = (divergences.value_function(log_p_data, log_p_g, s, cell) for s in (logits, log_p_data - log_p_g))
    return Measured(x, log_p_data, log_p_g, best, trained, float(error), value, highest)


def draw(line: Measured, plane: Measured, path: Path) -> None:
    figure = new_figure(14, 3.4)
    axes, *panels = figure.subplots(1, 4, width_ratios=[1.5, 1, 1, 1])
    x = line.x[:, 0]
    axes.fill_between(x, np.exp(line.log_p_data), color="C0", alpha=0.25, lw=0, label="$p_{data}$")
    axes.fill_between(x, np.exp(line.log_p_g), color="C1", alpha=0.3, lw=0, label="$p_g$")
    axes.plot(x, line.best, "k", lw=4, alpha=0.3, label="$D^*$")
    axes.plot(x, line.trained, "C3", lw=1, label="$D$, trained")
    axes.set(xlim=(-5, 5), ylim=(0, 1.25), xlabel="$x$", title=f"mean $|D - D^*|$ {line.error:.4f}")
    axes.legend(loc="upper center", ncols=4, fontsize="small")

    side = round(len(plane.x) ** 0.5)
    square = lambda values: values.reshape(side, side)
    pictures = {
        "$D^*$": (plane.best, 1.0),
        "$D$, trained": (plane.trained, 1.0),
        f"$|D - D^*|$, mean {plane.error:.4f}": (np.abs(plane.trained - plane.best), 0.2),
    }
    for axes, (title, (values, top)) in zip(panels, pictures.items(), strict=True):
        levels, extend = np.linspace(0, top, 11), "max" if top < 1 else "neither"
        contours = axes.contourf(square(plane.x[:, 0]), square(plane.x[:, 1]), square(values), levels, extend=extend)
        axes.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal", title=title)
        figure.colorbar(contours, ax=axes, shrink=0.8)
    plot.save_figure(figure, path)
