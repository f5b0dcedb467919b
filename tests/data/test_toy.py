"""Mixtures of Gaussians: densities against their formula, samples against the densities, draws in place of a loader."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import nn
from minigen.backend import Device, default_dtype, device_of, to_numpy
from minigen.data import toy
from minigen.data.toy import GaussianMixture
from minigen.random import manual_seed, random_state
from minigen.train import Interrupted, train


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 1000))
def test_log_prob_is_the_formula_in_a_loop(modes: int, dimensions: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    means = generator.normal(size=(modes, dimensions))
    std, weights = generator.uniform(0.5, 2, modes), generator.uniform(0.5, 2, modes)
    x = generator.normal(size=(3, dimensions))
    log_prob = GaussianMixture(means, std, weights).log_prob(x)
    for n in range(3):
        p = 0.0
        for k in range(modes):
            normal = 1.0
            for d in range(dimensions):
                z = (x[n, d] - means[k, d]) / std[k]
                normal *= math.exp(-z * z / 2) / (std[k] * math.sqrt(2 * math.pi))
            p += weights[k] / weights.sum() * normal
        assert log_prob[n] == pytest.approx(math.log(p), rel=1e-12)


@pytest.mark.parametrize("mixture", [toy.bimodal(), toy.ring(4, 1.0, 0.3), toy.grid(2, 1.0, 0.3)])
def test_densities_integrate_to_one(mixture: GaussianMixture) -> None:
    line = np.linspace(-5, 5, 401)
    dimensions = mixture.means.shape[1]
    points = np.stack(np.meshgrid(*[line] * dimensions), axis=-1).reshape(-1, dimensions)
    integral = np.exp(mixture.log_prob(points)).sum() * (line[1] - line[0]) ** dimensions
    assert integral == pytest.approx(1, abs=1e-6)


def test_log_prob_far_away_is_finite() -> None:
    assert toy.ring().log_prob([[1e3, 0.0]])[0] == pytest.approx(
        -(998.0**2) / (2 * 0.02**2) - math.log(8) - math.log(2 * math.pi * 0.02**2), rel=1e-9
    )


def test_samples_have_the_mixtures_moments() -> None:
    mixture = GaussianMixture([[0.0, 0.0], [10.0, 4.0]], [0.5, 2.0], [3, 1])
    n = 40_000
    x = mixture.sample(n).astype(float)
    second = x[:, 0] > 4
    assert second.mean() == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / n))
    for part, mean, std in ((x[~second], [0, 0], 0.5), (x[second], [10, 4], 2.0)):
        assert part.mean(axis=0) == pytest.approx(mean, abs=5 * std / math.sqrt(n / 4))
        assert part.std(axis=0) == pytest.approx([std, std], rel=0.03)


def test_samples_have_the_entropy_of_the_density() -> None:
    mixture = toy.ring()  # the modes do not touch: H = log 8 + log(2 pi e s^2)
    entropy = math.log(8) + math.log(2 * math.pi * math.e * 0.02**2)
    with default_dtype("float64"):
        x = mixture.sample(20_000)
    assert -mixture.log_prob(x).mean() == pytest.approx(entropy, abs=0.04)


def test_named_mixtures() -> None:
    ring, grid, bimodal = toy.ring(), toy.grid(), toy.bimodal()
    assert ring.means.shape == (8, 2) and grid.means.shape == (25, 2) and bimodal.means.shape == (2, 1)
    assert np.hypot(*ring.means.T) == pytest.approx(np.full(8, 2.0))
    steps = np.diff(np.unwrap(np.arctan2(ring.means[:, 1], ring.means[:, 0])))
    assert steps == pytest.approx(np.full(7, math.pi / 4))
    assert {tuple(mean) for mean in grid.means} == {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert bimodal.means.ravel().tolist() == [-2, 2]
    assert set(ring.std) == {0.02} and set(grid.std) == {0.05} and set(bimodal.std) == {0.5}
    assert ring.weights.tolist() == [1 / 8] * 8


def test_samples_by_seed_and_of_the_default_dtype() -> None:
    manual_seed(3)
    first = toy.ring().sample(5)
    manual_seed(3)
    np.testing.assert_array_equal(toy.ring().sample(5), first)
    assert first.dtype == np.float32
    with default_dtype("float64"):
        assert toy.ring().sample(5).dtype == np.float64


def test_errors() -> None:
    for means in ([1.0, 2.0], np.zeros((0, 2))):
        with pytest.raises(ValueError, match=r"GaussianMixture: expects means \(K, D\)"):
            GaussianMixture(means, 1.0)
    for std in (0.0, -1.0, [1.0, 1.0, 1.0], math.nan):
        with pytest.raises(ValueError, match=r"GaussianMixture: expects std to be positive, one number or \(2,\)"):
            GaussianMixture([[0.0], [1.0]], std)
    with pytest.raises(ValueError, match="GaussianMixture: expects weights to be positive"):
        GaussianMixture([[0.0], [1.0]], 1.0, [1.0, 0.0])
    for x in (np.zeros(3), np.zeros((3, 1))):
        with pytest.raises(ValueError, match=r"log_prob: expects x \(N, 2\), got"):
            toy.ring().log_prob(x)


# -- draws in place of a loader ----------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 3), st.integers(0, 1000), st.data())
def test_a_batch_depends_on_seed_epoch_and_number_alone(
    batch_size: int, batches: int, epoch: int, seed: int, data: st.DataObject
) -> None:
    """So a run that is resumed in the middle gets the batches that it would have got, whatever else was drawn."""
    draws = toy.Draws(toy.ring(), batch_size, batches, seed)
    whole = list(draws.epoch(epoch))
    assert len(whole) == len(draws) == batches
    start = data.draw(st.integers(0, batches))
    manual_seed(data.draw(st.integers(0, 9)))
    before = random_state()
    rest = list(toy.Draws(toy.ring(), batch_size, batches, seed).epoch(epoch, start))
    assert random_state() == before and len(rest) == batches - start
    for (x, labels), (expected, _) in zip(rest, whole[start:], strict=True):
        np.testing.assert_array_equal(x, expected)
        assert x.shape == (batch_size, 2) and x.dtype == np.float32
        assert labels.tolist() == [0] * batch_size and labels.dtype == np.int64


def test_draws_are_fresh_and_of_the_density(device: Device) -> None:
    """Never the same point twice, in any batch, epoch or seed, and all modes as often as they should be."""
    batches = [x for seed in (0, 1) for e in (0, 1, 2) for x, _ in toy.Draws(toy.ring(), 500, 3, seed).epoch(e)]
    assert all(device_of(x) == device for x in batches)
    x = np.concatenate([to_numpy(x) for x in batches])
    assert len(np.unique(x, axis=0)) == len(x) == 9000
    distances = np.linalg.norm(x[:, None] - toy.ring().means, axis=-1)
    share = np.bincount(distances.argmin(axis=1), minlength=8) / len(x)
    assert share == pytest.approx(np.full(8, 1 / 8), abs=5 * math.sqrt(1 / 8 * 7 / 8 / len(x)))
    assert (distances.min(axis=1) ** 2).mean() == pytest.approx(2 * 0.02**2, rel=0.1)
    with default_dtype("float64"):
        assert next(toy.Draws(toy.ring(), 2, 1).epoch(0))[0].dtype == np.float64


@pytest.mark.parametrize(("batch_size", "batches", "seed"), [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_draws_that_cannot_be(batch_size: int, batches: int, seed: int) -> None:
    with pytest.raises(ValueError, match=rf"^Draws: expects .*, got {batch_size}, {batches}, {seed}$"):
        toy.Draws(toy.ring(), batch_size, batches, seed)


class Collects:
    """A step that remembers its batches, and stops the program in the one of that number."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.parts = {"linear": nn.Linear(1, 1)}
        self.seen: list[bytes] = []
        self.stop_at = stop_at

    def __call__(self, x: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        self.seen.append(x.tobytes())
        if len(self.seen) == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return {"mean": float(x.mean())}


def test_training_takes_draws_as_it_takes_a_loader(tmp_path: Path) -> None:
    draws = toy.Draws(toy.grid(), 3, 4, seed=5)
    whole, first, second = Collects(), Collects(stop_at=6), Collects()
    log = train(whole, draws, epochs=2, out=tmp_path / "whole")
    expected = [x for e in (0, 1) for x, _ in draws.epoch(e)]
    assert whole.seen == [x.tobytes() for x in expected]
    assert [record["train"]["mean"] for record in log] == pytest.approx(
        [np.mean(expected[:4]), np.mean(expected[4:])], abs=1e-6
    )
    with pytest.raises(Interrupted):
        train(first, draws, epochs=2, out=tmp_path / "broken")
    train(second, draws, epochs=2, out=tmp_path / "broken", resume=True)
    assert first.seen + second.seen == whole.seen and len(second.seen) == 2


# -- weighted points ---------------------------------------------------------------------------------------------------


def test_weighted_points_are_drawn_as_often_as_their_weights_say() -> None:
    points = np.arange(6.0).reshape(3, 2)
    manual_seed(0)
    for weights, shares in (([0.0, 1.0, 3.0], [0, 0.25, 0.75]), (None, [1 / 3] * 3)):
        x = toy.WeightedPoints(points, weights).sample(40_000)
        assert x.shape == (40_000, 2) and x.dtype == np.float32
        np.testing.assert_allclose([(x == point).all(axis=1).mean() for point in points], shares, atol=0.015)
    for wrong in ([1.0], [1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [math.nan, 1.0, 1.0]):
        with pytest.raises(ValueError, match="WeightedPoints: expects weights >= 0, one for each point"):
            toy.WeightedPoints(points, wrong)
