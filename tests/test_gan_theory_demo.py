"""`demos/gan_theory.py` runs, and what it measures is what it says."""

from __future__ import annotations

import argparse
import math
import os
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minigen import Tensor
from minigen.backend import normal
from minigen.data import toy
from minigen.evaluate.divergences import wasserstein_1d_of_densities
from minigen.nn import Parameter
from minigen.optim import SGD

DEMO = Path(__file__).parents[1] / "demos" / "gan_theory.py"


def run(monkeypatch: pytest.MonkeyPatch, *flags: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(DEMO), *map(str, flags)])
    runpy.run_path(str(DEMO), run_name="__main__")


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    """Its functions."""
    return runpy.run_path(str(DEMO))


def test_figures_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    run(monkeypatch, "--steps", 2, "--out", tmp_path)
    figures = ["generator_losses.png", "optimal_discriminator.png", "value.png", "wasserstein.png"]
    assert sorted(os.listdir(tmp_path)) == figures
    for name in figures:
        with Image.open(tmp_path / name) as image:
            assert image.width >= 600 and len(np.unique(np.asarray(image.convert("L")))) > 50  # not a blank page

    text = capsys.readouterr().out
    rows = {
        claim: tuple(rest) for claim, *rest in (re.split("  +", line, maxsplit=2) for line in text.splitlines()[1:-1])
    }
    assert float(rows["largest |V(G, D*) - (-log 4 + 2 JSD)| over 101 generators"][1]) <= 1e-6
    assert rows["smallest V(G, D*): -log 4"] == (f"{-math.log(4):.9f}",) * 2
    assert rows["... which is where p_g = p_data: shift"] == ("0", "0")
    assert rows["derivative of log(1 - D) for the logit, at D = 0.01: -D"] == ("-0.01", "-0.01")
    assert rows["derivative of -log D for the logit, at D = 0.01: -(1 - D)"] == ("-0.99", "-0.99")
    assert {f"norm of G's gradient, minimax / non-saturating, D at step {n}" for n in (0, 2)} <= rows.keys()
    for claim, (expected, measured) in rows.items():
        if expected.startswith("<= -0."):  # V(G, D) of the trained D
            assert float(measured) <= float(expected.removeprefix("<= ")), claim


def test_every_part_is_seeded(demo: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []
    for part in ("optimal_discriminators", "value_of_the_game", "generator_losses", "wasserstein_estimates"):
        monkeypatch.setitem(
            demo["run"].__globals__, part, lambda steps, out: drawn.append(float(normal((1,))[0])) or []
        )
    for seed in (1, 2):
        demo["run"](argparse.Namespace(out=tmp_path, seed=seed, steps=1))
    assert drawn == [drawn[0]] * 4 + [drawn[4]] * 4 and drawn[0] != drawn[4]


def test_descend_goes_down_and_says_how_far_it_is(demo: dict[str, Any]) -> None:
    """SGD on x^2 / 2 from 1, with rate 0.5 in the first half and less after: x (1 - rate) at every step."""
    x, seen = Parameter(np.ones(())), []
    demo["descend"](SGD([x], 0.5), lambda: 0.5 * x * x, 4, lambda step: seen.append((step, x.item())))
    assert seen == [(0, 1), (1, 0.5), (2, 0.25), (3, 0.125), (4, 0.125 * 0.75)]


def test_a_trained_discriminator_nears_the_optimal_one(demo: dict[str, Any]) -> None:
    """Two normals a distance of 1 apart: the best logit is a straight line, 1/2 - x."""
    p_data, p_g = toy.GaussianMixture([[0.0]], 1.0), toy.GaussianMixture([[1.0]], 1.0)
    net = demo["mlp"](1, demo["nn"].Tanh)
    demo["train_discriminator"](net, p_data.sample, p_g.sample, 150)
    x = np.linspace(-1.5, 2.5, 9)
    np.testing.assert_allclose(demo["evaluate"](net, x[:, None]), 0.5 - x, atol=0.35)


def test_estimates_of_the_wasserstein_distance(demo: dict[str, Any]) -> None:
    """W is E|y| - E|x|, since each half moves outwards; the best critic is |x|, rising here and falling there."""
    q = demo["torn"](1.0)
    x, cell = demo["integration_grid"](-9, 9, 2000)
    w = wasserstein_1d_of_densities(demo["P"].log_prob(x), q.log_prob(x), cell)
    std = 0.5  # a normal with mean m has E|y| = std sqrt(2 / pi) exp(-m^2 / (2 std^2)) + m erf(m / (std sqrt 2))
    expected = std * math.sqrt(2 / math.pi) * (math.exp(-2) - 1) + math.erf(math.sqrt(2))
    assert w == pytest.approx(expected, abs=1e-4)
    assert demo["estimate"](q, 10, 200) == pytest.approx(w * (1 + w / 20), rel=0.05)
    assert demo["estimate"](q, 10, 200, grow=False) < 0.2 * w  # stuck
    assert 0 < demo["estimate"](q, None, 200) < 0.01**3 * 64**2 * w


def test_clipping_follows_the_step(demo: dict[str, Any]) -> None:
    net = demo["mlp"](1, demo["nn"].LeakyReLU)
    demo["train_critic"](net, demo["P"], demo["torn"](1.0), None, 3)
    assert max(np.abs(p.numpy()).max() for p in net.parameters()) == np.float32(0.01)


def test_mlp_gives_one_logit_or_a_point(demo: dict[str, Any]) -> None:
    x = Tensor(np.zeros((5, 2), np.float32))
    for shape in ((), (2,)):
        assert demo["mlp"](2, demo["nn"].ReLU, shape)(x).shape == (5, *shape)


def test_mistakes_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"^gan_theory.py: .*File exists"):
        run(monkeypatch, "--out", tmp_path / "file")
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "--steps", 0)
    assert ended.value.code == 2 and "takes a number >= 1, got 0" in capsys.readouterr().err
