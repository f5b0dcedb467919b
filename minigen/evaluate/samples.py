"""Samples beside data: nearest, copies, precision and recall, sharpness, Parzen windows, modes, coverage, overlap.

No metric is enough by itself: a model that copies the training set passes all but `nearest` and `copying`. `judge`
compares samples with images in the feature space of a classifier. Arguments are arrays of NumPy or CuPy, or tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minigen import ops
from minigen.autograd import raw
from minigen.backend import Array, array_module, to_numpy
from minigen.data.toy import GaussianMixture

_NUMBERS = 1 << 22  # numbers held in memory at a time: 32 MB in float64


# -- nearest neighbours ------------------------------------------------------------------------------------------------


def nearest(samples: Any, images: Any, k: int = 1) -> tuple[Array, Array]:
    """The `k` images nearest to each sample: their indices (N, k) and Euclidean distances (N, k), nearest first.

    Samples (N, ...) and images (M, ...) have the same units. A sample that clearly differs from its nearest training
    image is not a copy of it (the lecture's figure; Goodfellow et al. 2014, figure 2). `ValueError` if shapes or units
    differ, or if there are fewer than `k` images.
    """
    x, y = _rows("nearest", samples, images)
    if not 1 <= k <= len(y):
        raise ValueError(f"nearest: expects k = 1 ... {len(y)}, the number of images, got {k}")
    xp, indices, distances = array_module(x), [], []
    for block in _blocks(len(x), max(len(y), k * x.shape[1])):
        squares = _squared_distances(x[block], y)
        chosen = []
        for _ in range(k):
            chosen.append(squares.argmin(axis=1))
            squares[xp.arange(len(squares)), chosen[-1]] = math.inf
        index = xp.stack(chosen, axis=1)  # (n, k)
        difference = x[block][:, None].astype(np.float64) - y[index]  # (n, k, D), exact: see _squared_distances
        distance = xp.sqrt((difference * difference).sum(axis=2))
        order = distance.argsort(axis=1)
        indices.append(xp.take_along_axis(index, order, axis=1))
        distances.append(xp.take_along_axis(distance, order, axis=1))
    return xp.concatenate(indices), xp.concatenate(distances)


def copying(samples: Any, test: Any, training: Any) -> float:
    """The probability that a sample is nearer to its nearest training image than a test image is to its own.

    1/2 for samples that are as new as the test images, 1 for copies of training images (the statistic of the
    Mann-Whitney test that Meehan et al. 2020, arXiv 2004.05675, use to detect data-copying; ties count half). Samples
    (N, ...), test images (M, ...) and training images have the same units. Blurred images are near to many others: they
    exceed 1/2 without being copies.
    """
    a, b = (nearest(x, training)[1][:, 0] for x in (samples, test))
    xp = array_module(a)
    b = xp.sort(b)
    not_farther = xp.searchsorted(b, a, side="left") + xp.searchsorted(b, a, side="right")  # twice, with ties as half
    return float(1 - not_farther.mean() / (2 * len(b)))


# -- precision and recall ----------------------------------------------------------------------------------------------


def precision_and_recall(samples: Any, real: Any, k: int = 3) -> tuple[float, float]:
    """How many samples are like data, and how much of the data the samples are like (Kynkäänniemi et al. 2019).

    A set of points stands for the region that the balls around its points fill, where the radius of a ball is the
    distance to the point's `k`-th nearest neighbour in the set. Precision is the share of the samples (N, D) in the
    region of the real points (M, D); recall is the share of the real points in the region of the samples. The points
    are features of images, such as those of `features_and_probabilities`. Both numbers depend on N and M: compare only
    equal ones (arXiv 1904.06991). `ValueError` if shapes differ, or if a set has not more than `k` points.
    """
    x, y = _rows("precision_and_recall", samples, real)
    if not 1 <= k < min(len(x), len(y)):
        raise ValueError(f"precision_and_recall: expects 1 <= k < the number of points, got {k}, {len(x)}, {len(y)}")
    return _share_in_balls(x, y, k), _share_in_balls(y, x, k)


def _share_in_balls(x: Array, centres: Array, k: int) -> float:
    """The share of the points x (N, D) in at least one of the balls around `centres` (M, D)."""
    radii = nearest(centres, centres, k + 1)[1][:, k]  # (M,); the nearest is the point itself
    rounding = 1e-13 * (centres.astype(np.float64) ** 2).sum(axis=1)  # of _squared_distances
    blocks = _blocks(len(x), len(centres))
    inside = [(_squared_distances(x[block], centres) <= radii * radii + rounding).any(axis=1) for block in blocks]
    return float(array_module(x).concatenate(inside).mean())


# -- sharpness ---------------------------------------------------------------------------------------------------------


def sharpness(images: Any) -> Array:
    """How sharp the edges in each image are, 0 ... 1: images (N, C, H, W) of floats in [0, 1] -> (N,).

        sum of d^2 / sum of |d|        over the differences d of pixels side by side and one below the other

    This is the mean height of a step, weighted by the height: an edge from black to white that takes n pixels counts
    1/n, however long it is and however many there are. So a binary image has 1 and a blurred one less; an image of one
    colour has 0. Noise counts as edges too. The measure is minigen's own: compare it with that of real images.
    """
    x = raw(images)
    if x.ndim != 4 or x.dtype.kind != "f" or x.size == 0:
        raise ValueError(f"sharpness: expects images (N, C, H, W) of floats in [0, 1], got {x.shape} {x.dtype}")
    xp, x = array_module(x), x.astype(np.float64)
    steps = x[:, :, 1:] - x[:, :, :-1], x[..., 1:] - x[..., :-1]
    heights = xp.abs(xp.concatenate([d.reshape(len(x), -1) for d in steps], axis=1))
    return (heights * heights).sum(axis=1) / xp.maximum(heights.sum(axis=1), 1e-12)


# -- Parzen windows ----------------------------------------------------------------------------------------------------


def parzen_log_prob(test: Any, samples: Any, sigma: float) -> Array:
    """Kernel density estimate: log p(x) in nats of each test image (N, ...), given samples s_m (M, ...), as (N,).

        log p(x) = log 1/M sum_m Normal(x; s_m, sigma^2 I)

    Goodfellow et al. (2014) judged the first GAN by this estimate (225 +- 2 nats on MNIST with pixels in [0, 1]; with
    pixels in [-1, 1] it is 784 log 2 less). It is unreliable: in many dimensions it is far from the
    log-likelihood even with very many samples, and it can rank models wrongly. The centres of k-means, for example,
    score higher than real images (Theis et al. 2016, "A note on the evaluation of generative models", arXiv
    1511.01844).
    """
    x, y = _rows("parzen_log_prob", test, samples)
    if not sigma > 0:
        raise ValueError(f"parzen_log_prob: expects sigma > 0, got {sigma}")
    xp, means = array_module(x), []
    for block in _blocks(len(x), len(y)):
        exponents = _squared_distances(x[block], y) / (-2 * sigma**2)  # (n, M)
        means.append(ops.logsumexp(exponents, axis=1) - math.log(len(y)))
    return xp.concatenate(means) - x.shape[1] * math.log(sigma * math.sqrt(2 * math.pi))


def best_sigma(validation: Any, samples: Any, sigmas: Sequence[float] = ()) -> float:
    """The one of `sigmas` with the highest mean `parzen_log_prob` of the validation images.

    By default there are 20, from 0.05 to 1 in equal ratios. The validation images should be neither the test images
    nor those that the model was trained on.
    """
    candidates = [float(s) for s in (sigmas if len(sigmas) else np.geomspace(0.05, 1, 20))]
    return max(candidates, key=lambda sigma: float(parzen_log_prob(validation, samples, sigma).mean()))


def coverage(data: Any, samples: Any, sigma: float, share: float = 0.95) -> float:
    """The share of the data (M, ...) that a model reaches, from its samples (N, ...): P_data(p_model(x) > c).

    The threshold c is the density that `share` of the model's own samples exceed. A model whose density is that of the
    data has a coverage of `share`. p_model is the Parzen window of one half of the samples with width sigma, and the
    other half gives c (Tolstikhin et al. 2017, arXiv 1701.02386, section 4). `ValueError` unless 0 < share < 1 and
    N >= 2.
    """
    if not 0 < share < 1 or len(samples) < 2:
        raise ValueError(f"coverage: expects 0 < share < 1 and two samples or more, got {share} and {len(samples)}")
    half = len(samples) // 2
    of_data, of_model = (to_numpy(parzen_log_prob(x, samples[:half], sigma)) for x in (data, samples[half:]))
    return float((of_data > np.quantile(of_model, 1 - share)).mean())


# -- modes -------------------------------------------------------------------------------------------------------------


def modes_covered(samples: Any, mixture: GaussianMixture, at_least: int = 1) -> tuple[float, int]:
    """How well `samples` (N, D) cover a mixture of Gaussians: (share of good samples, number of modes covered).

    A sample is good if it lies within three standard deviations of a mode (98.9 % of the mixture's own samples do in
    two dimensions). A mode is covered if it is the nearest one of `at_least` good samples (1 in Srivastava et al.
    2017).
    """
    x = to_numpy(raw(samples)).astype(np.float64)
    dimensions = mixture.means.shape[1]
    if x.ndim != 2 or x.shape[1] != dimensions or len(x) == 0:
        raise ValueError(f"modes_covered: expects samples (N, {dimensions}), got {x.shape}")
    if at_least < 1:
        raise ValueError(f"modes_covered: expects at_least >= 1, got {at_least}")
    deviations = np.linalg.norm(x[:, None] - mixture.means, axis=-1) / mixture.std  # (N, K)
    good = deviations.min(axis=1) <= 3
    counts = np.bincount(deviations.argmin(axis=1)[good], minlength=len(mixture.means))
    return float(good.mean()), int((counts >= at_least).sum())


# -- overlap -----------------------------------------------------------------------------------------------------------


def intersection_over_union(first: Any, second: Any) -> Array:
    """The overlap of two masks: the pixels in both by the pixels in either, of each pair, (N, ...) bool -> (N,).

    It is 1 for equal masks and 0 for disjoint ones; two empty ones are equal. Unlike the share of equal pixels, it is
    not large for masks that are both nearly empty. `ValueError` if shapes differ or a value is not True or False.
    """
    a, b = raw(first), raw(second)
    if a.shape != b.shape or a.ndim < 2 or (a.dtype.kind, b.dtype.kind) != ("b", "b"):
        raise ValueError(
            "intersection_over_union: expects two arrays (N, ...) of True and False, got "
            f"{a.shape} {a.dtype}, {b.shape} {b.dtype}"
        )
    count = lambda mask: mask.reshape(len(mask), -1).sum(axis=1)
    both, either = count(a & b), count(a | b)
    return array_module(a).where(either > 0, both / array_module(a).maximum(either, 1), 1.0)


# -- helpers -----------------------------------------------------------------------------------------------------------


def _rows(name: str, first: Any, second: Any) -> tuple[Array, Array]:
    """Both as matrices (N, D) and (M, D), after a check that they can be compared."""
    x, y = raw(first), raw(second)
    if x.ndim < 2 or x.shape[1:] != y.shape[1:] or 0 in (x.size, y.size):
        raise ValueError(
            f"{name}: expects two arrays (N, ...) and (M, ...) of one shape of images, got {x.shape}, {y.shape}"
        )
    if (x.dtype.kind == "f") != (y.dtype.kind == "f"):
        raise ValueError(f"{name}: expects pixels in the same units, got {x.dtype} and {y.dtype}")
    return x.reshape(len(x), -1), y.reshape(len(y), -1)


def _blocks(count: int, numbers: int) -> Iterator[slice]:
    """Slices that cover `count` rows, each so short that its rows, of `numbers` numbers, fit into `_NUMBERS`."""
    length = max(_NUMBERS // numbers, 1)
    return (slice(start, start + length) for start in range(0, count, length))


def _squared_distances(x: Array, y: Array) -> Array:
    """|x_i - y_j|^2 = |x_i|^2 - 2 x_i y_j + |y_j|^2 in float64: (n, D), (M, D) -> (n, M).

    A matrix product is fast, but a difference of large numbers loses digits where x_i is near y_j.
    """
    xp, x = array_module(x), x.astype(np.float64)
    squares = xp.empty((len(x), len(y)))
    for block in _blocks(len(y), y.shape[1]):
        part = y[block].astype(np.float64)
        squares[:, block] = (part * part).sum(axis=1) - 2 * (x @ part.T)
    return squares + (x * x).sum(axis=1)[:, None]
