"""Means over a data set: every image counts the same, and looking changes nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import nn
from minigen.autograd import Tensor
from minigen.backend import Device
from minigen.data import Dataset, Loader
from minigen.evaluate import bits_per_dim, evaluating, mean_over
from minigen.random import manual_seed, normal, random_state


def dataset(n: int, channels: int = 1, size: int = 2) -> Dataset:
    images = np.random.default_rng(3).integers(0, 256, (n, channels, size, size), np.uint8)
    return Dataset(images, np.zeros(n, np.int64), ("image",), "random", "test")


def model() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Dropout(0.5)))


def mean_of_pixels(images: Any, labels: Any) -> Tensor:
    return Tensor(images).astype("float32").mean(axis=(1, 2, 3))


def test_bits_per_dim() -> None:
    assert bits_per_dim(79.20, (1, 28, 28)) == pytest.approx(0.1457, abs=5e-5)  # the published pair of numbers
    assert bits_per_dim(3 * 32 * 32 * math.log(256), (3, 32, 32)) == pytest.approx(8)  # uniform bytes
    assert bits_per_dim(math.log(2), (1, 1, 1)) == pytest.approx(1)
    assert bits_per_dim(0.0, (1, 2, 3)) == 0


@given(st.integers(1, 20), st.integers(1, 25))
def test_every_image_counts_the_same(n: int, batch_size: int) -> None:
    """Also those in a smaller last batch."""
    data = dataset(n)
    mean = mean_over(Loader(data, batch_size, pixels="levels", shuffle=False), mean_of_pixels, model())
    assert mean == pytest.approx(data.images.mean(), rel=1e-5)


def test_the_sum_has_enough_digits() -> None:
    """A mean of many float32 values is not limited by float32."""
    values = np.float32(1000) + np.arange(10_000, dtype=np.float32) % 7
    images = iter(np.split(values, 100))
    data = Dataset(np.zeros((10_000, 1, 1, 1), np.uint8), np.zeros(10_000, np.int64), ("image",), "zeros", "test")
    mean = mean_over(Loader(data, 100), lambda x, labels: Tensor(next(images)), model())
    assert mean == pytest.approx(float(values.astype(np.float64).mean()), rel=1e-12)


def test_the_model_is_in_evaluation_mode_and_nothing_is_recorded(device: Device) -> None:
    m, data, seen = model(), dataset(5), []
    before = {name: x.copy() for name, x in m.state_dict().items()}

    def fn(images: Any, labels: Any) -> Tensor:
        out = m(Tensor(images).astype("float32"))
        seen.append((m.training, m[2].training, m[3][0].training, out.requires_grad))
        return out.sum(axis=1)

    mean_over(Loader(data, 2, pixels="unit"), fn, m)
    assert seen == [(False, False, False, False)] * 3
    assert all(module.training for module in m.modules())
    for name, x in m.state_dict().items():  # running statistics too
        assert (x == before[name]).all()


def test_the_random_numbers_go_on_as_if_nothing_had_been() -> None:
    loader, m = Loader(dataset(5), 2), model()
    noisy = lambda images, labels: Tensor(normal((len(images),)))
    manual_seed(1)
    before = random_state()
    first, second = (mean_over(loader, noisy, m) for _ in range(2))
    assert first == second  # the same model gets the same value
    assert random_state() == before
    manual_seed(2)
    assert mean_over(loader, noisy, m) == first
    with pytest.raises(ZeroDivisionError):
        mean_over(loader, lambda images, labels: 1 / 0, m)
    assert m.training and m[2].training
    manual_seed(1)
    assert random_state() == before


def test_every_part_gets_its_own_mode_back() -> None:
    m = model()
    m[2].eval()  # statistics that are kept fixed
    with evaluating(m):
        assert not any(module.training for module in m.modules())
    assert [module.training for module in m] == [True, True, False, True] and m[3][0].training
    m.eval()
    with pytest.raises(KeyError), evaluating(m):
        raise KeyError
    assert not any(module.training for module in m.modules())


def test_progress_shows_a_bar_only_on_a_terminal(capfd: pytest.CaptureFixture) -> None:
    mean_over(Loader(dataset(5), 2, pixels="levels"), mean_of_pixels, model(), progress="a label")
    assert capfd.readouterr() == ("", "")


def test_the_labels_are_those_of_the_images(device: Device) -> None:
    labels = np.array([2, 0, 1, 1, 2])
    data = Dataset(dataset(5).images, labels, ("a", "b", "c"), "random", "test")
    weighted = lambda images, y: mean_of_pixels(images, y) * Tensor(y).astype("float32")
    expected = np.mean([image.mean() * label for image, label in zip(data.images, labels, strict=True)])
    assert mean_over(Loader(data, 2, pixels="levels"), weighted, model()) == pytest.approx(expected, rel=1e-5)
