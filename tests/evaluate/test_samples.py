"""Samples compared with data: distances against naive loops, densities against closed forms."""

from __future__ import annotations

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen.autograd import Tensor
from minigen.backend import Device, device_of, to_numpy
from minigen.data import toy
from minigen.data.toy import GaussianMixture
from minigen.evaluate import samples as module
from minigen.evaluate.samples import (
    best_sigma,
    copying,
    coverage,
    intersection_over_union,
    modes_covered,
    nearest,
    parzen_log_prob,
    precision_and_recall,
    sharpness,
)

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
        ((random(2, 4), random(3, 4), 4), "nearest: expects k = 1 ... 3, .*got 4"),
        ((random(2, 4), random(0, 4)), "nearest: expects two arrays"),
    ],
)
def test_nearest_errors(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest(*arguments)


@given(SEEDS, st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))
def test_copying_is_the_share_of_pairs(seed: int, n: int, m: int, t: int) -> None:
    """On a grid, where distances are often equal: pairs with equal distances count half."""
    draw = np.random.default_rng(seed)
    samples, test, training = (draw.integers(0, 3, (size, 1, 1, 2)).astype(float) for size in (n, m, t))
    distance = lambda x: min(math.dist(x.ravel(), y.ravel()) for y in training)
    pairs = [(distance(a), distance(b)) for a in samples for b in test]
    naive = sum(1.0 if a < b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)
    assert copying(samples, test, training) == pytest.approx(naive, abs=1e-12)


def test_copies_and_new_samples_differ(device: Device) -> None:
    training, new = device.asarray(random(300, 8)), device.asarray(random(400, 8, seed=1))
    assert copying(training[:50], new, training) == 1
    assert copying(Tensor(new[:200]), new[200:], training) == pytest.approx(0.5, abs=0.08)


# -- precision and recall ----------------------------------------------------------------------------------------------


def naive_share(points: np.ndarray, centres: np.ndarray, k: int) -> float:
    """The share of the points in a ball around a centre that reaches to its k-th nearest other centre."""
    inside = 0
    for point in points:
        for i, centre in enumerate(centres):
            others = sorted(math.dist(centre, other) for j, other in enumerate(centres) if j != i)
            if math.dist(point, centre) <= others[k - 1]:
                inside += 1
                break
    return inside / len(points)


@given(SEEDS, st.integers(2, 9), st.integers(2, 9), st.data(), st.sampled_from([1, 10, 1 << 22]))
def test_precision_and_recall_are_the_naive_shares(
    seed: int, n: int, m: int, data: st.DataObject, numbers: int
) -> None:
    k = data.draw(st.integers(1, min(n, m) - 1))
    samples, real = random(n, 2, seed=seed), random(m, 2, seed=seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_NUMBERS", numbers)
        found = precision_and_recall(samples, real, k)
    assert found == pytest.approx((naive_share(samples, real, k), naive_share(real, samples, k)), abs=1e-12)


def test_precision_falls_with_bad_samples_and_recall_with_missing_modes(device: Device) -> None:
    """Two clusters of data: samples of one of them, and samples of which a quarter lie far away."""
    shift = np.array([50.0, 0.0])
    real = np.concatenate([random(200, 2), random(200, 2, seed=1) + shift])
    one = random(400, 2, seed=2)
    far = np.concatenate([random(150, 2, seed=3), random(150, 2, seed=4) + shift, random(100, 2, seed=5) + 1000])
    precision, recall = precision_and_recall(device.asarray(one), Tensor(device.asarray(real)))
    assert precision > 0.9 and recall == pytest.approx(0.5, abs=0.05)
    precision, recall = precision_and_recall(far, real)
    assert precision == pytest.approx(0.75, abs=0.05) and recall > 0.9
    assert precision_and_recall(real, real) == (1, 1)
    equal = np.repeat(random(5, 64), 5, axis=0)  # balls of radius 0
    assert precision_and_recall(equal[::-1], equal) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((random(5, 2), random(5, 3)), r"precision_and_recall: .*got \(5, 2\), \(5, 3\)"),
        ((random(5, 2), random(3, 2)), "precision_and_recall: expects 1 <= k < the number of points, got 3, 5, 3"),
        ((random(5, 2), random(5, 2), 0), "precision_and_recall: .*got 0, 5, 5"),
    ],
)
def test_precision_and_recall_errors(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        precision_and_recall(*arguments)


# -- sharpness ---------------------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_sharpness_is_the_naive_sum(seed: int, colours: int, height: int, width: int) -> None:
    image = np.random.default_rng(seed).uniform(0, 1, (1, colours, height, width))
    steps = [abs(a - b) for plane in image[0] for line in [*plane, *plane.T] for a, b in pairwise(line)]
    naive = sum(d * d for d in steps) / sum(steps) if steps else 0
    assert sharpness(image) == pytest.approx([naive], rel=1e-9)


@pytest.mark.parametrize("pixels", [1, 2, 4, 8])
def test_an_edge_of_n_pixels_has_sharpness_1_over_n(pixels: int, device: Device) -> None:
    """However many edges there are, and in both directions."""
    ramp = np.clip(np.arange(-3, pixels + 4) / pixels, 0, 1)
    line = np.concatenate([ramp, ramp[::-1]]).astype(np.float32)
    upright = np.broadcast_to(line, (1, 1, 5, len(line)))
    both = np.concatenate([upright, np.zeros_like(upright)])
    found = sharpness(device.asarray(both))
    assert device_of(found) == device
    np.testing.assert_allclose(to_numpy(found), [1 / pixels, 0], rtol=1e-6)
    turned = sharpness(Tensor(device.asarray(both.swapaxes(2, 3))))
    np.testing.assert_allclose(to_numpy(turned), [1 / pixels, 0], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.zeros((2, 4)), np.zeros((2, 1, 3, 3), np.uint8), np.zeros((0, 1, 3, 3))])
