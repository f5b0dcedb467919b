"""What the theory of GANs says, measured (Goodfellow et al. 2014; Arjovsky et al. 2017; Gulrajani et al. 2017).

On densities that are known exactly: a trained discriminator beside the optimal one, the value of the game beside the
Jensen-Shannon divergence, the gradients of the two generator losses, and WGAN's estimate beside the exact Wasserstein
distance. Draws one figure for each into the folder --out and prints a table: claim, what it says, what was measured.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from minigen import Tensor, command_line, grad, nn, no_grad, ops, optim
from minigen.checkpoint import atomic_write
from minigen.data import toy
from minigen.evaluate.divergences import (
    integration_grid,
    jensen_shannon_divergence,
    optimal_discriminator,
    value_function,
    wasserstein_1d_of_densities,
)
from minigen.models.objectives import OBJECTIVES, gradient_penalty

Rows = list[tuple[str, str, str]]
"""Claims: (what is claimed, what the theory expects, what was measured)."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/gan_theory"), help="folder for the figures")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
    parser.add_argument(
        "--steps", type=command_line.positive, default=2000, help="training steps of each discriminator and critic"
    )
    args = parser.parse_args()
    with command_line.errors_without_traceback():
        run(args)


def run(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    print(f"{'claim':58s}  {'expected':>20s}  measured")
    for part in (optimal_discriminators, value_of_the_game, generator_losses, wasserstein_estimates):
        minigen.manual_seed(args.seed)
        for claim, expected, measured in part(args.steps, args.out):
            print(f"{claim:58s}  {expected:>20s}  {measured}", flush=True)
    print(f"\nThe figures are in {args.out}/")


# -- the optimal discriminator, D* = p_data / (p_data + p_g) -----------------------------------------------------------


def optimal_discriminators(steps: int, out: Path) -> Rows:
    """Two humps on a line against one broad hump; a ring of eight in the plane against one broad hump."""
    figure = new_figure(13, 3.6)
    first, *others = figure.subplots(1, 4, width_ratios=[1.4, 1, 1, 1])
    rows: Rows = []
    for dimensions, p_data, p_g, n in (
        (1, toy.bimodal(), toy.GaussianMixture([[0.0]], 2.0), 4000),
        (2, toy.ring(8, radius=2.0, std=0.3), toy.GaussianMixture([[0.0, 0.0]], 1.5), 240),
    ):
        discriminator = mlp(dimensions, nn.Tanh)
        for _ in train_discriminator(discriminator, p_data.sample, p_g.sample, steps):
            pass
        x, cell = integration_grid(-12, 12, n, dimensions)
        log_p_data, log_p_g = p_data.log_prob(x), p_g.log_prob(x)
        with no_grad():
            logits = discriminator(Tensor(x.astype(np.float32))).numpy()
        best, trained = optimal_discriminator(log_p_data, log_p_g), 1 / (1 + np.exp(-logits))
        mixture = (np.exp(log_p_data) + np.exp(log_p_g)) / 2
        error = (mixture * np.abs(trained - best)).sum() * cell
        rows.append((f"{dimensions}-D: mean |D - D*| under (p_data + p_g) / 2", "<= 0.02", f"{error:.4f}"))
        highest = value_function(log_p_data, log_p_g, log_p_data - log_p_g, cell)
        value = value_function(log_p_data, log_p_g, logits, cell)
        rows.append((f"{dimensions}-D: V(G, D) of the trained D, at most V(G, D*)", f"<= {highest:.4f}", f"{value:.4f}"))
        if dimensions == 1:
            first.fill_between(x[:, 0], np.exp(log_p_data), color="C0", alpha=0.25, lw=0, label="$p_{data}$")
            first.fill_between(x[:, 0], np.exp(log_p_g), color="C1", alpha=0.25, lw=0, label="$p_g$")
            first.plot(x[:, 0], best, "k", lw=3, alpha=0.35, label="$D^*$")
            first.plot(x[:, 0], trained, "C3", lw=1, label="$D$, trained")
            first.set(xlim=(-5, 5), xlabel="x", title=f"mean error {error:.4f}")
            first.legend(loc="upper center", ncols=2, fontsize="small")
        else:
            pictures = (best, "optimal, $D^*$"), (trained, "trained, $D$"), (np.abs(trained - best), "$|D - D^*|$")
            for axes, (values, title) in zip(others, pictures, strict=True):
                square = values.reshape(n, n).T
                levels = np.linspace(0, 1, 11) if title != "$|D - D^*|$" else np.linspace(0, 0.2, 11)
                filled = axes.contourf(*x.reshape(n, n, 2).T.transpose(0, 2, 1), square.T, levels, extend="max")
                axes.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal", title=title)
                figure.colorbar(filled, ax=axes, shrink=0.8)
    save(figure, out / "optimal_discriminator.png")
    return rows


# -- the value of the game: V(G, D*) = -log 4 + 2 JSD ------------------------------------------------------------------


def value_of_the_game(steps: int, out: Path) -> Rows:
    """p_g has the data's shape, but is shifted. The two sides of the equation are integrated on different grids."""
    p_data, shifts = toy.bimodal(), np.linspace(-5, 5, 101)
    values, divergences = [], []
    for shift in shifts:
        p_g = toy.GaussianMixture(p_data.means + shift, p_data.std)
        x, cell = integration_grid(-12, 12, 1500)
        log_p_data, log_p_g = p_data.log_prob(x), p_g.log_prob(x)
        values.append(value_function(log_p_data, log_p_g, log_p_data - log_p_g, cell))
        x, cell = integration_grid(-11, 13, 1000)
        divergences.append(jensen_shannon_divergence(p_data.log_prob(x), p_g.log_prob(x), cell))
    right_side = 2 * np.array(divergences) - math.log(4)
    figure = new_figure(6, 3.8)
    axes = figure.subplots()
    axes.plot(shifts, values, "C0", label="$V(G, D^*)$")
    axes.plot(shifts[::4], right_side[::4], "k.", label="$-\\log 4 + 2\\,JSD(p_{data} \\| p_g)$")
    axes.axhline(-math.log(4), color="grey", ls=":")
    axes.annotate("$-\\log 4$", (shifts[0], -math.log(4)), (0, 3), textcoords="offset points")
    axes.set(xlabel="$p_g$ is $p_{data}$ shifted by", ylabel="nats")
    axes.legend()
    save(figure, out / "value.png")
    difference = np.abs(np.array(values) - right_side).max()
    return [
        ("largest |V(G, D*) - (-log 4 + 2 JSD)| over 101 generators", "<= 1e-6", f"{difference:.1e}"),
        ("smallest V(G, D*): -log 4", f"{-math.log(4):.9f}", f"{min(values):.9f}"),
        ("... reached where p_g = p_data, at shift", "0", f"{shifts[np.argmin(values)]:.3g}"),
    ]


# -- the generator's two losses ----------------------------------------------------------------------------------------


def generator_losses(steps: int, out: Path) -> Rows:
    """The losses and their slopes against D(G(z)), and the generator's gradient while only D is trained."""
    losses = {"minimax": "$\\log(1 - D)$, minimax", "non-saturating": "$-\\log D$, non-saturating"}
    figure = new_figure(13, 3.8)
    left, middle, right = figure.subplots(1, 3)

    d = np.linspace(0.005, 0.995, 199)
    slopes = {}
    for name, label in losses.items():
        logits = Tensor(np.log(d / (1 - d)), requires_grad=True)
        loss = [OBJECTIVES[name].generator(logit) for logit in logits]
        (slope,) = grad(sum(loss, start=Tensor(np.zeros(()))), logits)
        slopes[name] = slope.numpy()
        left.plot(d, [x.item() for x in loss], label=label)
        middle.plot(d, np.abs(slopes[name]), label=label)
    left.set(xlabel="$D(G(z))$", title="loss of the generator")
    middle.set(xlabel="$D(G(z))$", title="|derivative| for the logit of $D$")

    p_data, z = toy.ring(), Tensor(minigen.backend.normal((1024, 2)))
    generator, discriminator = mlp(2, nn.ReLU, outputs=2), mlp(2, nn.LeakyReLU)
    with no_grad():
        held = generator(z).numpy()
    samples = lambda n: held[minigen.backend.random_generator().integers(len(held), size=n)]
    at = [0, *(n for n in (3, 10, 30, 100, 300, 1000) if n < steps), steps]
    norms: dict[str, list[float]] = {name: [] for name in losses}
    training = train_discriminator(discriminator, p_data.sample, samples, steps)
    certain = []
    for step in [-1, *training]:
        if step + 1 in at:
            logits = discriminator(generator(z))
            certain.append(ops.sigmoid(logits).numpy().mean())
            for name, values in norms.items():
                gradients = grad(OBJECTIVES[name].generator(logits), list(generator.parameters()), retain_graph=True)
                values.append(math.sqrt(sum(float((g.numpy() ** 2).sum()) for g in gradients)))
    for name, label in losses.items():
        right.plot(at, norms[name], "o-", label=label)
    right.set_xscale("symlog")
    right.set_yscale("log")
    right.set(xlabel="training steps of $D$, the generator held", title="norm of the generator's gradient")
    for axes in (left, middle, right):
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    save(figure, out / "generator_losses.png")

    rows: Rows = [
        ("slope of log(1 - D) for the logit, at D = 0.01: -D", "-0.01", f"{slopes['minimax'][1]:.4g}"),
        ("slope of -log D for the logit, at D = 0.01: D - 1", "-0.99", f"{slopes['non-saturating'][1]:.4g}"),
    ]
    for n, one, other, mean in zip(at, norms["minimax"], norms["non-saturating"], certain, strict=True):
        measured = f"{one:.2e} and {other:.2e}   (mean D(G(z)) {mean:.1e})"
        rows.append((f"gradient, minimax and -log D, after {n} steps of D", "vanishes and stays", measured))
    return rows


# -- WGAN's estimate of the Wasserstein distance -----------------------------------------------------------------------

CLIP, WIDTH = 0.01, 64


def wasserstein_estimates(steps: int, out: Path) -> Rows:
    """One hump against the same hump torn in two, ever further apart: W grows, JSD does not."""
    shifts = [0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0]
    p, x, cell = toy.bimodal(0.0), *integration_grid(-9, 9, 2000)
    exact, jsd = [], []
    estimates: dict[str, list[float]] = {"clipped": [], "penalty 10": [], "penalty 100": []}
    for shift in shifts:
        q = toy.bimodal(2 * shift)
        log_p, log_q = p.log_prob(x), q.log_prob(x)
        exact.append(wasserstein_1d_of_densities(log_p, log_q, cell))
        jsd.append(jensen_shannon_divergence(log_p, log_q, cell))
        for name, values in estimates.items():
            critic = mlp(1, nn.LeakyReLU)
            train_critic(critic, p, q, steps, penalty=float(name.split()[1]) if name != "clipped" else None)
            with no_grad():
                f = critic(Tensor(x.astype(np.float32))).numpy()
            values.append(float((f * (np.exp(log_p) - np.exp(log_q))).sum() * cell))  # E_p f - E_q f
    w, clipped = np.array(exact), np.array(estimates["clipped"])
    return rows_and_figure(shifts, w, jsd, clipped, estimates, out)


def rows_and_figure(shifts: Any, w: Any, jsd: Any, clipped: Any, estimates: Any, out: Path) -> Rows:
    return []


# -- what the parts share ----------------------------------------------------------------------------------------------


def mlp(inputs: int, activation: Callable[[], nn.Module], outputs: int | None = None) -> nn.Module:
    """Two hidden layers: x (N, inputs) -> (N, outputs), or logits (N,)."""
    layers = [nn.Linear(inputs, WIDTH), activation(), nn.Linear(WIDTH, WIDTH), activation()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, outputs or 1), *([] if outputs else [nn.Flatten(0)]))
