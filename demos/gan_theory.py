"""What the theory of GANs says, measured (Goodfellow et al. 2014; Arjovsky et al. 2017; Gulrajani et al. 2017).

On densities that are known exactly: a trained discriminator beside the optimal one, the value of the game beside the
Jensen-Shannon divergence, the gradients of the two generator losses, and WGAN's estimate beside the exact Wasserstein
distance. Draws a figure for each into the folder --out, and prints a table: a claim, what it says, what was measured.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from minigen import Tensor, command_line, grad, nn, no_grad, ops, optim, plot
from minigen.backend import normal, random_generator
from minigen.data import toy
from minigen.evaluate.divergences import (
    integration_grid,
    jensen_shannon_divergence,
    optimal_discriminator,
    value_function,
    wasserstein_1d_of_densities,
)
from minigen.models.objectives import OBJECTIVES, gradient_penalty

Rows = list[tuple[str, str, str]]  # (a claim, what the theory expects, what was measured)
HIDDEN = 64
LOG4 = math.log(4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/gan_theory"), help="folder for the figures")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
    parser.add_argument(
        "--steps",
        type=command_line.positive,
        default=1000,
        help="training steps of a discriminator; a critic takes half as many",
    )
    args = parser.parse_args()
    with command_line.errors_without_traceback():
        run(args)


def run(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    print(f"{'claim':66s}  {'expected':>13s}   measured")
    for part in (optimal_discriminators, value_of_the_game, generator_losses, wasserstein_estimates):
        minigen.manual_seed(args.seed)
        for claim, expected, measured in part(args.steps, args.out):
            print(f"{claim:66s}  {expected:>13s}   {measured}", flush=True)
    print(f"Figures are in {args.out}/")


# -- the best discriminator is D* = p_data / (p_data + p_g) ------------------------------------------------------------


def optimal_discriminators(steps: int, out: Path) -> Rows:
    """Two humps on a line, and a ring of eight in the plane, each against one broad hump."""
    figure = new_figure(14, 3.4)
    line, *planes = figure.subplots(1, 4, width_ratios=[1.5, 1, 1, 1])
    rows: Rows = []
    for dimensions, n, p_data, p_g in (
        (1, 4000, toy.bimodal(), toy.GaussianMixture([[0.0]], 2.0)),
        (2, 240, toy.ring(8, radius=2.0, std=0.3), toy.GaussianMixture([[0.0, 0.0]], 1.5)),
    ):
        discriminator = mlp(dimensions, nn.Tanh)
        train_discriminator(discriminator, p_data.sample, p_g.sample, steps)

        x, cell = integration_grid(-12, 12, n, dimensions)
        log_p_data, log_p_g = p_data.log_prob(x), p_g.log_prob(x)
        logits = evaluate(discriminator, x)
        best, trained = optimal_discriminator(log_p_data, log_p_g), np.exp(-np.logaddexp(0, -logits))
        error = ((np.exp(log_p_data) + np.exp(log_p_g)) / 2 * np.abs(trained - best)).sum() * cell
        highest = value_function(log_p_data, log_p_g, log_p_data - log_p_g, cell)
        value = value_function(log_p_data, log_p_g, logits, cell)
        rows += [
            (f"{dimensions}-D: mean |D - D*| under (p_data + p_g) / 2, D trained", "<= 0.02", f"{error:.4f}"),
            (f"{dimensions}-D: V(G, D) of the trained D is at most V(G, D*)", f"<= {highest:.4f}", f"{value:.4f}"),
        ]
        if dimensions == 1:
            x = x[:, 0]
            line.fill_between(x, np.exp(log_p_data), color="C0", alpha=0.25, lw=0, label="$p_{data}$")
            line.fill_between(x, np.exp(log_p_g), color="C1", alpha=0.3, lw=0, label="$p_g$")
            line.plot(x, best, "k", lw=4, alpha=0.3, label="$D^*$")
            line.plot(x, trained, "C3", lw=1, label="$D$, trained")
            line.set(xlim=(-5, 5), ylim=(0, 1.25), xlabel="$x$", title=f"mean $|D - D^*|$ {error:.4f}")
            line.legend(loc="upper center", ncols=4, fontsize="small")
        else:
            pictures = [(best, 1.0, "$D^*$"), (trained, 1.0, "$D$, trained"), (np.abs(trained - best), 0.2, "")]
            for axes, (values, top, title) in zip(planes, pictures, strict=True):
                square = [y.reshape(n, n) for y in (x[:, 0], x[:, 1], values)]
                contours = axes.contourf(*square, np.linspace(0, top, 11), extend="max" if top < 1 else "neither")
                title = title or f"$|D - D^*|$, mean {error:.4f}"
                axes.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal", title=title)
                figure.colorbar(contours, ax=axes, shrink=0.8)
    plot.save_figure(figure, out / "optimal_discriminator.png")
    return rows


# -- the value of the game is V(G, D*) = -log 4 + 2 JSD ----------------------------------------------------------------


def value_of_the_game(steps: int, out: Path) -> Rows:
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
    figure = new_figure(6, 3.8)
    axes = figure.subplots()
    axes.plot(shifts, values, "C0", label="$V(G, D^*)$")
    axes.plot(shifts[::4], right_sides[::4], "k.", label=r"$-\log 4 + 2\,JSD(p_{data} \| p_g)$")
    axes.axhline(-LOG4, color="grey", ls=":", label=r"$-\log 4$")
    axes.axhline(0, color="grey", ls="--", label="nothing in common")
    axes.set(xlabel="shift of $p_g$ against $p_{data}$", ylabel="nats", ylim=(None, 0.4))
    axes.legend(loc="upper center", ncols=2, fontsize="small")
    plot.save_figure(figure, out / "value.png")
    difference = np.abs(np.subtract(values, right_sides)).max()
    return [
        ("largest |V(G, D*) - (-log 4 + 2 JSD)| over 101 generators", "<= 1e-6", f"{difference:.1e}"),
        ("smallest V(G, D*): -log 4", f"{-LOG4:.9f}", f"{min(values):.9f}"),
        ("... which is where p_g = p_data: shift", "0", f"{abs(shifts[np.argmin(values)]):.3g}"),
    ]


# -- why the generator does not minimise log(1 - D(G(z))) --------------------------------------------------------------

LOSSES = {"minimax": r"minimax, $\log(1 - D)$", "non-saturating": r"non-saturating, $-\log D$"}


def generator_losses(steps: int, out: Path) -> Rows:
    """The two losses and their slopes against D(G(z)); then the generator's gradients while only D is trained."""
    figure = new_figure(14, 3.8)
    loss_axes, slope_axes, norm_axes = figure.subplots(1, 3)

    d = np.linspace(0.01, 0.99, 99)
    slopes = {}
    for name, label in LOSSES.items():
        logits = Tensor(np.log(d / (1 - d)), requires_grad=True)
        losses = ops.stack([OBJECTIVES[name].generator(logit) for logit in logits])
        (slope,) = grad(losses, logits, Tensor(np.ones_like(d)))
        slopes[name] = slope.numpy()
        loss_axes.plot(d, losses.numpy(), label=label)
        slope_axes.plot(d, np.abs(slopes[name]), label=label)
    loss_axes.set(xlabel="$D(G(z))$", ylabel="nats", title="the generator's loss")
    slope_axes.set(xlabel="$D(G(z))$", title="|its derivative| for the logit of $D$")
    rows: Rows = [
        ("derivative of log(1 - D) for the logit, at D = 0.01: -D", "-0.01", f"{slopes['minimax'][0]:.6g}"),
        ("derivative of -log D for the logit, at D = 0.01: -(1 - D)", "-0.99", f"{slopes['non-saturating'][0]:.6g}"),
    ]

    generator, discriminator = mlp(2, nn.LeakyReLU, (2,)), mlp(2, nn.LeakyReLU)
    z = Tensor(normal((1024, 2)))
    held = evaluate(generator, z.numpy())
    samples = lambda n: held[random_generator().integers(len(held), size=n)]
    moments = [n for n in (0, 3, 10, 30, 100, 300) if n < steps] + [steps]
    norms: dict[str, list[float]] = {name: [] for name in LOSSES}
    beliefs = []  # the mean of D(G(z))

    def watch(step: int) -> None:
        if step in moments:
            logits = evaluate(discriminator, held)
            beliefs.append(float(np.exp(-np.logaddexp(0, -logits)).mean()))
            for name in LOSSES:
                gradients = grad(OBJECTIVES[name].generator(discriminator(generator(z))), list(generator.parameters()))
                norms[name].append(math.sqrt(sum(float((g.numpy() ** 2).sum()) for g in gradients)))

    train_discriminator(discriminator, toy.ring().sample, samples, steps, watch)
    for name, label in LOSSES.items():
        norm_axes.plot(moments, norms[name], "o-", label=label)
    norm_axes.set_xscale("symlog")
    norm_axes.set_yscale("log")
    norm_axes.set(xlabel="training steps of $D$; the generator is held", title="norm of the generator's gradient")
    for axes in (loss_axes, slope_axes, norm_axes):
        axes.grid(alpha=0.3)
    loss_axes.legend(fontsize="small")
    norm_axes.legend(fontsize="small")
    plot.save_figure(figure, out / "generator_losses.png")
    for step, *measured, belief in zip(moments, *norms.values(), beliefs, strict=True):
        claim = f"norm of G's gradient, minimax / non-saturating, D at step {step}"
        figures = " / ".join(f"{norm:.1e}" for norm in measured)
        rows.append((claim, "to 0 / stays", f"{figures}   (mean D(G(z)) {belief:.1e})"))
    return rows


