"""Layers that normalise: over a batch, over an example, or over each channel of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen import ops
from minigen.autograd import Tensor
from minigen.backend import Array, Shape, current_dtype, device
from minigen.kernels import kernel
from minigen.nn.init import check_sizes, constant
from minigen.nn.module import Module
from minigen.processes import present_part


class _BatchNorm(Module):
    """Normalise each channel to mean 0 and variance 1 over the batch, then scale and shift it: `ops.batch_norm`.

    In training, the running statistics move towards the batch's, unless the module is `frozen`. In evaluation, they are
    used in place of the batch's, so that the result for one example does not depend on the others. Where several
    processes divide a batch (`train.parallel`), the statistics are those of the whole batch.

    momentum               the weight of the new batch in them; None makes them the mean over all batches so far
    affine                 whether there is a weight and a bias
    track_running_stats    whether there are running statistics; without them, evaluation uses the batch's too

    Ioffe and Szegedy (2015, arXiv 1502.03167).
    """

    dimensions: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        check_sizes(type(self).__name__, num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.track_running_stats = track_running_stats
        self.weight = constant((num_features,), 1.0) if affine else None
        self.bias = constant((num_features,), 0.0) if affine else None
        if track_running_stats:
            xp = device().module
            self.running_mean = Tensor(xp.zeros(num_features, dtype=current_dtype()))
            self.running_var = Tensor(xp.ones(num_features, dtype=current_dtype()))
            self.num_batches_tracked = Tensor(xp.zeros((), dtype=np.int64))

    def forward(self, x: Any) -> Any:
        if x.ndim not in self.dimensions:
            raise ValueError(
                f"{type(self).__name__}: expects {' or '.join(map(str, self.dimensions))} axes, got {x.shape}"
            )
        if x.shape[1] != self.num_features:
            raise ValueError(f"{type(self).__name__}: expects {self.num_features} channels, got {x.shape}")
        if self.track_running_stats and not self.training:
            return ops.normalize(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        part = present_part()
        y, mean, var = ops.batch_norm(x, self.weight, self.bias, eps=self.eps, part=part)
        if self.track_running_stats and not self.frozen:
            n = x.size // x.shape[1]
            n = n if part is None else part.whole(n)
            self._track(mean.data, var.data, n / (n - 1))  # the running variance averages unbiased estimates
        return y

    def _track(self, mean: Array, var: Array, factor: float) -> None:
        """running = (1 - momentum) running + momentum batch; a momentum of 1 / number of batches gives their mean."""
        self.num_batches_tracked.data += 1
        momentum = self.momentum
        if momentum is None:
            momentum = (1.0 / self.num_batches_tracked.data).astype(mean.dtype)
        running_mean, running_var = self.running_mean.data, self.running_var.data
        _average(mean, var, momentum, factor, running_mean, running_var)
        self.running_mean.data, self.running_var.data = running_mean, running_var  # tells the tape that they changed

    def extra_repr(self) -> str:
        return f"{self.num_features}"


@kernel(
    "T mean, T var, T momentum, T factor",
    "T running_mean, T running_var",
    "running_mean += momentum * (mean - running_mean); running_var += momentum * (var * factor - running_var)",
)
def _average(mean: Array, var: Array, momentum: Any, factor: float, running_mean: Array, running_var: Array) -> None:
    running_mean += momentum * (mean - running_mean)
    running_var += momentum * (var * factor - running_var)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of x (N, C) or (N, C, L)."""

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images x (N, C, H, W)."""

    dimensions = (4,)


class LayerNorm(Module):
    """Normalise each example to mean 0 and variance 1 over its last axes, then scale and shift it: `ops.layer_norm`.

    normalized_shape      the lengths of these axes, or the length of the last one
    elementwise_affine    whether there is a weight for each value of an example, and, with `bias`, a bias

    Ba, Kiros and Hinton (2016, arXiv 1607.06450).
    """

    def __init__(
        self, normalized_shape: int | Shape, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        for length in shape:
            check_sizes("LayerNorm", normalized_shape=length)
        self.normalized_shape, self.eps = shape, eps
        self.weight = constant(shape, 1.0) if elementwise_affine else None
        self.bias = constant(shape, 0.0) if elementwise_affine and bias else None

    def forward(self, x: Any) -> Any:
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}"


class InstanceNorm2d(Module):
    """Normalise each channel of each image to mean 0 and variance 1 over its pixels: `ops.instance_norm`.

    affine    whether it is then scaled and shifted, by a weight and a bias for each channel

    Training and evaluation are the same: there are no running statistics. Ulyanov et al. (2016, arXiv 1607.08022).
    """

    def __init__(self, num_features: int, eps: float = 1e-5, *, affine: bool = False) -> None:
        check_sizes("InstanceNorm2d", num_features=num_features)
        self.num_features, self.eps = num_features, eps
        self.weight = constant((num_features,), 1.0) if affine else None
        self.bias = constant((num_features,), 0.0) if affine else None

    def forward(self, x: Any) -> Any:
        if x.ndim != 4 or x.shape[1] != self.num_features:
            raise ValueError(f"InstanceNorm2d: expects x (N, {self.num_features}, H, W), got {x.shape}")
        return ops.instance_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}"
