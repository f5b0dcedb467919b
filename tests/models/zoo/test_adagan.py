"""AdaGAN: water-filling by its law, the mixture's shares in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import nn
from minigen.autograd import Tensor, full
from minigen.backend import Device
from minigen.models.zoo.adagan import AdaGAN, water_filling


class Constant(nn.Module):
    """Samples (n, 1) of one value."""

    def __init__(self, value: float) -> None:
        self.value = value

    def sample(self, n: int) -> Tensor:
        return full((n, 1), self.value, dtype="float32")


@given(st.lists(st.floats(0, 50) | st.just(0.0), min_size=1, max_size=30), st.floats(0.01, 1))
def test_water_filling(ratios: list[float], beta: float) -> None:
    """Not negative, sums to 1, one level over the points that get weight, and no dry point lies below it."""
    w, heights, n = water_filling(ratios, beta), (1 - beta) * np.array(ratios), len(ratios)
    assert (w >= 0).all() and w.sum() == pytest.approx(1)
    levels = w * n * beta + heights
    level = levels[w > 0].max()
    np.testing.assert_allclose(levels[w > 1e-12], level, rtol=1e-6)
    assert (heights[w <= 1e-12] >= level * (1 - 1e-6)).all()


def test_water_filling_by_hand() -> None:
    """The mixture has no mass at two points of four: these share the weight. With beta = 1 all have the same."""
    np.testing.assert_allclose(water_filling([2, 0, 2, 0], 0.5), [0, 0.5, 0, 0.5])
    np.testing.assert_allclose(water_filling([1, 1, 1, 1], 0.3), [0.25] * 4)
    np.testing.assert_allclose(water_filling([9, 0, 3], 1.0), [1 / 3] * 3)
    # the level is 1: (1 - 0.5) + (1 - 0.5 x 1) = 1 = 2 x 0.5
    np.testing.assert_allclose(water_filling([1, 1], 0.5), [0.5, 0.5])
    # one dry point: level (3 x 0.5 + 0.1 + 0.2) / 2 = 0.9 for r = 0.2, 0.4
    np.testing.assert_allclose(water_filling([0.2, 4.0, 0.4], 0.5), [0.8 / 1.5, 0, 0.7 / 1.5])


def test_the_mixture(device: Device) -> None:
    """By default all components are equal; a given beta shrinks the others."""
    model = AdaGAN()
    for t in range(3):
        model.add(Constant(t))
    np.testing.assert_allclose(model.shares, [1 / 3] * 3)
    model.add(Constant(3), beta=0.4)
    np.testing.assert_allclose(model.shares, [0.2, 0.2, 0.2, 0.4])
    x = model.sample(40_000).numpy()[:, 0].astype(int)
    for part in (x, x[:20_000]):  # any part of the samples is one of the mixture
        np.testing.assert_allclose(np.bincount(part) / len(part), model.shares, atol=0.015)


def test_errors() -> None:
    for ratios, beta in (([-1.0], 0.5), ([np.nan], 0.5), ([[1.0]], 0.5), ([1.0], 0.0), ([1.0], 1.1)):
        with pytest.raises(ValueError, match="water_filling: expects ratios >= 0"):
            water_filling(ratios, beta)
    for beta in (0.0, 0.5, 2.0):
        with pytest.raises(ValueError, match="AdaGAN: expects beta > 0 and <= 1, and 1 for the first"):
            AdaGAN().add(Constant(0), beta)
