"""Why the generator does not minimise log(1 - D(G(z))): the better D is, the less that loss teaches.

Goodfellow et al. 2014, section 3; Arjovsky and Bottou 2017 (arXiv 1701.04862), theorem 2.4 and section 2.2.2.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.figures import new_figure
from minigen import Tensor, grad, nn, ops, plot
from minigen.data import toy
from minigen.models.objectives import OBJECTIVES
from minigen.random import normal, random_generator
from theory import Claim
from theory.networks import evaluate, mlp, probabilities, train_discriminator

LOSSES = {"minimax": r"minimax, $\log(1 - D)$", "non-saturating": r"non-saturating, $-\log D$"}


class Moment(NamedTuple):
    """What was measured after some training steps of D."""

    steps: int
    norms: dict[str, float]  # of the generator's gradient, by the name of its loss
    belief: float  # the mean of D(G(z))


def measure(steps: int, out: Path) -> list[Claim]:
    """The two losses and their slopes against D(G(z)); then the generator's gradients while only D is trained."""
    d = np.linspace(0.01, 0.99, 99)
    curves = {name: loss_and_slope(name, d) for name in LOSSES}
    moments = gradients_while_training(steps)
    draw(d, curves, moments, out / "generator_losses.png")

    minimax, non_saturating = (curves[name][1][0] for name in LOSSES)
    claims = [
        Claim(
            "derivative of log(1 - D) for the logit, at D = 0.01: -D",
            "-0.01",
            f"{minimax:.6g}",
            abs(minimax + 0.01) < 1e-6,
        ),
        Claim(
            "derivative of -log D for the logit, at D = 0.01: -(1 - D)",
            "-0.99",
            f"{non_saturating:.6g}",
            abs(non_saturating + 0.99) < 1e-6,
        ),
    ]
    for steps_done, norms, belief in moments:
        text = f"norm of G's gradient, minimax / non-saturating, D at step {steps_done}"
        measured = " / ".join(f"{norm:.1e}" for norm in norms.values())
        claims.append(Claim(text, "", f"{measured}   (mean D(G(z)) {belief:.1e})"))
    vanished, stayed = (moments[-1].norms[name] / moments[0].norms[name] for name in LOSSES)
    claims += [
        Claim("minimax: the last of these norms, beside the first", "<= 0.1", f"{vanished:.1e}", vanished <= 0.1),
        Claim("non-saturating: the last of these norms, beside the first", ">= 0.1", f"{stayed:.1e}", stayed >= 0.1),
    ]
    return claims


def loss_and_slope(name: str, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The generator's loss for D(G(z)) = d, and its derivative with respect to the logit of D."""
    logits = Tensor(np.log(d / (1 - d)), requires_grad=True)
    losses = ops.stack([OBJECTIVES[name].generator(logit) for logit in logits])
    (slope,) = grad(losses, logits, Tensor(np.ones_like(d)))
    return losses.numpy(), slope.numpy()


def gradients_while_training(steps: int) -> list[Moment]:
    """D learns to tell a ring from the samples of a generator that is held."""
    generator, discriminator = mlp(2, nn.LeakyReLU, (2,)), mlp(2, nn.LeakyReLU)
    z = Tensor(normal((1024, 2)))
    held = evaluate(generator, z.numpy())
    samples = lambda n: held[random_generator().integers(len(held), size=n)]
    looked_at = [n for n in (0, 3, 10, 30, 100, 300) if n < steps] + [steps]
    moments: list[Moment] = []

    def gradient_norm(name: str) -> float:
        gradients = grad(OBJECTIVES[name].generator(discriminator(generator(z))), list(generator.parameters()))
        return math.sqrt(sum(float((g.numpy() ** 2).sum()) for g in gradients))

    def watch(step: int) -> None:
        if step in looked_at:
            belief = float(probabilities(evaluate(discriminator, held)).mean())
            moments.append(Moment(step, {name: gradient_norm(name) for name in LOSSES}, belief))

    train_discriminator(discriminator, toy.ring().sample, samples, steps, watch)
    return moments


def draw(d: np.ndarray, curves: dict[str, tuple[np.ndarray, np.ndarray]], moments: list[Moment], path: Path) -> None:
    figure = new_figure(14, 3.8)
    loss_axes, slope_axes, norm_axes = figure.subplots(1, 3)
    for name, label in LOSSES.items():
        losses, slopes = curves[name]
        loss_axes.plot(d, losses, label=label)
        slope_axes.plot(d, np.abs(slopes), label=label)
        norm_axes.plot([m.steps for m in moments], [m.norms[name] for m in moments], "o-", label=label)
    loss_axes.set(xlabel="$D(G(z))$", ylabel="nats", title="the generator's loss")
    slope_axes.set(xlabel="$D(G(z))$", title="|its derivative| for the logit of $D$")
    norm_axes.set_xscale("symlog")
    norm_axes.set_yscale("log")
    norm_axes.set(xlabel="training steps of $D$; the generator is held", title="norm of the generator's gradient")
    for axes in (loss_axes, slope_axes, norm_axes):
        axes.grid(alpha=0.3)
    loss_axes.legend(fontsize="small")
    norm_axes.legend(fontsize="small")
    plot.save_figure(figure, path)
