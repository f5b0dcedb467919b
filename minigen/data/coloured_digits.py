"""Digits painted in one of five colours on black: the smallest data set with colours, made from `digits`.

An image has two labels, its digit and its colour, chosen independently. So a model can be asked for a combination of
both ("a green 7"), and whether it has learned what a colour is can be measured; natural images do not allow that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minigen.data.dataset import Dataset
from minigen.data.mnist import load_digits

COLOURS = {  # corners of the RGB cube: they stay the same when the pixels are made binary
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "magenta": (1, 0, 1),
}


def load_coloured_digits(split: str = "train") -> Dataset:
    """`digits` in colour, (N, 3, 28, 28), with `colours` beside the labels. The colours are the same in every call."""
    digits = load_digits(split)
    seed = {"train": 0, "test": 1}[split]
    colours = np.random.default_rng(seed).integers(len(COLOURS), size=len(digits))
    paint = np.array(list(COLOURS.values()), np.uint8)[colours]  # (N, 3)
    return replace(
        digits,
        images=digits.images * paint[:, :, None, None],  # (N, 1, 28, 28) -> (N, 3, 28, 28)
        colours=colours,
        colour_names=tuple(COLOURS),
        name="coloured_digits",
    )
