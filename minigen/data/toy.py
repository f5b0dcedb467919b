"""Densities in one and two dimensions for the study of GANs: mixtures of Gaussians, whose density is known exactly.

`ring` and `grid` are the usual tests for mode collapse: the ring of 8 from Metz et al., "Unrolled generative
adversarial networks" (2017), the grid of 25 from Srivastava et al., "VEEGAN" (2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minigen.backend import Array, current_dtype, to_numpy
from minigen.backend import device as find_device
from minigen.random import random_generator, separate_random


class GaussianMixture:
    r"""p(x) = sum_k w_k N(x; \mu_k, \sigma_k^2 I), in D dimensions.

    `means` (K, D) are the modes; `std` is one number or (K,); `weights` (K,) are normalised here, and equal if not
    given. Raises `ValueError` if a shape does not fit or a value is not positive.
    """

    def __init__(self, means: Any, std: Any, weights: Any = None) -> None:
        self.means = np.array(means, np.float64)
        if self.means.ndim != 2 or self.means.size == 0:
            raise ValueError(f"GaussianMixture: expects means (K, D), got {self.means.shape}")
        modes = len(self.means)
        self.std = _one_per_mode("std", std, modes)
        self.weights = _one_per_mode("weights", 1.0 if weights is None else weights, modes)
        self.weights /= self.weights.sum()

    def log_prob(self, x: Any) -> np.ndarray:
        """log p(x) in nats, float64: (N, D) -> (N,)."""
        x = np.asarray(to_numpy(x), np.float64)
        dimensions = self.means.shape[1]
        if x.ndim != 2 or x.shape[1] != dimensions:
            raise ValueError(f"log_prob: expects x (N, {dimensions}), got {x.shape}")
        squares = ((x[:, None, :] - self.means) ** 2).sum(axis=-1)  # (N, K)
        log_normal = -squares / (2 * self.std**2) - dimensions * np.log(self.std * math.sqrt(2 * math.pi))
        return np.logaddexp.reduce(np.log(self.weights) + log_normal, axis=1)

    def sample(self, n: int) -> np.ndarray:
        """`n` samples (n, D) of the default dtype."""
        generator = random_generator()
        k = generator.choice(len(self.means), size=n, p=self.weights)
        noise = generator.standard_normal((n, self.means.shape[1]))
        return (self.means[k] + self.std[k, None] * noise).astype(current_dtype())


class WeightedPoints:
    """The distribution of given points (N, D), each drawn with its own probability.

    `weights` (N,) are normalised here, and equal if not given. Raises `ValueError` if they do not fit.
    """

    def __init__(self, points: Any, weights: Any = None) -> None:
        self.points = to_numpy(points)
        self.weights = np.ones(len(self.points)) if weights is None else np.asarray(weights, np.float64)
        fits = self.weights.shape == self.points.shape[:1] and (self.weights >= 0).all() and self.weights.sum() > 0
        if not fits:
            raise ValueError(f"WeightedPoints: expects weights >= 0, one for each point, got {self.weights}")
        self.weights = self.weights / self.weights.sum()

    def sample(self, n: int) -> np.ndarray:
        """`n` of the points (n, D), with replacement, of the default dtype."""
        index = random_generator().choice(len(self.points), size=n, p=self.weights)
        return self.points[index].astype(current_dtype())


class Draws:
    """New samples from a density, in the form of a `Loader`: an epoch has `batches` batches (x (batch_size, D), zeros).

    All random numbers of batch b of epoch e depend on (seed, e, b) alone.
    """

    def __init__(self, density: GaussianMixture | WeightedPoints, batch_size: int, batches: int, seed: int = 0) -> None:
        if min(batch_size, batches) < 1 or seed < 0:
            raise ValueError(
                f"Draws: expects batch_size and batches >= 1 and seed >= 0, got {batch_size}, {batches}, {seed}"
            )
        self.density, self.batch_size, self.batches, self.seed = density, batch_size, batches, seed
        self.device = find_device()

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Array, Array]]:
        """The batches of epoch number `epoch`, from batch number `start` on."""
        labels = self.device.asarray(np.zeros(self.batch_size, np.int64))
        for b in range(start, self.batches):
            with separate_random(self.seed, "batch", epoch, b):
                x = self.density.sample(self.batch_size)
            yield self.device.asarray(x), labels


def bimodal(distance: float = 4.0, std: float = 0.5) -> GaussianMixture:
    """Two equal Gaussians on a line, `distance` apart around 0."""
    return GaussianMixture([[-distance / 2], [distance / 2]], std)


def ring(modes: int = 8, radius: float = 2.0, std: float = 0.02) -> GaussianMixture:
    """`modes` equal Gaussians, evenly spaced on a circle around 0."""
    angles = 2 * math.pi * np.arange(modes) / modes
    return GaussianMixture(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), std)


def grid(side: int = 5, spacing: float = 2.0, std: float = 0.05) -> GaussianMixture:
    """`side` x `side` equal Gaussians on a square grid around 0, `spacing` apart."""
    ticks = spacing * (np.arange(side) - (side - 1) / 2)
    return GaussianMixture([(x, y) for x in ticks for y in ticks], std)


def _one_per_mode(what: str, values: Any, modes: int) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.shape not in ((), (modes,)) or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"GaussianMixture: expects {what} to be positive, one number or ({modes},), got {values}")
    return np.broadcast_to(values, (modes,)).copy()
