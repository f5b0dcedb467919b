r"""Divergences of two known densities, and the discriminator that is optimal for them: the theory of GANs in numbers.

A density is given by its logarithm at the points of a grid, an array of any shape; `cell` is the volume that each
point stands for. With `cell` 1 these are the log-probabilities of a discrete distribution. Divergences are in nats.
`ValueError` if arrays have different shapes, or if a density does not integrate to 1.

>>> x, cell = integration_grid(-10, 10, 2000)
>>> jensen_shannon_divergence(toy.bimodal().log_prob(x), toy.bimodal(5.0).log_prob(x), cell)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.autograd import raw
from minigen.backend import to_numpy


def integration_grid(low: float, high: float, n: int, dimensions: int = 1) -> tuple[np.ndarray, float]:
    """The centres (n^D, D) of n^D equal cells that fill the cube [low, high]^D, and the volume of one.

    The sum of a function's values at the points, times that volume, is its integral (midpoint rule); it is very
    accurate for a smooth density that is zero at the borders.
    """
    if not (low < high and n >= 1 and dimensions >= 1):
        raise ValueError(
            f"integration_grid: expects low < high, n >= 1 and dimensions >= 1, got {low}, {high}, {n}, {dimensions}"
        )
    side = (high - low) / n
    line = low + side * (np.arange(n) + 0.5)
    points = np.stack(np.meshgrid(*[line] * dimensions, indexing="ij"), axis=-1)
    return points.reshape(-1, dimensions), side**dimensions


@np.errstate(invalid="ignore")  # of -inf - -inf, where both densities are 0
def kl_divergence(log_p: Any, log_q: Any, cell: float = 1.0) -> float:
    r"""KL(p || q) = \int p log(p / q), with 0 log 0 = 0; infinite if q is zero where p is not."""
    p, q = _densities("kl_divergence", cell, log_p, log_q)
    return _expectation(p, p - q, cell)


@np.errstate(invalid="ignore")
def jensen_shannon_divergence(log_p: Any, log_q: Any, cell: float = 1.0) -> float:
    """JSD(p || q) = KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2 (the lecture, definition 1).

    It is symmetric, 0 for p = q, and log 2 if p and q do not overlap.
    """
    p, q = _densities("jensen_shannon_divergence", cell, log_p, log_q)
    m = np.logaddexp(p, q) - math.log(2)
    return (_expectation(p, p - m, cell) + _expectation(q, q - m, cell)) / 2


@np.errstate(invalid="ignore")
def optimal_discriminator(log_p_data: Any, log_p_g: Any) -> np.ndarray:
    """D*(x) = p_data(x) / (p_data(x) + p_g(x)) = sigmoid(log p_data(x) - log p_g(x)).

    Goodfellow et al. 2014, proposition 1 (the lecture, proposition 2). Where both densities are zero any D is optimal;
    here it is 1/2. The log-densities may be given at any points, and need not be normalised.
    """
    p, q = (_float64(x) for x in (log_p_data, log_p_g))
    if p.shape != q.shape:
        raise ValueError(f"optimal_discriminator: expects two arrays of one shape, got {p.shape} and {q.shape}")
    return np.where(np.isneginf(p) & np.isneginf(q), 0.5, np.exp(-np.logaddexp(0, q - p)))


@np.errstate(invalid="ignore")
def value_function(log_p_data: Any, log_p_g: Any, logits: Any, cell: float = 1.0) -> float:
    r"""V(G, D) = \int p_data log D + p_g log(1 - D) for the discriminator D = sigmoid(logits) at the grid's points.

    The optimal one has logits log p_data - log p_g, and V(G, D*) = -log 4 + 2 JSD(p_data || p_g).
    """
    p, q, s = _densities("value_function", cell, log_p_data, log_p_g, logits)
    real = _expectation(p, -np.logaddexp(0, -s), cell)  # log sigmoid(s)
    return real + _expectation(q, -np.logaddexp(0, s), cell)  # log(1 - sigmoid(s))


def wasserstein_1d(a: Any, b: Any) -> float:
    r"""The exact Wasserstein-1 distance of two samples (N,) and (M,) on a line: \int |F_a(x) - F_b(x)| dx.

    F(x) is the share of a sample that is at most x. For N = M this is the mean distance between the sorted samples,
    each paired with the one of the same rank. Samples may also be (N, 1).
    """
    a, b = (_one_sample(x) for x in (a, b))
    x = np.sort(np.concatenate([a, b]))
    share = lambda sample: np.searchsorted(np.sort(sample), x[:-1], side="right") / len(sample)
    return float(np.abs(share(a) - share(b)) @ np.diff(x))


def wasserstein_1d_of_densities(log_p: Any, log_q: Any, cell: float) -> float:
    r"""The Wasserstein-1 distance \int |F_p(x) - F_q(x)| dx of two densities on a line, at N points `cell` apart."""
    p, q = _densities("wasserstein_1d_of_densities", cell, log_p, log_q)
    if p.ndim != 1:
        raise ValueError(f"wasserstein_1d_of_densities: expects densities on a line (N,), got {p.shape}")
    return float(np.abs(np.cumsum(np.exp(p) - np.exp(q))).sum() * cell**2)


def _float64(x: Any) -> np.ndarray:
    return to_numpy(raw(x)).astype(np.float64)


def _densities(name: str, cell: float, *arrays: Any) -> list[np.ndarray]:
    """The arrays in float64. The first two are log-densities and must integrate to 1; all must have one shape."""
    result = [_float64(x) for x in arrays]
    if len({x.shape for x in result}) > 1:
        raise ValueError(f"{name}: expects arrays of one shape, got {' and '.join(str(x.shape) for x in result)}")
    for log_density in result[:2]:
        mass = float(np.exp(log_density).sum() * cell)
        if not abs(mass - 1) < 1e-3:
            raise ValueError(f"{name}: a density must integrate to 1, got {mass:.4g}: is the grid too small or coarse?")
    return result


@np.errstate(invalid="ignore")
def _expectation(log_p: np.ndarray, f: np.ndarray, cell: float) -> float:
    r"""\int p f, with 0 f = 0 even where f is infinite or NaN."""
    p = np.exp(log_p)
    return float(np.where(p > 0, p * f, 0).sum() * cell)


def _one_sample(x: Any) -> np.ndarray:
    x = _float64(x)
    if x.size == 0 or x.shape not in ((x.size,), (x.size, 1)):
        raise ValueError(f"wasserstein_1d: expects samples (N,) or (N, 1), got {x.shape}")
    return x.reshape(-1)
