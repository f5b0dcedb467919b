"""How good samples are: beside the training images, by their density, and in the eyes of a classifier.

No figure is enough by itself: a model that copies the training set passes all but `nearest`. Images and features are
arrays of NumPy or CuPy, or tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minigen import ops
from minigen.autograd import no_grad, raw
from minigen.backend import Array, array_module, to_numpy
from minigen.models.classifier import Classifier
from minigen.nn.module import evaluating

_NUMBERS = 1 << 22  # that are held at a time: 32 MB


# -- in the space of pixels --------------------------------------------------------------------------------------------


def nearest(samples: Any, images: Any, k: int = 1) -> tuple[Array, Array]:
    """The `k` images that are nearest to each sample: their indices and Euclidean distances, (N, k), nearest first.

    samples (N, ...) and images (M, ...) in the same units. Samples that show more than their nearest training images
    are no copies of them (the lecture's figure; Goodfellow et al. 2014, figure 2).
    """
    x, y = _rows("nearest", samples, images)
    if not 1 <= k <= len(y):
        raise ValueError(f"nearest: takes k = 1 ... {len(y)}, the number of images, got {k}")
    xp, indices, distances = array_module(x), [], []
    for block in _blocks(len(x), max(len(y), k * x.shape[1])):
        squares = _squared_distances(x[block], y)
        chosen = []
        for _ in range(k):
            chosen.append(squares.argmin(axis=1))
            squares[xp.arange(len(squares)), chosen[-1]] = math.inf
        index = xp.stack(chosen, axis=1)  # (n, k)
        difference = x[block][:, None].astype(np.float64) - y[index]  # (n, k, D): once more, without cancellation
        distance = xp.sqrt((difference * difference).sum(axis=2))
        order = distance.argsort(axis=1)
        indices.append(xp.take_along_axis(index, order, axis=1))
        distances.append(xp.take_along_axis(distance, order, axis=1))
    return xp.concatenate(indices), xp.concatenate(distances)


def parzen_log_prob(test: Any, samples: Any, sigma: float) -> Array:
    """log p(x) in nats of each test image, (N,), under a Gaussian of standard deviation `sigma` around each sample.

        log p(x) = log 1/M sum_m Normal(x; s_m, sigma^2 I)

    The estimate of Breuleux et al. (2011), by which Goodfellow et al. (2014) judged the first GAN (225 +- 2 nats on
    MNIST with pixels in [0, 1]; in [-1, 1] it is 784 log 2 less). Nobody should trust it: in many dimensions it is far
    from the log-likelihood however many samples are drawn, and it ranks models wrongly; the centres of k-means score
    higher than the real images (Theis et al. 2016, "A note on the evaluation of generative models", arXiv 1511.01844).
    """
    x, y = _rows("parzen_log_prob", test, samples)
    if not sigma > 0:
        raise ValueError(f"parzen_log_prob: takes sigma > 0, got {sigma}")
    xp, means = array_module(x), []
    for block in _blocks(len(x), len(y)):
        exponents = _squared_distances(x[block], y) / (-2 * sigma**2)  # (n, M)
        means.append(ops.logsumexp(exponents, axis=1) - math.log(len(y)))
    return xp.concatenate(means) - x.shape[1] * math.log(sigma * math.sqrt(2 * math.pi))


def best_sigma(validation: Any, samples: Any, sigmas: Sequence[float] = ()) -> float:
    """Of `sigmas` (default: 20 from 0.05 to 1, in equal ratios) the one with the highest `parzen_log_prob`.

    The mean over images that are neither the test images nor those that the model was trained on.
    """
    candidates = [float(s) for s in (sigmas if len(sigmas) else np.geomspace(0.05, 1, 20))]
    return max(candidates, key=lambda sigma: float(parzen_log_prob(validation, samples, sigma).mean()))


def _rows(name: str, first: Any, second: Any) -> tuple[Array, Array]:
    """Both as matrices (N, D), after checking that they can be compared."""
    x, y = raw(first), raw(second)
    if x.ndim < 2 or x.shape[1:] != y.shape[1:] or 0 in (x.size, y.size):
        raise ValueError(
            f"{name}: takes two arrays (N, ...) and (M, ...) of one shape of images, got {x.shape}, {y.shape}"
        )
    if (x.dtype.kind == "f") != (y.dtype.kind == "f"):
        raise ValueError(f"{name}: takes pixels in the same units, got {x.dtype} and {y.dtype}")
    return x.reshape(len(x), -1), y.reshape(len(y), -1)


def _blocks(count: int, numbers: int) -> Iterator[slice]:
    """Slices that cover `count` rows, each so short that `numbers` numbers a row fit into memory."""
    length = max(_NUMBERS // numbers, 1)
    return (slice(start, start + length) for start in range(0, count, length))


def _squared_distances(x: Array, y: Array) -> Array:
    """|x_i - y_j|^2 = |x_i|^2 - 2 x_i y_j + |y_j|^2 in float64: (n, D), (M, D) -> (n, M)."""
    xp, x = array_module(x), x.astype(np.float64)
    squares = xp.empty((len(x), len(y)))
    for block in _blocks(len(y), y.shape[1]):
        part = y[block].astype(np.float64)
        squares[:, block] = (part * part).sum(axis=1) - 2 * (x @ part.T)
    return squares + (x * x).sum(axis=1)[:, None]


# -- in the space of a classifier's features ---------------------------------------------------------------------------


def frechet_distance(features_a: Any, features_b: Any) -> float:
    """The Frechet distance of two sets of features (N, D) and (M, D), each taken for a Gaussian (Heusel et al. 2017).

        |m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2))

    with the means m and covariances C: the squared Wasserstein-2 distance of the two Gaussians. It is biased upwards
    for small samples, so compare only distances that were computed with as many.
    """
    a, b = (to_numpy(raw(x)).astype(np.float64) for x in (features_a, features_b))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"frechet_distance: takes (N, D) and (M, D) with N, M >= 2, got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("frechet_distance: takes finite features, got NaN or infinity")
    difference = a.mean(axis=0) - b.mean(axis=0)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    # C_a C_b has the eigenvalues of (A B)(A B)^T, where A and B are the roots of C_a and C_b: the trace of its root is
    # the sum of the singular values of A B.
    trace = np.linalg.svd(_root(cov_a) @ _root(cov_b), compute_uv=False).sum()
    return float(max(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * trace, 0.0))


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root; eigenvalues that rounding made negative, where features are dependent, are zero."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def class_shares(probabilities: Any) -> Array:
    """The share of each class, (K,), among samples with class probabilities (N, K): each counts for its likeliest."""
    p = raw(probabilities)
    return array_module(p).bincount(p.argmax(axis=1), minlength=p.shape[1]) / len(p)


def confident_share(probabilities: Any, above: float = 0.9) -> float:
    """The share of samples, with class probabilities (N, K), whose likeliest class has a probability over `above`."""
    return float((raw(probabilities).max(axis=1) > above).mean())


@no_grad()
def features_and_probabilities(classifier: Classifier, images: Any) -> tuple[np.ndarray, np.ndarray]:
    """What the classifier in evaluation mode makes of images (N, C, H, W): (N, features) and (N, classes)."""
    images, features, probabilities = raw(images), [], []
    with evaluating(classifier):
        for start in range(0, len(images), 500):
            x = classifier.features(classifier.device.asarray(images[start : start + 500]))
            features.append(x.numpy())
            probabilities.append(ops.softmax(classifier.head(x), axis=1).numpy())
    return np.concatenate(features), np.concatenate(probabilities)


def report_on(samples: Any, classifier: Classifier, real: Any) -> dict[str, Any]:
    """What a classifier says of samples (N, C, H, W), beside what it says of real test images; pixels in [-1, 1].

    frechet, floor              the Frechet distance of samples to half of the real images, and that of the other half:
                                what perfect samples would get. All three are sets of `compared` images, because the
                                distance depends on how many there are
    shares                      of each class among the samples, a list
    confident, confident_real   the share of samples, and of real images, that the classifier is over 0.9 sure of

    `real` should not be images that the classifier or the generator was trained on.
    """
    samples, real = raw(samples), raw(real)
    if real.min() >= 0 or max(abs(x).max() for x in (samples, real)) > 1.001:
        ranges = [f"{float(x.min()):.4g} ... {float(x.max()):.4g}" for x in (samples, real)]
        raise ValueError(f"report_on: takes pixels in [-1, 1], got samples in {ranges[0]}, real images in {ranges[1]}")
    features, probabilities = features_and_probabilities(classifier, samples)
    real_features, real_probabilities = features_and_probabilities(classifier, real)
    n = min(len(features), len(real_features) // 2)
    half, other = real_features[0 : 2 * n : 2], real_features[1 : 2 * n : 2]
    return {
        "frechet": frechet_distance(features[:n], half),
        "floor": frechet_distance(other, half),
        "compared": n,
        "shares": class_shares(probabilities).tolist(),
        "confident": confident_share(probabilities),
        "confident_real": confident_share(real_probabilities),
    }
