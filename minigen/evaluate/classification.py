"""Metrics of scores, features and clusters against labels. Arguments are arrays of NumPy or CuPy, or tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd import raw
from minigen.backend import to_numpy
from minigen.evaluate.samples import nearest


def auroc(positive: Any, negative: Any) -> float:
    """The area under the ROC curve of scores (N,) of positive and (M,) of negative examples.

    It is the probability that a random positive example has a higher score than a random negative one, where equal
    scores count one half: 0.5 for scores that say nothing, 1 for perfect ones. `ValueError` for other shapes, no
    scores, or NaN.
    """
    a, b = (to_numpy(raw(x)) for x in (positive, negative))
    if a.ndim != 1 or b.ndim != 1 or not len(a) or not len(b) or np.isnan(a).any() or np.isnan(b).any():
        raise ValueError(f"auroc: expects scores (N,) and (M,) without NaN, got {a.shape} and {b.shape}: {a}, {b}")
    b = np.sort(b)
    below, not_above = (np.searchsorted(b, a, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(b)))


def knn_accuracy(features: Any, labels: Any, test_features: Any, test_labels: Any, k: int = 1) -> float:
    """The share of test examples whose label is the most frequent one among their `k` nearest training examples.

    Features are (N, ...) and (M, ...), labels integers from 0 on, (N,) and (M,). The distance is Euclidean. Of equally
    frequent labels the smallest counts. `ValueError` if shapes do not fit, or if there are fewer than `k` examples.
    """
    known, expected = (to_numpy(raw(y)) for y in (labels, test_labels))
    if known.shape != (len(features),) or expected.shape != (len(test_features),):
        raise ValueError(
            f"knn_accuracy: expects a label for each of {len(features)} and {len(test_features)} examples, "
            f"got {known.shape} and {expected.shape}"
        )
    votes = known[to_numpy(nearest(test_features, features, k)[0])]  # (M, k)
    counts = (votes[:, :, None] == np.arange(known.max() + 1)).sum(axis=1)  # (M, classes)
    return float((counts.argmax(axis=1) == expected).mean())
