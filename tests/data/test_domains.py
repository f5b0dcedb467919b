"""Two domains: disjoint halves, what becomes of their images in loops, and draws that are not paired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from minigen.backend import Device, default_dtype, device_of, to_numpy
from minigen.data import Dataset
from minigen.data.domains import Unpaired, edges, halves, negatives, painted, with_bars


def numbered(n: int, start: int = 0) -> Dataset:
    """Image and label i are full of start + i."""
    images = np.broadcast_to(np.arange(start, start + n, dtype=np.uint8).reshape(n, 1, 1, 1), (n, 1, 4, 4))
    return Dataset.from_arrays(images, np.arange(start, start + n))


@pytest.mark.parametrize("n", [2, 11])
def test_halves_have_nothing_in_common(n: int) -> None:
    a, b = halves(numbered(n), seed=3)
    assert len(a) == len(b) == n // 2
    assert not set(a.labels.tolist()) & set(b.labels.tolist())
    for half in (a, b):
        np.testing.assert_array_equal(half.images[:, 0, 0, 0], half.labels)
    assert halves(numbered(n), seed=3)[0].labels.tolist() == a.labels.tolist()
    assert n == 2 or halves(numbered(n), seed=4)[0].labels.tolist() != a.labels.tolist()


def test_edges_in_loops() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 5, 6), np.uint8)
    result = edges(images)
    assert result.dtype == np.uint8
    for n, c, i, j in np.ndindex(images.shape):
        around = images[n, c, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        assert result[n, c, i, j] == around.max() - images[n, c, i, j]


def test_negatives_and_paint() -> None:
    images = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    assert negatives(images).ravel().tolist() == [255, 204, 0]
    result = painted(images, (255, 0, 100), (0, 200, 100))
    assert result.shape == (1, 3, 1, 3) and result.dtype == np.uint8
    assert result[0, :, 0].T.tolist() == [[0, 200, 100], [51, 160, 100], [255, 0, 100]]


def test_bars() -> None:
    """Three rows are white, the rest is as before; the heights vary, but are the same in every call."""
    images = np.random.default_rng(0).integers(0, 200, (200, 1, 10, 4), np.uint8)
    result = with_bars(images, seed=1)
    barred = (result == 255).all(axis=(1, 3))
    assert (barred.sum(axis=1) == 3).all()
    np.testing.assert_array_equal(np.where(barred[:, None, :, None], images, result), images)
    assert set(barred.argmax(axis=1)) == set(range(1, 7)) and not barred[:, [0, -1]].any()
    np.testing.assert_array_equal(with_bars(images, seed=1), result)


@pytest.mark.parametrize("of", [edges, negatives, with_bars, lambda images: painted(images, (0, 0, 0))])
def test_other_images_are_refused(of: object) -> None:
    with pytest.raises(ValueError, match=r": expects images \(N, C, H, W\) uint8, got \(2, 1, 4, 4\) float64$"):
        of(np.zeros((2, 1, 4, 4)))  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"^painted: expects grey images \(N, 1, H, W\), got \(2, 3, 4, 4\)$"):
        painted(np.zeros((2, 3, 4, 4), np.uint8), (0, 0, 0))


def test_draws_come_from_each_domain_and_not_in_pairs(device: Device) -> None:
    first, second = numbered(5), numbered(7, 100)
    batches = [batch for e in (0, 1) for batch in Unpaired(first, second, 50, 10).epoch(e)]
    x, labels = (np.concatenate([to_numpy(part) for part in parts]) for parts in zip(*batches, strict=True))
    assert x.shape == (1000, 2, 1, 4, 4) and labels.shape == (1000, 2) and device_of(batches[0][0]) == device
    np.testing.assert_allclose(x, np.broadcast_to(labels.reshape(1000, 2, 1, 1, 1) / 127.5 - 1, x.shape), atol=1e-6)
    counts = np.zeros((5, 7))
    np.add.at(counts, (labels[:, 0], labels[:, 1] - 100), 1)
    assert ((counts - 1000 / 35) ** 2 / (1000 / 35)).sum() < 70  # chi-squared, 34 degrees: 1 in 4,000 is above
    with default_dtype("float64"):
        assert next(Unpaired(first, second, 2, 1).epoch(0))[0].dtype == np.float64


def test_a_batch_depends_on_its_number_alone() -> None:
    draws = Unpaired(numbered(9), numbered(9), 4, 3, seed=2)
    assert len(draws) == 3
    labels = [y.tolist() for _, y in draws.epoch(1)]
    assert [y.tolist() for _, y in draws.epoch(1, start=1)] == labels[1:]
    assert labels[0] != labels[1] != next(draws.epoch(0))[1].tolist()


def test_draws_that_cannot_be() -> None:
    dataset = numbered(4)
    with pytest.raises(ValueError, match=r"^Unpaired: expects batch_size and batches >= 1 and seed >= 0, got 2, 0, 0$"):
        Unpaired(dataset, dataset, 2, 0)
    colour = replace(dataset, images=painted(dataset.images, (1, 2, 3)))
    for other in (colour, dataset[:0]):
        with pytest.raises(ValueError, match=r"^Unpaired: expects images of one shape, got <arrays train: \(4, 1"):
            Unpaired(dataset, other, 2, 1)
    with pytest.raises(ValueError, match=r"^halves: expects at least two images, got <arrays"):
        halves(dataset[:1])
