"""Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen import ops
from minigen.autograd import Tensor
from minigen.backend import Array, current_dtype, device
from minigen.nn.init import constant
from minigen.nn.module import Module


class _BatchNorm(Module):
    """Each channel to mean 0 and variance 1 over the batch, then scaled and shifted: `ops.batch_norm`.

    In training the running statistics move towards the batch's by `momentum`, unless the module is `frozen`. In
    evaluation they take the batch's place, so that the result for one example does not depend on the others.
    """

    dimensions: tuple[int, ...] = ()

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True) -> None:
        self.eps, self.momentum = eps, momentum
        self.weight = constant((num_features,), 1.0) if affine else None
        self.bias = constant((num_features,), 0.0) if affine else None
        xp = device().module
        self.running_mean = Tensor(xp.zeros(num_features, dtype=current_dtype()))
        self.running_var = Tensor(xp.ones(num_features, dtype=current_dtype()))
        self.num_batches_tracked = Tensor(xp.zeros((), dtype=np.int64))

    def forward(self, x: Any) -> Any:
        if x.ndim not in self.dimensions:
            raise ValueError(
                f"{type(self).__name__}: takes {' or '.join(map(str, self.dimensions))} axes, got {x.shape}"
            )
        if x.shape[1] != self.running_mean.size:
            raise ValueError(f"{type(self).__name__}: expects {self.running_mean.size} channels, got {x.shape}")
        if not self.training:
            return ops.normalize(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        y, mean, var = ops.batch_norm(x, self.weight, self.bias, eps=self.eps)
        if not self.frozen:
            n = x.size // x.shape[1]
            self._track(mean.data, var.data * (n / (n - 1)))  # the running variance is of the unbiased ones
        return y

    def _track(self, mean: Array, var: Array) -> None:
        """running = (1 - momentum) running + momentum batch"""
        self.running_mean.data += self.momentum * (mean - self.running_mean.data)
        self.running_var.data += self.momentum * (var - self.running_var.data)
        self.num_batches_tracked.data += 1

    def extra_repr(self) -> str:
        return f"{self.running_mean.shape[0]}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of x (N, C) or (N, C, L)."""

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images x (N, C, H, W)."""

    dimensions = (4,)
