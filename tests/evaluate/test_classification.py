"""Metrics against labels, against naive loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen.autograd import Tensor
from minigen.backend import Device
from minigen.evaluate import auroc, knn_accuracy

SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)


@given(SCORES, SCORES)
def test_auroc_counts_the_pairs_in_order(positive: list[float], negative: list[float]) -> None:
    pairs = [(a > b) + 0.5 * (a == b) for a in positive for b in negative]
    assert auroc(np.array(positive), np.array(negative)) == pytest.approx(np.mean(pairs))


def test_auroc_on_a_device(device: Device) -> None:
    a, b = (device.asarray(np.array(x, "float32")) for x in ([2, 3], [0, 1, 2.5]))
    assert auroc(Tensor(a), b) == pytest.approx(5 / 6)
    assert auroc(b, a) == pytest.approx(1 / 6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_knn_accuracy_is_the_naive_vote(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(8, 1, 2, 2)), rng.integers(0, 3, 8)
    test, expected = rng.normal(size=(6, 1, 2, 2)), rng.integers(0, 3, 6)
    right = 0
    for i in range(6):
        order = sorted(range(8), key=lambda j: np.linalg.norm(x[j] - test[i]))
        votes = [int(y[j]) for j in order[:k]]
        right += min(votes, key=lambda label: (-votes.count(label), label)) == expected[i]
    assert knn_accuracy(x, y, test, expected, k) == pytest.approx(right / 6)


def test_knn_accuracy_on_a_device(device: Device) -> None:
    x = device.asarray(np.array([[0], [1], [5]], "float32"))
    y = device.asarray(np.array([0, 1, 2]))
    assert knn_accuracy(x, y, Tensor(x), y) == 1
    assert knn_accuracy(x, y, x[:2], y[1:]) == 0


@pytest.mark.parametrize(("a", "b"), [([], [1.0]), ([1.0], []), ([[1.0]], [1.0]), ([float("nan")], [1.0])])
def test_auroc_refuses(a: list, b: list) -> None:
    with pytest.raises(ValueError, match=r"auroc: expects scores \(N,\) and \(M,\) without NaN, got"):
        auroc(np.array(a), np.array(b))


def test_knn_accuracy_refuses() -> None:
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"knn_accuracy: expects a label for each of 3 and 3 examples, got \(2,\)"):
        knn_accuracy(x, np.zeros(2, int), x, np.zeros(3, int))
    with pytest.raises(ValueError, match=r"nearest: expects k = 1 \.\.\. 3"):
        knn_accuracy(x, np.zeros(3, int), x, np.zeros(3, int), k=4)
