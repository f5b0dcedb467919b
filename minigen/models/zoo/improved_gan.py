"""Improved GAN, section 3.2 alone: minibatch discrimination (Salimans et al. 2016, arXiv 1606.03498).

Idea: a discriminator that sees one sample at a time cannot know that all samples are alike. Let it see the batch.

A tensor T maps the features f(x_i) of each example to a matrix M_i with a row for each kernel b. D gets, beside the
features, how close the example is to the others of its batch:

    o_b(x_i) = sum over j != i of exp(-|M_ib - M_jb|_1)

Data and samples go through D in batches of their own, so that collapsed samples have large o, and D rejects them.

What differs from a plain GAN: one layer before D's last. The paper's other techniques: one-sided label smoothing is in
`models.Tricks`, averaged weights are `optim.WeightEMA`; feature matching, virtual batch normalisation and learning with
few labels are not here yet.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.backend import Shape
from minigen.models.mlp_gan import MLPDiscriminator


class MinibatchDiscrimination(nn.Module):
    """f (N, features) -> (N, features + kernels): the features, and the closeness o to the rest of the batch.

    It takes N^2 x kernels x size numbers of memory.
    """

    def __init__(self, features: int, kernels: int = 100, size: int = 5) -> None:
        self.kernels, self.size = kernels, size
        self.linear = nn.Linear(features, kernels * size, bias=False)  # T

    def forward(self, f: Any) -> Any:
        n = len(f)
        m = ops.reshape(self.linear(f), (n, self.kernels, self.size))
        differences = ops.expand_dims(m, 0) - ops.expand_dims(m, 1)  # (N, N, kernels, size)
        close = ops.exp(-ops.sum(ops.abs(differences), axis=3))  # (N, N, kernels)
        return ops.concat([f, ops.sum(close, axis=1) - 1.0], axis=1)  # 1: each example is close to itself


class MinibatchDiscriminator(MLPDiscriminator):
    """x (N, *shape) -> logits (N,): an `MLPDiscriminator` with minibatch discrimination before its last layer."""

    def __init__(
        self, shape: Shape, hidden: int = 240, layers: int = 2, pieces: int = 5, kernels: int = 100, size: int = 5
    ) -> None:
        super().__init__(shape, hidden, layers, pieces, dropout=0.0)
        *trunk, _ = self.net
        self.net = nn.Sequential(*trunk, MinibatchDiscrimination(hidden, kernels, size), nn.Linear(hidden + kernels, 1))
