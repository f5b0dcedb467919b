"""Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen import ops
from minigen.autograd import Tensor
from minigen.backend import current_dtype, device
from minigen.nn.init import constant
from minigen.nn.module import Module


class _BatchNorm(Module):
    """Each channel to mean 0 and variance 1 over the batch, then scaled and shifted: `ops.batch_norm`.

    In evaluation the running statistics take the batch's place, so the result for one example does not depend on
    the others. `frozen` keeps them as they are.
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
        untouched = self.training and self.frozen
        running = (None, None) if untouched else (self.running_mean, self.running_var)
        y = ops.batch_norm(
            x, self.weight, self.bias, *running, training=self.training, momentum=self.momentum, eps=self.eps
        )
        if self.training and not untouched:
            self.num_batches_tracked.data += 1
        return y

    def extra_repr(self) -> str:
        return f"{self.running_mean.shape[0]}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of x (N, C) or (N, C, L)."""

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images x (N, C, H, W)."""

    dimensions = (4,)
