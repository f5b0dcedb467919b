"""Digits sorted without labels, at half the resolution, so that more rounds fit into a minute: what pages share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minigen import data, evaluate, nn
from zoo_pages.few import classes_of

SHAPE = (1, 14, 14)


def digits(split: str = "train") -> data.Dataset:
    """The digits, each pixel the mean of 2 x 2."""
    whole = data.load("digits", split)
    squares = whole.images.reshape(len(whole), 1, 14, 2, 14, 2)
    return replace(whole, images=np.rint(squares.mean(axis=(3, 5))).astype(np.uint8))


def batches(batch_size: int, seed: int) -> data.Loader:
    """Training digits with pixels in [-1, 1]."""
    return data.Loader(digits(), batch_size, pixels="signed", seed=seed, drop_last=True)


def sorted_right(network: nn.Module) -> float:
    """The share of test digits that are of the class which stands for their label, by a vote of the training digits."""
    return evaluate.clustering_accuracy(*classes_of(network, digits()), *classes_of(network, digits("test")))


def k_means(k: int, seed: int, passes: int = 20) -> float:
    """The same of k clusters of pixels, whose centres are the means of their images (Lloyd's algorithm)."""
    both = [digits(split) for split in ("train", "test")]
    points, test_points = (part.images.reshape(len(part), -1) / 255.0 for part in both)
    centres = points[np.random.default_rng(seed).choice(len(points), k, replace=False)]
    cluster_of = lambda points: evaluate.nearest(points, centres)[0][:, 0]
    for _ in range(passes):
        found = cluster_of(points)
        centres = np.stack([points[found == i].mean(axis=0) if (found == i).any() else centres[i] for i in range(k)])
    return evaluate.clustering_accuracy(cluster_of(points), both[0].labels, cluster_of(test_points), both[1].labels)
