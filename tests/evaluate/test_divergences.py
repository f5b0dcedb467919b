"""Divergences and the value of the game: against sums by hand and closed forms for normal distributions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen import Tensor
from minigen.data import toy
from minigen.data.toy import GaussianMixture
from minigen.evaluate.divergences import (
    integration_grid,
    jensen_shannon_divergence,
    kl_divergence,
    optimal_discriminator,
    value_function,
    wasserstein_1d,
    wasserstein_1d_of_densities,
)

few = settings(max_examples=20)
LOG2 = math.log(2)


def logs(p: list[float] | np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(p)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two discrete distributions over the same few outcomes, with some probabilities exactly zero."""
    n = draw(st.integers(1, 6))
    weights = st.lists(st.sampled_from([0.0, 0.0, 0.1, 1.0, 3.0]), min_size=n, max_size=n).filter(any)
    p, q = (np.array(draw(weights)) for _ in range(2))
    return p / p.sum(), q / q.sum()


def naive_kl(p: np.ndarray, q: np.ndarray) -> float:
    total = 0.0
    for a, b in zip(p.ravel(), q.ravel(), strict=True):
        if a > 0:
            total += a * math.log(a / b) if b > 0 else math.inf
    return total


def naive_jsd(p: np.ndarray, q: np.ndarray) -> float:
    return naive_kl(p, (p + q) / 2) / 2 + naive_kl(q, (p + q) / 2) / 2


normals = st.tuples(st.floats(-2, 2), st.floats(0.5, 2))


def normal(mean: float, std: float, dimensions: int = 1) -> GaussianMixture:
    return GaussianMixture([[mean] * dimensions], std)


# -- the grid ----------------------------------------------------------------------------------------------------------


def test_grid_by_hand() -> None:
    points, cell = integration_grid(-1, 3, 2, dimensions=2)
    np.testing.assert_array_equal(points, [[0, 0], [0, 2], [2, 0], [2, 2]])
    assert cell == 4


@given(normals)
@few
def test_grid_integrates_moments(parameters: tuple[float, float]) -> None:
    mean, std = parameters
    x, cell = integration_grid(-20, 20, 1000)
    p = np.exp(normal(mean, std).log_prob(x)) * cell
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert (p * (x[:, 0] - mean) ** 2).sum() == pytest.approx(std**2, rel=1e-10)


# -- Kullback-Leibler and Jensen-Shannon -------------------------------------------------------------------------------