def test_sharpness_errors(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"sharpness: expects images \(N, C, H, W\) of floats in \[0, 1\], got"):
        sharpness(bad)


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
    with pytest.raises(ValueError, match="parzen_log_prob: expects sigma > 0, got 0"):
        parzen_log_prob(random(2, 3), random(2, 3), 0)
    with pytest.raises(ValueError, match=r"parzen_log_prob: .*\(2, 3\), \(2, 4\)"):
        parzen_log_prob(random(2, 3), random(2, 4), 1)


# -- coverage ----------------------------------------------------------------------------------------------------------


def test_coverage_of_models_that_are_known(device: Device) -> None:
    """The same density covers `share`; one of two equal modes covers half of that; a mode more costs nothing."""
    both, on = toy.bimodal(), lambda density, n: Tensor(device.asarray(density.sample(n)))
    data = on(both, 2000)
    one, three = GaussianMixture([[2.0]], 0.5), GaussianMixture([[-2.0], [2.0], [9.0]], 0.5)
    for share in (0.95, 0.8):
        assert coverage(data, on(both, 4000), 0.1, share) == pytest.approx(share, abs=0.03)
        assert coverage(data, on(one, 4000), 0.1, share) == pytest.approx(share / 2, abs=0.03)
        assert coverage(data, on(three, 4000), 0.1, share) == pytest.approx(share, abs=0.04)


def test_coverage_by_the_definition() -> None:
    x, s = random(40, 2, seed=1), 0.5 * random(60, 2, seed=2)
    density = lambda at: np.array([np.exp(-((s[:30] - p) ** 2).sum(axis=1) / 0.18).sum() for p in at])
    c = np.quantile(density(s[30:]), 0.1)
    assert 0.2 < coverage(x, s, 0.3, 0.9) == np.mean(density(x) > c) < 0.9


def test_coverage_errors() -> None:
    for samples, share in ((random(4, 2), 1.0), (random(4, 2), 0.0), (random(1, 2), 0.9)):
        with pytest.raises(ValueError, match="coverage: expects 0 < share < 1 and two samples or more"):
            coverage(random(4, 2), samples, 0.1, share)


# -- modes -------------------------------------------------------------------------------------------------------------


def test_modes_covered_by_hand() -> None:
    mixture = GaussianMixture([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], [1.0, 2.0, 0.1])
    x = [[2.9, 0.0], [0.0, 3.1], [10.0, 5.9], [10.0, 0.0], [0.0, 10.2], [0.0, 10.4], [math.nan, 0.0], [2.0, 2.2]]
    assert modes_covered(x, mixture) == (5 / 8, 3)
    assert modes_covered(Tensor(np.array(x)), mixture, at_least=2) == (5 / 8, 2)
    assert modes_covered(x[1:2], mixture) == (0.0, 0)


def test_modes_covered_by_the_mixtures_own_samples() -> None:
    """In two dimensions P(distance > 3 std) = exp(-9/2); with two of eight modes left out, six are covered."""
    ring, n = toy.ring(), 20_000
    share, modes = modes_covered(ring.sample(n), ring, at_least=2000)
    assert share == pytest.approx(1 - math.exp(-4.5), abs=0.004) and modes == 8
    assert modes_covered(ring.sample(n), ring, at_least=n // 2)[1] == 0
    some = GaussianMixture(ring.means[2:], ring.std[2:])
    assert modes_covered(some.sample(n), ring, at_least=2000)[1] == 6


def test_modes_covered_errors() -> None:
    for bad in (np.zeros((4, 3)), np.zeros(2), np.zeros((0, 2))):
        with pytest.raises(ValueError, match=r"modes_covered: expects samples \(N, 2\), got"):
            modes_covered(bad, toy.ring())
    with pytest.raises(ValueError, match="modes_covered: expects at_least >= 1, got 0"):
        modes_covered(np.zeros((1, 2)), toy.ring(), at_least=0)


# -- overlap -----------------------------------------------------------------------------------------------------------


def test_intersection_over_union_in_loops(device: Device) -> None:
    random_masks = np.random.default_rng(0).random((2, 6, 1, 3, 4)) < 0.4
    random_masks[:, 0] = False
    random_masks[1, 1] = random_masks[0, 1]
    random_masks[1, 2] = ~random_masks[0, 2]
    found = to_numpy(intersection_over_union(*map(device.asarray, random_masks)))
    assert found[:3].tolist() == [1, 1, 0]
    for a, b, value in zip(*random_masks, found, strict=True):
        pixels = list(zip(a.flat, b.flat, strict=True))
        both, either = sum(p and q for p, q in pixels), sum(p or q for p, q in pixels)
        assert value == pytest.approx(both / either if either else 1)


def test_intersection_over_union_of_others_than_masks() -> None:
    masks = np.ones((2, 3), bool)
    for first, second in ((masks, masks[:1]), (masks, masks.astype("float32")), (masks[0], masks[0])):
        with pytest.raises(ValueError, match=r"^intersection_over_union: expects two arrays \(N, ...\) of True and"):
            intersection_over_union(first, second)
