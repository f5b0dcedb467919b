"""What the theory of GANs claims holds with little training, and a claim that is not met is marked."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gan_theory
from minigen.data import toy
from minigen.evaluate.divergences import wasserstein_1d_of_densities
from minigen.nn import LeakyReLU, Parameter, Tanh
from minigen.optim import SGD
from theory import Claim, generator_losses, value_of_the_game, wasserstein
from theory.networks import descend, evaluate, mlp, train_discriminator


def test_it_prints_every_claim_and_marks_those_not_met(
    tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture
) -> None:
    """After two steps the exact claims hold, and those about a trained network do not."""
    run_demo("gan_theory", "--steps", 2, "--out", tmp_path)
    text = capsys.readouterr().out
    for name in ("generator_losses.png", "optimal_discriminator.png", "value.png", "wasserstein.png"):
        with Image.open(tmp_path / name) as image:
            assert len(np.unique(np.asarray(image.convert("L")))) > 50  # not a blank page
    assert len(os.listdir(tmp_path)) == 4
    mark = {line[:65].strip(): line.split("  ")[-1].strip() for line in text.splitlines()}
    assert mark["1-D: mean |D - D*| under (p_data + p_g) / 2, D trained"] == "NOT MET"
    assert mark["1-D: V(G, D) of the trained D is at most V(G, D*)"] == "holds"
    assert mark["minimax: the last of these norms, beside the first"] == "NOT MET"
    assert mark["smallest V(G, D*): -log 4"] == "holds"
    count = [*mark.values()].count
    assert f"\n{count('holds')} of {count('holds') + count('NOT MET')} claims hold." in text


def test_a_row_shows_whether_it_holds() -> None:
    lines = [gan_theory.line(Claim("x", "<= 0.02", "0.1085", holds)) for holds in (True, False, None)]
    assert [line.split()[-1] for line in lines] == ["holds", "MET", "0.1085"]


def test_the_exact_claims(tmp_path: Path) -> None:
    """Those that need no training; the minimax slope vanishes where D rejects the samples, the other stays."""
    assert all(claim.holds for claim in value_of_the_game.measure(0, tmp_path))
    d = np.array([0.001, 0.5])
    slopes = {name: generator_losses.loss_and_slope(name, d)[1] for name in generator_losses.LOSSES}
    np.testing.assert_allclose(slopes["minimax"], -d)
    np.testing.assert_allclose(slopes["non-saturating"], d - 1)


def test_the_better_the_discriminator_the_less_minimax_teaches() -> None:
    first, *_, last = generator_losses.gradients_while_training(60)
    assert last.norms["minimax"] < 0.1 * first.norms["minimax"] and last.belief < 0.05
    assert last.norms["non-saturating"] > first.norms["non-saturating"]


def test_a_trained_discriminator_nears_the_optimal_one() -> None:
    """Two normals a distance of 1 apart: the best logit is a straight line, 1/2 - x."""
    p_data, p_g = toy.GaussianMixture([[0.0]], 1.0), toy.GaussianMixture([[1.0]], 1.0)
    net = mlp(1, Tanh)
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


def test_clipping_follows_the_step() -> None:
    net = mlp(1, LeakyReLU)
    wasserstein.train_critic(net, wasserstein.P, wasserstein.torn(1.0), None, 3)
    assert max(np.abs(p.numpy()).max() for p in net.parameters()) == np.float32(0.01)


def test_descend_goes_down_and_says_how_far_it_is() -> None:
    """SGD on x^2 / 2 from 1, with rate 0.5 in the first half and less after: x (1 - rate) at every step."""
    x, seen = Parameter(np.ones(())), []
    descend(SGD([x], 0.5), lambda: 0.5 * x * x, 4, lambda step: seen.append((step, x.item())))
    assert seen == [(0, 1), (1, 0.5), (2, 0.25), (3, 0.125), (4, 0.125 * 0.75)]


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path, error_of: Callable) -> None:
    (tmp_path / "file").touch()
    assert "File exists" in error_of("gan_theory", "--out", tmp_path / "file")
