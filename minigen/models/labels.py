"""Conditional GANs: labels as a second input of a network (Mirza and Osindero 2014, arXiv 1411.1784)."""

from __future__ import annotations

from typing import Any

from minigen import ops
from minigen.autograd import one_hot


def with_labels(x: Any, labels: Any, classes: int | None) -> Any:
    """x (N, C, ...) with the one-hot labels as further channels, (N, C + classes, ...); without classes x itself.

    Vectors (N, C) become longer; images (N, C, H, W) get a constant map for each class.
    """
    if classes is None:
        return x
    n, _, *sides = x.shape
    hot = ops.reshape(one_hot(labels, classes).astype(x.dtype), (n, classes, *(1 for _ in sides)))
    return ops.concat([x, ops.broadcast_to(hot, (n, classes, *sides))], axis=1)
