"""What the theory of GANs claims holds with little training, and a claim that is not met is marked."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gan_theory
from minigen import nn
from minigen.data import toy
from minigen.evaluate.divergences import wasserstein_1d_of_densities
from theory import Claim, generator_losses, value_of_the_game, wasserstein
from theory.networks import evaluate, mlp, train_discriminator


def test_every_claim_is_printed_and_marked(tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture) -> None:
    """After two steps the exact claims hold, and those about a trained network do not."""
    run_demo("gan_theory", "--steps", 2, "--out", tmp_path)
    text = capsys.readouterr().out
    mark = {line[:65].strip(): line.split("  ")[-1].strip() for line in text.splitlines()}
    assert mark["1-D: mean |D - D*| under (p_data + p_g) / 2, D trained"] == "NOT MET"
    assert mark["1-D: V(G, D) of the trained D is at most V(G, D*)"] == "holds"
    assert mark["minimax: the last of these norms, beside the first"] == "NOT MET"
    assert mark["smallest V(G, D*): -log 4"] == "holds"
    count = [*mark.values()].count
    assert f"\n{count('holds')} of {count('holds') + count('NOT MET')} claims hold." in text
    assert gan_theory.line(Claim("x", "<= 0.02", "0.1085")).split() == ["x", "<=", "0.02", "0.1085"]
    figures = sorted(tmp_path.iterdir())
    assert len(figures) == 4
    for path in figures:
        with Image.open(path) as image:
            assert len(np.unique(np.asarray(image.convert("L")))) > 50  # not a blank page


def test_the_exact_claims(tmp_path: Path) -> None:
    """The minimax loss has no slope where D rejects the samples, the non-saturating one has."""
    assert all(claim.holds for claim in value_of_the_game.measure(0, tmp_path))
    d = np.array([0.001, 0.5])
    slopes = {name: generator_losses.loss_and_slope(name, d)[1] for name in generator_losses.LOSSES}
    np.testing.assert_allclose(slopes["minimax"], -d)
    np.testing.assert_allclose(slopes["non-saturating"], d - 1)


def test_the_better_the_discriminator_the_less_minimax_teaches() -> None:
    first, *_, last = generator_losses.gradients_while_training(60)
    assert (first.steps, last.steps) == (0, 60) and last.belief < 0.05 < first.belief
    assert last.norms["minimax"] < 0.1 * first.norms["minimax"]
    assert last.norms["non-saturating"] > first.norms["non-saturating"]


def test_a_trained_discriminator_nears_the_optimal_one() -> None:
    """Two normals a distance of 1 apart: the best logit is a straight line, 1/2 - x."""
    p_data, p_g = toy.GaussianMixture([[0.0]], 1.0), toy.GaussianMixture([[1.0]], 1.0)
    net = mlp(1, nn.Tanh)
    train_discriminator(net, p_data.sample, p_g.sample, 150)
    x = np.linspace(-1.5, 2.5, 9)
    np.testing.assert_allclose(evaluate(net, x[:, None]), 0.5 - x, atol=0.35)


def test_estimates_of_the_wasserstein_distance() -> None:
    """W is E|y| - E|x|, since each half moves outwards; the best critic is |x|, rising here and falling there."""
    q = wasserstein.torn(1.0)
    log_probs = (p.log_prob(wasserstein.GRID) for p in (wasserstein.P, q))
    w = wasserstein_1d_of_densities(*log_probs, wasserstein.CELL)
    std = 0.5  # a normal with mean m has E|y| = std sqrt(2 / pi) exp(-m^2 / (2 std^2)) + m erf(m / (std sqrt 2))
    expected = std * math.sqrt(2 / math.pi) * (math.exp(-2) - 1) + math.erf(math.sqrt(2))
    assert w == pytest.approx(expected, abs=1e-4)
    assert wasserstein.estimate(q, 10, 200) == pytest.approx(w * (1 + w / 20), rel=0.05)
    assert wasserstein.estimate(q, 10, 200, grow=False) < 0.2 * w  # stuck
    assert 0 < wasserstein.estimate(q, None, 200) < 0.01**3 * 64**2 * w
