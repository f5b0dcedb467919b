"""The value of the game is V(G, D*) = -log 4 + 2 JSD(p_data || p_g) (Goodfellow et al. 2014, theorem 1)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from common.figures import new_figure
from minigen import plot
from minigen.data import toy
from minigen.evaluate.divergences import integration_grid, jensen_shannon_divergence, value_function
from theory import Claim

LOG4 = math.log(4)


def measure(steps: int, out: Path) -> list[Claim]:
    """p_g is p_data shifted. The two sides of the equation are integrated on two different grids."""
    p_data, shifts = toy.bimodal(), np.linspace(-5, 5, 101)
    values, right_sides = [], []
    for shift in shifts:
        p_g = toy.GaussianMixture(p_data.means + shift, p_data.std)
        x, cell = integration_grid(-12, 12, 1500)
        log_p_data, log_p_g = p_data.log_prob(x), p_g.log_prob(x)
        values.append(value_function(log_p_data, log_p_g, log_p_data - log_p_g, cell))
        x, cell = integration_grid(-11, 13, 1100)
        right_sides.append(-LOG4 + 2 * jensen_shannon_divergence(p_data.log_prob(x), p_g.log_prob(x), cell))
    draw(shifts, values, right_sides, out / "value.png")

    difference = float(np.abs(np.subtract(values, right_sides)).max())
    smallest, at = min(values), abs(float(shifts[np.argmin(values)]))
    return [
        Claim(
            "largest |V(G, D*) - (-log 4 + 2 JSD)| over 101 generators",
            "<= 1e-6",
            f"{difference:.1e}",
            difference <= 1e-6,
        ),
        Claim("smallest V(G, D*): -log 4", f"{-LOG4:.9f}", f"{smallest:.9f}", abs(smallest + LOG4) <= 1e-6),
        Claim("... which is where p_g = p_data: shift", "0", f"{at:.3g}", at < 1e-9),
    ]


def draw(shifts: np.ndarray, values: list[float], right_sides: list[float], path: Path) -> None:
    figure = new_figure(6, 3.8)
    axes = figure.subplots()
    axes.plot(shifts, values, "C0", label="$V(G, D^*)$")
    axes.plot(shifts[::4], right_sides[::4], "k.", label=r"$-\log 4 + 2\,JSD(p_{data} \| p_g)$")
    axes.axhline(-LOG4, color="grey", ls=":", label=r"$-\log 4$")
    axes.axhline(0, color="grey", ls="--", label="nothing in common")
    axes.set(xlabel="shift of $p_g$ against $p_{data}$", ylabel="nats", ylim=(None, 0.4))
    axes.legend(loc="upper center", ncols=2, fontsize="small")
    plot.save_figure(figure, path)
