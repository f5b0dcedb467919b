"""The Fréchet distance, against closed forms for Gaussians with given moments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen.autograd import Tensor
from minigen.backend import Device
from minigen.evaluate.frechet import frechet_distance

SEEDS = st.integers(0, 2**32 - 1)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def with_moments(mean: Any, covariance: Any, n: int = 40, seed: int = 0) -> np.ndarray:
    """Features (n, D) whose mean and (unbiased) covariance are exactly these."""
    mean, root = np.asarray(mean, np.float64), np.linalg.cholesky(np.asarray(covariance, np.float64))
    x = random(n, len(mean), seed=seed)
    x -= x.mean(axis=0)
    white = np.linalg.qr(x)[0] * math.sqrt(n - 1)
    return mean + white @ root.T


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.1, 3), st.floats(0.1, 3))
def test_frechet_in_one_dimension(m1: float, m2: float, s1: float, s2: float) -> None:
    a, b = with_moments([m1], [[s1**2]]), with_moments([m2], [[s2**2]], n=30, seed=1)
    assert frechet_distance(a, b) == pytest.approx((m1 - m2) ** 2 + (s1 - s2) ** 2, rel=1e-9, abs=1e-9)


@given(SEEDS, st.integers(1, 5))
def test_frechet_of_independent_features_is_the_sum_over_them(seed: int, dim: int) -> None:
    """And so it is, for commuting covariances, in any rotated basis; and symmetric."""
    m1, m2 = random(2, dim, seed=seed)
    s1, s2 = np.abs(random(2, dim, seed=seed + 1)) + 0.1
    a, b = with_moments(m1, np.diag(s1**2)), with_moments(m2, np.diag(s2**2), seed=1)
    expected = pytest.approx(((m1 - m2) ** 2 + (s1 - s2) ** 2).sum(), rel=1e-8, abs=1e-8)
    rotation = np.linalg.qr(random(dim, dim, seed=seed + 2))[0]
    assert frechet_distance(a, b) == expected
    assert frechet_distance(b, a) == expected
    assert frechet_distance(a @ rotation + 1, b @ rotation + 1) == expected


@given(SEEDS)
def test_frechet_of_two_correlated_features(seed: int) -> None:
    """In two dimensions Tr M^(1/2) = sqrt(Tr M + 2 sqrt(det M)), here for M = C1 C2."""
    x, y = random(2, 2, 2, seed=seed)
    c1, c2 = x @ x.T + 0.1 * np.eye(2), y @ y.T + 0.1 * np.eye(2)
    product = c1 @ c2
    root = math.sqrt(np.trace(product) + 2 * math.sqrt(np.linalg.det(product)))
    a, b = with_moments([0, 1], c1), with_moments([2, 1], c2, seed=1)
    assert frechet_distance(a, b) == pytest.approx(4 + np.trace(c1) + np.trace(c2) - 2 * root, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_frechet_of_the_same_features_is_zero(n: int) -> None:
    """Also of fewer than there are dimensions, of copies of each other, and of large ones."""
    x = random(n, 12) * 100
    x[:, 3], x[:, 4] = x[:, 5], 7.0
    assert 0 <= frechet_distance(x, x[::-1]) < 1e-8
    assert frechet_distance(x, x + 2) == pytest.approx(4 * 12, rel=1e-9)


def test_frechet_of_features_that_never_vary_together() -> None:
    """Covariances of rank 1 in different directions: Tr C1 C2 = 0."""
    t = np.linspace(-1, 1, 11)[:, None]
    a, b = t * [1.0, 0, 0, 0], t * [0, 0, 2.0, 0]
    variance = t.var(ddof=1)
    assert frechet_distance(a, b) == pytest.approx(variance + 4 * variance, rel=1e-6)
    assert frechet_distance(np.zeros((3, 4)), a) == pytest.approx(variance, rel=1e-6)


def test_frechet_takes_tensors_on_every_device(device: Device) -> None:
    a, b = random(9, 3).astype(np.float32), random(8, 3, seed=1)
    there = frechet_distance(Tensor(device.asarray(a)), device.asarray(b))
    assert there == frechet_distance(a, b) and type(there) is float


def test_frechet_errors() -> None:
    with pytest.raises(ValueError, match=r"frechet_distance: .*got \(4, 3\) and \(4, 2\)"):
        frechet_distance(random(4, 3), random(4, 2))
    with pytest.raises(ValueError, match=r"frechet_distance: .*N, M >= 2.*\(1, 3\)"):
        frechet_distance(random(4, 3), random(1, 3))
    with pytest.raises(ValueError, match=r"frechet_distance: .*NaN"):
        frechet_distance(random(4, 3), np.full((4, 3), np.nan))
