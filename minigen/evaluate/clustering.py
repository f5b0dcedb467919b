"""How well clusters that were found without labels agree with labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd import raw
from minigen.backend import to_numpy


def clustering_accuracy(clusters: Any, labels: Any, test_clusters: Any, test_labels: Any) -> float:
    """The share of test examples whose label is that of their cluster, which is its most frequent label in training.

    All arguments are integers from 0 on, (N,) and (N,) of training, then (M,) and (M,). Several clusters may have one
    label; a test example of a cluster that training has not counts as wrong. More clusters give more, so compare equal
    numbers. `ValueError` for other shapes and types.
    """
    c, y, test_c, test_y = (np.asarray(to_numpy(raw(x))) for x in (clusters, labels, test_clusters, test_labels))
    shapes = (
        c.shape == y.shape
        and test_c.shape == test_y.shape
        and c.ndim == test_c.ndim == 1
        and 0 not in (c.size, test_c.size)
    )
    if not shapes or any(x.dtype.kind not in "iu" or x.min() < 0 for x in (c, y, test_c, test_y)):
        got = ", ".join(f"{x.shape} {x.dtype}" for x in (c, y, test_c, test_y))
        raise ValueError(f"clustering_accuracy: expects integers >= 0, (N,), (N,), (M,) and (M,), got {got}")
    votes = np.zeros((max(c.max(), test_c.max()) + 1, max(y.max(), test_y.max()) + 1), np.int64)
    np.add.at(votes, (c, y), 1)
    winner = np.where(votes.any(axis=1), votes.argmax(axis=1), -1)
    return float((winner[test_c] == test_y).mean())
