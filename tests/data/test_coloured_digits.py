"""Coloured digits: every pixel is the digit's in one of the colours, and digit and colour are independent."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from minigen.data import load
from minigen.data.coloured_digits import COLOURS


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_pixel_is_the_digits_in_one_colour(split: str) -> None:
    digits, dataset = load("digits", split), load("coloured_digits", split)
    assert dataset.images.shape == (len(digits), 3, 28, 28) and dataset.image_shape == (3, 28, 28)
    np.testing.assert_array_equal(dataset.labels, digits.labels)
    assert dataset.colours is not None
    for i in range(0, len(digits), 97):
        paint = COLOURS[dataset.colour_names[dataset.colours[i]]]
        for channel in range(3):
            np.testing.assert_array_equal(dataset.images[i, channel], digits.images[i, 0] * paint[channel])


def test_digit_and_colour_are_independent_and_balanced() -> None:
    dataset = load("coloured_digits")
    assert dataset.colours is not None and dataset.colour_names == ("red", "green", "blue", "yellow", "magenta")
    counts = np.zeros((10, 5))
    np.add.at(counts, (dataset.labels, dataset.colours), 1)
    expected = counts.sum(axis=1, keepdims=True) / 5
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 80  # 40 degrees of freedom: 1 in 5,000 is above


def test_the_colours_are_far_apart() -> None:
    for a, b in itertools.combinations(COLOURS.values(), 2):
        assert np.abs(np.subtract(a, b)).max() == 1
    assert all(max(colour) == 1 for colour in COLOURS.values())  # none is as dark as the ground


def test_always_the_same_colours() -> None:
    train, test = load("coloured_digits"), load("coloured_digits", "test")
    assert train.colours is not None and test.colours is not None
    assert train.colours[:12].tolist() == [4, 3, 2, 1, 1, 0, 0, 0, 0, 4, 3, 4]
    assert train.colours[:2000].tolist() != test.colours.tolist()
    np.testing.assert_array_equal(train.colours, load("coloured_digits").colours)
