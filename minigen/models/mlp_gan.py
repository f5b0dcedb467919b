"""The fully connected networks of the first GAN (Goodfellow et al. 2014, arXiv 1406.2661, section 5).

    GAN(MLPGenerator((1, 28, 28)), MLPDiscriminator((1, 28, 28)))

With `classes`, each label is appended to the input as a one-hot vector (Mirza and Osindero 2014, arXiv 1411.1784).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from minigen import nn, ops
from minigen.backend import Shape
from minigen.models.labels import with_labels


class MLPGenerator(nn.Module):
    """z (N, latent_dim) -> (N, *shape) through hidden ReLU layers; with `tanh` the outputs lie in [-1, 1].

    With `batch_norm`, the hidden layers are normalised.
    """

    def __init__(
        self,
        shape: Shape,
        latent_dim: int = 100,
        hidden: int = 256,
        layers: int = 2,
        classes: int | None = None,
        tanh: bool = True,
        batch_norm: bool = False,
    ) -> None:
        self.latent_dim, self.classes = latent_dim, classes
        sizes = [latent_dim + (classes or 0)] + [hidden] * layers
        parts: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            parts += [nn.Linear(inputs, outputs), *([nn.BatchNorm1d(outputs)] * batch_norm), nn.ReLU()]
        parts += [nn.Linear(sizes[-1], math.prod(shape)), nn.Unflatten(tuple(shape))]
        self.net = nn.Sequential(*parts, *([nn.Tanh()] if tanh else []))

    def forward(self, z: Any, labels: Any = None) -> Any:
        return self.net(with_labels(z, labels, self.classes))


class MLPDiscriminator(nn.Module):
    """x (N, *shape) -> logits (N,) through hidden maxout layers with dropout."""

    def __init__(
        self,
        shape: Shape,
        hidden: int = 240,
        layers: int = 2,
        pieces: int = 5,
        dropout: float = 0.5,
        classes: int | None = None,
    ) -> None:
        self.classes = classes
        sizes = [math.prod(shape) + (classes or 0)] + [hidden] * layers
        parts: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            parts += [Maxout(inputs, outputs, pieces), nn.Dropout(dropout)]
        self.net = nn.Sequential(*parts, nn.Linear(sizes[-1], 1))

    def forward(self, x: Any, labels: Any = None) -> Any:
        flat = ops.reshape(x, (x.shape[0], -1))
        return ops.reshape(self.net(with_labels(flat, labels, self.classes)), (-1,))


class Maxout(nn.Module):
    """For each output, the maximum of `pieces` linear functions (Goodfellow et al. 2013, arXiv 1302.4389)."""

    def __init__(self, in_features: int, out_features: int, pieces: int) -> None:
        self.linear = nn.Linear(in_features, out_features * pieces)
        self.pieces = pieces

    def forward(self, x: Any) -> Any:
        y = self.linear(x)  # (N, pieces out_features)
        return ops.max(ops.reshape(y, (len(y), self.pieces, -1)), axis=1)
