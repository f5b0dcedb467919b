"""Judging samples: distances against naive loops, densities and Gaussians against closed forms."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen.autograd import Tensor
from minigen.backend import Device, device_of, to_numpy
from minigen.evaluate import samples as module
from minigen.evaluate.samples import (
    best_sigma,
    class_shares,
    confident_share,
    features_and_probabilities,
    frechet_distance,
    nearest,
    parzen_log_prob,
    report_on,
)
from minigen.models.classifier import Classifier

SEEDS = st.integers(0, 2**32 - 1)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# -- nearest images ----------------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 6), st.integers(1, 9), st.data(), st.sampled_from([1, 10, 1 << 22]))
def test_nearest_is_the_naive_search(seed: int, n: int, m: int, data: st.DataObject, numbers: int) -> None:
    """Whatever the size of the blocks."""
    k = data.draw(st.integers(1, m))
    x, y = random(n, 1, 2, 2, seed=seed), random(m, 1, 2, 2, seed=seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_NUMBERS", numbers)
        indices, distances = nearest(x, y, k)
    assert indices.shape == distances.shape == (n, k)
    for i in range(n):
        naive = sorted((math.dist(x[i].ravel(), y[j].ravel()), j) for j in range(m))[:k]
        assert indices[i].tolist() == [j for _, j in naive]
        np.testing.assert_allclose(distances[i], [d for d, _ in naive], rtol=1e-12)


def test_a_copy_is_at_distance_zero(device: Device) -> None:
    images = random(50, 3, 8, 8).astype(np.float32)
    samples = device.asarray(images[[7, 3, 3]])
    indices, distances = nearest(samples, Tensor(device.asarray(images)), k=2)
    assert device_of(indices) == device_of(distances) == device
    assert to_numpy(indices)[:, 0].tolist() == [7, 3, 3]
    assert to_numpy(distances)[:, 0].tolist() == [0, 0, 0] and to_numpy(distances)[:, 1].min() > 1


@given(SEEDS)
def test_bytes_do_not_overflow(seed: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2, (7, 20))
    x, y = (255 * bits[:2]).astype(np.uint8), (255 * bits[2:]).astype(np.uint8)
    distances = np.sqrt(255**2 * (bits[:2, None] != bits[None, 2:]).sum(axis=2))
    np.testing.assert_allclose(nearest(x, y, k=2)[1], np.sort(distances, axis=1)[:, :2], rtol=1e-12)


@pytest.mark.parametrize(
    ("n", "m", "size"), [(400, 20, 1000), (400, 2000, 8), (4, 3000, 100)], ids=["samples", "distances", "images"]
)
def test_nearest_holds_a_bounded_number_of_numbers(n: int, m: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than ten times `_NUMBERS` in float64, however many samples, distances and images there are."""
    monkeypatch.setattr(module, "_NUMBERS", 1 << 14)
    samples, images = random(n, size).astype(np.float32), random(m, size).astype(np.float32)
    tracemalloc.start()
    nearest(samples, images)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 8 * module._NUMBERS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((random(2, 4), random(3, 5)), r"nearest: .*got \(2, 4\), \(3, 5\)"),
        ((random(2, 4), np.zeros((3, 4), np.uint8)), "nearest: .*same units, got float64 and uint8"),
        ((random(2, 4), random(3, 4), 4), "nearest: takes k = 1 ... 3, .*got 4"),
        ((random(2, 4), random(0, 4)), "nearest: takes two arrays"),
    ],
)
def test_nearest_errors(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest(*arguments)


# -- Parzen windows ----------------------------------------------------------------------------------------------------


@given(SEEDS, st.floats(0.3, 3), st.integers(1, 5), st.integers(1, 7), st.sampled_from([1, 1 << 22]))
def test_parzen_is_the_naive_sum(seed: int, sigma: float, n: int, m: int, numbers: int) -> None:
    x, s = random(n, 3, seed=seed), random(m, 3, seed=seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_NUMBERS", numbers)
        found = parzen_log_prob(x, s, sigma)
    for i in range(n):
        kernels = [math.exp(-(math.dist(x[i], s[j]) ** 2) / (2 * sigma**2)) for j in range(m)]
        density = sum(kernels) / m / (2 * math.pi * sigma**2) ** 1.5
        assert found[i] == pytest.approx(math.log(density), rel=1e-9)


def test_parzen_is_a_density_that_nears_the_true_one() -> None:
    """It integrates to 1, and from many samples and a narrow window it is log Normal(0, 1)."""
    x = np.linspace(-8, 8, 801)[:, None]
    assert np.exp(parzen_log_prob(x, random(20, 1), 0.5)).sum() * 0.02 == pytest.approx(1, abs=1e-9)
    x, quantiles = np.linspace(-2, 2, 9)[:, None], np.sort(random(200_000, 1), axis=0)[50::100]
    expected = -0.5 * x[:, 0] ** 2 - 0.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(parzen_log_prob(x, quantiles, 0.1), expected, atol=0.03)


def test_parzen_does_not_underflow(device: Device) -> None:
    """784 pixels far away from every sample."""
    x, s = device.asarray(np.full((1, 784), 30.0)), device.asarray(np.zeros((4, 784)))
    expected = -784 * 900 / (2 * 0.04) - 784 * math.log(0.2 * math.sqrt(2 * math.pi))
    found = parzen_log_prob(x, s, 0.2)
    assert device_of(found) == device and float(found[0]) == pytest.approx(expected, rel=1e-12)


def test_best_sigma() -> None:
    """For one sample at 0 the likeliest window is the root mean square of the validation data."""
    x = random(30, 4)
    best = best_sigma(x, np.zeros((1, 4)), np.linspace(0.5, 2, 1501))
    assert best == pytest.approx(math.sqrt((x**2).mean()), abs=1e-3)
    assert 0.05 <= best_sigma(x, x[:5]) <= 1


def test_parzen_errors() -> None:
    with pytest.raises(ValueError, match="parzen_log_prob: takes sigma > 0, got 0"):
        parzen_log_prob(random(2, 3), random(2, 3), 0)
    with pytest.raises(ValueError, match=r"parzen_log_prob: .*\(2, 3\), \(2, 4\)"):
        parzen_log_prob(random(2, 3), random(2, 4), 1)


# -- the Frechet distance ----------------------------------------------------------------------------------------------


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


# -- what a classifier says --------------------------------------------------------------------------------------------


def test_shares_and_confidence(device: Device) -> None:
    p = device.asarray(np.array([[0.95, 0.05, 0, 0], [0.2, 0.3, 0.5, 0], [0.91, 0, 0.09, 0], [0, 0.1, 0.9, 0]]))
    assert to_numpy(class_shares(p)).tolist() == [0.5, 0, 0.5, 0]
    assert confident_share(p) == 0.5  # 0.9 is not over 0.9
    assert confident_share(Tensor(p), above=0.3) == 1


def signed(n: int, seed: int = 0) -> np.ndarray:
    return np.tanh(random(n, 1, 4, 4, seed=seed)).astype(np.float32)


def classifier() -> Classifier:
    """With running statistics and a bias that fit, so that it is sure of some images and not of others."""
    model = Classifier((1, 4, 4), 3, width=4, features=16)
    for seed in range(30):
        features = model.features(model.device.asarray(signed(50, seed))).data
    weight = model.head.weight.data * 200
    model.head.weight.data, model.head.bias.data = weight, -weight @ features.mean(axis=0)
    return model


def test_features_and_probabilities(device: Device) -> None:
    """In evaluation mode, in blocks, and afterwards the classifier is as it was."""
    model, x = classifier(), signed(1001)
    features, probabilities = features_and_probabilities(model, x)
    assert model.training and model.body.training
    model.eval()
    here = device.asarray(x)
    np.testing.assert_allclose(features, model.features(here).numpy(), rtol=1e-4, atol=1e-5)
    logits = model.logits(here).numpy().astype(np.float64)
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(axis=1)[:, None], rtol=1e-4)


@pytest.mark.parametrize(("n", "compared"), [(10, 10), (50, 20)])
def test_report_on(n: int, compared: int) -> None:
    """The distances are of equally many images, whatever there is more of."""
    model, samples, real = classifier().eval(), signed(n), signed(40, seed=1)
    of_samples, of_real = (model.features(x).numpy() for x in (samples, real))
    found = report_on(samples, model, real)
    even, odd = of_real[0::2][:compared], of_real[1::2][:compared]
    assert found["compared"] == compared
    assert found["frechet"] == pytest.approx(frechet_distance(of_samples[:compared], even), rel=1e-4)
    assert found["floor"] == pytest.approx(frechet_distance(odd, even), rel=1e-4)
    p, p_real = (features_and_probabilities(model, x)[1] for x in (samples, real))
    assert found["shares"] == class_shares(p).tolist() and sum(found["shares"]) == pytest.approx(1)
    assert 0 < found["confident"] < 1 and found["confident"] != found["confident_real"]
    assert (found["confident"], found["confident_real"]) == (confident_share(p), confident_share(p_real))


def test_report_on_takes_signed_pixels_only() -> None:
    model = Classifier((1, 4, 4), 3, width=2, features=5)
    for samples, real in ((signed(4) * 127, signed(4)), (signed(4), signed(4) / 2 + 0.5), (signed(4), signed(4) * 2)):
        with pytest.raises(ValueError, match=r"report_on: takes pixels in \[-1, 1\], got samples in "):
            report_on(samples, model, real)
    report_on(np.ones((4, 1, 4, 4), np.float32), model, signed(4))  # a generator may have collapsed to white