@given(pairs())
def test_divergences_of_discrete_distributions(pq: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pq
    assert kl_divergence(logs(p), logs(q)) == pytest.approx(naive_kl(p, q), abs=1e-12)
    jsd = jensen_shannon_divergence(logs(p), logs(q))
    assert jsd == pytest.approx(naive_jsd(p, q), abs=1e-12)
    assert -1e-12 < jsd < LOG2 + 1e-12
    assert jsd == pytest.approx(jensen_shannon_divergence(logs(q), logs(p)), abs=1e-15)
    assert (jsd < 1e-9) == bool(np.allclose(p, q))
    assert kl_divergence(logs(p), logs(p)) == 0 == pytest.approx(jensen_shannon_divergence(logs(p), logs(p)), abs=1e-15)


def test_without_a_common_support() -> None:
    p, q = logs([0.5, 0.5, 0, 0]), logs([0, 0, 0.5, 0.5])
    assert kl_divergence(p, q) == math.inf
    assert jensen_shannon_divergence(p, q) == pytest.approx(LOG2, rel=1e-15)
    x, cell = integration_grid(-60, 60, 6000)  # so far apart that one density underflows where the other is
    p, q = normal(-50, 1).log_prob(x), normal(50, 1).log_prob(x)
    assert kl_divergence(p, q, cell) == pytest.approx(100**2 / 2, rel=1e-9)
    assert jensen_shannon_divergence(p, q, cell) == pytest.approx(LOG2, rel=1e-12)


@given(normals, normals)
@few
def test_kl_of_two_normals(one: tuple[float, float], other: tuple[float, float]) -> None:
    """log(s2 / s1) + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2."""
    x, cell = integration_grid(-25, 25, 1500)
    (m1, s1), (m2, s2) = one, other
    expected = math.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5
    measured = kl_divergence(normal(m1, s1).log_prob(x), normal(m2, s2).log_prob(x), cell)
    assert measured == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_kl_in_two_dimensions_adds_up() -> None:
    """Two independent coordinates: twice the KL of one. The shape of the grid is free."""
    x, cell = integration_grid(-8, 8, 100, dimensions=2)
    p, q = normal(0.5, 1, 2).log_prob(x), normal(-0.5, 1, 2).log_prob(x)
    assert kl_divergence(p, q, cell) == pytest.approx(2 * 1**2 / 2, rel=1e-9)
    square = [y.reshape(100, 100) for y in (p, q)]
    assert kl_divergence(*square, cell) == pytest.approx(1, rel=1e-9)
    assert kl_divergence(*map(Tensor, square), cell) == pytest.approx(1, rel=1e-9)


# -- the optimal discriminator and the value of the game ---------------------------------------------------------------


def test_optimal_discriminator_by_hand() -> None:
    p, q = [0.1, 0.3, 0.6, 0.0, 0.0], [0.1, 0.1, 0.0, 0.8, 0.0]
    np.testing.assert_allclose(optimal_discriminator(logs(p), logs(q)), [0.5, 0.75, 1, 0, 0.5], rtol=1e-15)


@given(pairs())
def test_value_at_the_optimum_is_the_largest(pq: tuple[np.ndarray, np.ndarray]) -> None:
    """V(G, D*) = -log 4 + 2 JSD (the lecture, equation 2), and no other discriminator reaches more."""
    p, q = pq
    d = optimal_discriminator(logs(p), logs(q))
    naive = sum(a * math.log(x) for a, x in zip(p, d, strict=True) if a) + sum(
        b * math.log(1 - x) for b, x in zip(q, d, strict=True) if b
    )
    with np.errstate(invalid="ignore"):
        logits = logs(p) - logs(q)  # nan where D is free
    best = value_function(logs(p), logs(q), logits)
    assert best == pytest.approx(naive, rel=1e-12)
    assert best == pytest.approx(-math.log(4) + 2 * naive_jsd(p, q), abs=1e-12)
    generator = np.random.default_rng(0)
    finite = np.clip(np.nan_to_num(logits), -5, 5)
    for _ in range(5):
        assert value_function(logs(p), logs(q), finite + 0.3 * generator.standard_normal(p.shape)) < best + 1e-12


def test_value_of_a_guess_and_of_a_certain_discriminator() -> None:
    x, cell = integration_grid(-8, 8, 400)
    p = normal(0, 1).log_prob(x)
    assert value_function(p, p, np.zeros_like(p), cell) == pytest.approx(-math.log(4), rel=1e-12)
    # log(1 - D) of a logit of 1000 is -1000, not the -inf of a D that was rounded to 1
    assert value_function(p, p, np.full_like(p, 1000.0), cell) == pytest.approx(-1000, rel=1e-12)


@pytest.mark.parametrize("log_p", [np.log([0.5, 0.4]), np.array([math.nan, 0.0]), np.array([1.0, 1.0])])
@pytest.mark.parametrize("fn", [kl_divergence, jensen_shannon_divergence, wasserstein_1d_of_densities])
def test_a_density_must_integrate_to_one(fn: Callable, log_p: np.ndarray) -> None:
    for arguments in ((log_p, np.log([0.5, 0.5])), (np.log([0.5, 0.5]), log_p)):
        with pytest.raises(ValueError, match=f"{fn.__name__}: a density must integrate to 1, got"):
            fn(*arguments, 1.0)


# -- Wasserstein -------------------------------------------------------------------------------------------------------

samples = st.lists(st.floats(-5, 5), min_size=1, max_size=6).map(np.array)


@given(samples, samples)
def test_wasserstein_of_samples_through_the_quantile_functions(a: np.ndarray, b: np.ndarray) -> None:
    """Each sample repeated to a common length: then it is the mean distance of the sorted ones."""
    length = math.lcm(len(a), len(b))
    many = [sorted(x.tolist() * (length // len(x))) for x in (a, b)]
    expected = sum(abs(x - y) for x, y in zip(*many, strict=True)) / length
    assert wasserstein_1d(a, b) == pytest.approx(expected, abs=1e-12)
    assert wasserstein_1d(b[:, None], Tensor(a)) == pytest.approx(expected, abs=1e-12)


@given(samples, st.floats(-3, 3), st.floats(0, 3))
def test_wasserstein_of_a_shifted_or_scaled_sample(a: np.ndarray, shift: float, scale: float) -> None:
    assert wasserstein_1d(a, a + shift) == pytest.approx(abs(shift), abs=1e-12)
    assert wasserstein_1d(a, scale * a) == pytest.approx(abs(scale - 1) * np.abs(a).mean(), abs=1e-12)


@given(st.floats(-2, 2), st.floats(0.5, 2), st.floats(0.5, 2))
@few
def test_wasserstein_of_normals(shift: float, s1: float, s2: float) -> None:
    """|m1 - m2| for one width; |s1 - s2| E|z| = |s1 - s2| sqrt(2 / pi) for one mean."""
    x, cell = integration_grid(-16, 16, 3200)
    shifted = [normal(m, s1).log_prob(x) for m in (0, shift)]
    assert wasserstein_1d_of_densities(*shifted, cell) == pytest.approx(abs(shift), abs=1e-4)
    scaled = [normal(shift, s).log_prob(x) for s in (s1, s2)]
    assert wasserstein_1d_of_densities(*scaled, cell) == pytest.approx(abs(s1 - s2) * math.sqrt(2 / math.pi), abs=1e-4)


def test_wasserstein_of_samples_approaches_that_of_their_densities() -> None:
    p, q = toy.bimodal(4.0), normal(1.0, 1.5)
    x, cell = integration_grid(-10, 10, 2000)
    n = 40_000
    exact = wasserstein_1d_of_densities(p.log_prob(x), q.log_prob(x), cell)
    assert wasserstein_1d(p.sample(n), q.sample(n // 2)) == pytest.approx(exact, abs=0.03)


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_mistakes() -> None:
    p, q = np.log([0.5, 0.5]), np.log([[0.5, 0.5]])
    for fn in (kl_divergence, jensen_shannon_divergence, wasserstein_1d_of_densities):
        with pytest.raises(ValueError, match=rf"{fn.__name__}: expects arrays of one shape, got \(2,\) and \(1, 2\)"):
            fn(p, q, 1.0)
    with pytest.raises(ValueError, match=r"value_function: expects arrays of one shape, got \(2,\) and \(2,\) and \(3"):
        value_function(p, p, np.zeros(3))
    with pytest.raises(ValueError, match=r"optimal_discriminator: expects two arrays of one shape, got \(2,\)"):
        optimal_discriminator(p, q)
    with pytest.raises(ValueError, match=r"wasserstein_1d_of_densities: expects densities on a line \(N,\), got \(1"):
        wasserstein_1d_of_densities(q, q, 1.0)
    for bad in (np.zeros((2, 3)), np.zeros(0), np.array(1.0), np.zeros((1, 2))):
        with pytest.raises(ValueError, match=r"wasserstein_1d: expects samples \(N,\) or \(N, 1\), got"):
            wasserstein_1d(bad, p)
    with pytest.raises(
        ValueError, match="integration_grid: expects low < high, n >= 1 and dimensions >= 1, got 1, 1, 5"
    ):
        integration_grid(1, 1, 5)