# -- a WGAN's critic estimates the Wasserstein distance ----------------------------------------------------------------

P, CLIP = toy.bimodal(0.0), 0.01


def torn(shift: float) -> toy.GaussianMixture:
    """P with one half moved to the right and the other to the left by `shift`."""
    return toy.bimodal(2 * shift)


def wasserstein_estimates(steps: int, out: Path) -> Rows:
    """One hump, and the same hump torn in two, ever further apart: W grows for ever, JSD stops at log 2."""
    line = np.linspace(0, 4, 81)
    x, cell = integration_grid(-9, 9, 2000)
    exact = [wasserstein_1d_of_densities(P.log_prob(x), torn(shift).log_prob(x), cell) for shift in line]
    jsd = [jensen_shannon_divergence(P.log_prob(x), torn(shift).log_prob(x), cell) for shift in line]

    shifts = np.array([0.0, 0.5, 1.0, 2.0, 3.0, 4.0])
    w = np.interp(shifts, line, exact)  # they are among the 81
    clipped = np.array([estimate(torn(shift), None, steps) for shift in shifts])
    penalised = {
        penalty: np.array([estimate(torn(shift), penalty, steps) for shift in shifts]) for penalty in (10, 100)
    }
    stuck = estimate(torn(shifts[2]), 10, steps, grow=False)

    figure = new_figure(12, 4)
    left, right = figure.subplots(1, 2)
    left.plot(line, exact, "k", lw=4, alpha=0.3, label="$W$, exact")
    for color, (penalty, estimates) in zip(("C0", "C2"), penalised.items(), strict=True):
        left.plot(shifts, estimates, f"{color}o-", lw=1, label=rf"critic, gradient penalty $\lambda = {penalty}$")
    left.plot(shifts[2], stuck, "C0x", ms=8, label=r"critic, $\lambda = 10$ from the first step on")
    left.plot(shifts, clipped, "C3o-", lw=1, label=f"critic, weights clipped to {CLIP}")
    left.plot(line, jsd, "C1--", label="Jensen-Shannon divergence")
    left.axhline(math.log(2), color="grey", ls=":", label=r"$\log 2$")
    left.set(xlabel="shift of the two halves of $p_g$", title="W grows, JSD stops at log 2")
    scale = float(w @ clipped / (w @ w))
    right.plot(w, clipped, "C3o", label=f"critic, weights clipped to {CLIP}")
    right.plot(w, scale * w, "k", lw=1, label=f"{scale:.5f} $W$")
    right.set(
        xlabel="$W$, exact", ylabel="estimate", title="clipping: proportional to W at best, at a scale of its own"
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    plot.save_figure(figure, out / "wasserstein.png")

    rows: Rows = [(f"JSD of the furthest two densities, at W = {w[-1]:.3f}: log 2", "0.6931", f"{jsd[-1]:.4f}")]
    for penalty, estimates in penalised.items():
        for distance, value in zip(w[1:], estimates[1:], strict=True):
            claim = f"penalty {penalty}: (estimate - W) / W at W = {distance:.3f}: about W / (2 lambda)"
            rows.append((claim, f"{distance / (2 * penalty):+.4f}", f"{value / distance - 1:+.4f}"))
    claim = f"penalty 10 from the first step on: the same at W = {w[2]:.3f}"
    rows.append((claim, "stuck", f"{stuck / w[2] - 1:+.4f}"))
    ratios = clipped[1:] / w[1:]
    claim, bound = f"clipped to {CLIP}: estimate / W is below the Lipschitz bound", CLIP**3 * HIDDEN**2
    return [*rows, (claim, f"<= {bound:.5f}", f"{ratios.min():.5f} to {ratios.max():.5f}")]


def estimate(q: toy.GaussianMixture, penalty: float | None, steps: int, grow: bool = True) -> float:
    """E_P f - E_q f for a trained critic f: with gradient penalty lambda, or (None) with clipped weights.

    Under the penalty a slope s instead of 1 gains about s W - lambda (s - 1)^2, most at s = 1 + W / (2 lambda): the
    estimate is that much too large.
    """
    critic = mlp(1, nn.LeakyReLU)
    train_critic(critic, P, q, penalty, (steps + 1) // 2, grow)
    x, cell = integration_grid(-9, 9, 2000)
    return float((evaluate(critic, x) * (np.exp(P.log_prob(x)) - np.exp(q.log_prob(x)))).sum() * cell)


# -- networks, training, figures ---------------------------------------------------------------------------------------


def mlp(inputs: int, activation: Callable[[], nn.Module], shape: tuple[int, ...] = ()) -> nn.Sequential:
    """x (N, inputs) -> (N, *shape), logits (N,) by default, through two hidden layers."""
    hidden = [nn.Linear(inputs, HIDDEN), activation(), nn.Linear(HIDDEN, HIDDEN), activation()]
    return nn.Sequential(*hidden, nn.Linear(HIDDEN, math.prod(shape)), nn.Unflatten(shape))


@no_grad()
def evaluate(net: nn.Module, x: np.ndarray) -> np.ndarray:
    return net(Tensor(x.astype(np.float32))).numpy()


def descend(
    optimizer: optim.Optimizer, loss: Callable[[], Tensor], steps: int, watch: Callable[[int], Any] = lambda step: None
) -> None:
    """Minimise; `watch` is called before the first step and after each, with the number of steps taken."""
    lr, decay = optimizer.lr, optim.linear_decay(steps)
    watch(0)
    for step in range(steps):
        optimizer.lr = lr * decay(step)
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        watch(step + 1)


def train_discriminator(
    net: nn.Module, data: Callable, samples: Callable, steps: int, watch: Callable[[int], Any] = lambda step: None
) -> None:
    """Minimise -V(G, D) over D; `data(n)` and `samples(n)` draw from p_data and p_g."""
    loss = lambda: OBJECTIVES["minimax"].discriminator(net(Tensor(data(1024))), net(Tensor(samples(1024))))
    descend(optim.Adam(net.parameters(), 5e-3), loss, steps, watch)


def train_critic(
    net: nn.Module, p: toy.GaussianMixture, q: toy.GaussianMixture, penalty: float | None, steps: int, grow: bool = True
) -> None:
    """Maximise E_p f - E_q f, with a gradient penalty of that weight, or (None) with weights clipped after each step.

    A full penalty soon makes all slopes 1 or -1, with the signs that they happen to have, and then lets none change
    its sign, for it would have to pass through 0: a critic that must rise here and fall there gets stuck. So under
    `grow` the weight grows from 0, over the first half of the steps.
    """
    optimizer: optim.Optimizer
    if penalty is None:
        optimizer = optim.RMSprop(net.parameters(), 5e-4)
    else:
        optimizer = optim.Adam(net.parameters(), 2e-3, betas=(0.5, 0.9))

    def loss() -> Tensor:
        a, b = Tensor(p.sample(256)), Tensor(q.sample(256))
        result = OBJECTIVES["wasserstein"].discriminator(net(a), net(b))
        if penalty is None:
            return result
        weight = penalty * min(1.0, (2 * optimizer.steps / steps) ** 2) if grow else penalty
        return result + weight * gradient_penalty(net, a, b)

    def clip(step: int) -> None:
        if penalty is None:
            for parameter in net.parameters():
                parameter.data = np.clip(parameter.data, -CLIP, CLIP)

    descend(optimizer, loss, steps, watch=clip)


def new_figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


if __name__ == "__main__":
    main()
