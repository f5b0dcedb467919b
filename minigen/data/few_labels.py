"""A small labelled part of a data set, for learning from few labels and many images without them."""

from __future__ import annotations

import numpy as np

from minigen.data.dataset import Dataset


def few_labels(dataset: Dataset, per_class: int, seed: int = 0) -> Dataset:
    """`per_class` images of each class, chosen at random without replacement, one class after the other.

    `ValueError` if a class has fewer images.

    >>> few_labels(load("digits"), 10)
    <digits train: (100, 1, 28, 28) images, 10 classes>
    """
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    if not 1 <= per_class <= counts.min():
        raise ValueError(
            f"few_labels: expects per_class = 1 ... {counts.min()}, as the rarest class has, got {per_class}"
        )
    generator = np.random.default_rng(seed)
    places = [np.flatnonzero(dataset.labels == k) for k in range(len(dataset.classes))]
    return dataset[np.concatenate([generator.choice(place, per_class, replace=False) for place in places])]
