"""Probability distributions of tensors whose elements are independent random variables.

`log_prob` gives a value in nats for each element; the model sums these over the axes of one example.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from minigen import ops
from minigen.autograd import Tensor, raw
from minigen.backend import Array, Shape, array_module
from minigen.random import normal, uniform


def bits_per_dim(nats: float, image_shape: Shape) -> float:
    """Bits per dimension, nats / (C H W log 2), of an image (C, H, W) with -log p(x) = `nats`."""
    return nats / (math.prod(image_shape) * math.log(2))


def _noise(draw: Any, like: Tensor) -> Array:
    return draw(like.shape, dtype=like.dtype, device=like.device)


def _check_same_shape(name: str, x: Any, parameter: Tensor) -> None:
    if x.shape != parameter.shape:
        raise ValueError(f"{name}.log_prob: x is {x.shape} but the distribution is {parameter.shape}")


class Distribution(Protocol):
    """The interface of all distributions. All tensors have the shape of the parameters."""

    @property
    def mean(self) -> Tensor:
        """The expected value of each element."""

    def log_prob(self, x: Any) -> Tensor:
        """log p(x) of each element, in nats. `ValueError` if x has another shape than the parameters."""

    def sample(self) -> Tensor:
        """One draw of each element."""


class Bernoulli:
    """The Bernoulli distribution: 1 with probability sigmoid(logits), otherwise 0."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        return ops.sigmoid(self.logits)

    def log_prob(self, x: Any) -> Tensor:
        return -ops.binary_cross_entropy_with_logits(self.logits, x, reduction="none")

    def sample(self) -> Tensor:
        ones = _noise(uniform, self.logits) < self.mean.data
        return Tensor(self.logits.device.asarray(ones, self.logits.dtype))


class Normal:
    """The normal distribution with mean and log_var = log(std^2). `ValueError` unless both have one shape."""

    def __init__(self, mean: Tensor, log_var: Tensor) -> None:
        if mean.shape != log_var.shape:
            raise ValueError(f"Normal: mean is {mean.shape} but log_var is {log_var.shape}")
        self.mean, self.log_var = mean, log_var

    @property
    def std(self) -> Tensor:
        return ops.exp(0.5 * self.log_var)

    def log_prob(self, x: Any) -> Tensor:
        """-((x - mean)^2 / var + log var + log 2 pi) / 2"""
        _check_same_shape("Normal", x, self.mean)
        return -0.5 * (ops.square(x - self.mean) * ops.exp(-self.log_var) + self.log_var + math.log(2 * math.pi))

    def sample(self) -> Tensor:
        """mean + std noise, so that gradients flow to mean and std: the reparameterization trick."""
        return self.mean + self.std * Tensor(_noise(normal, self.mean))

    def kl_to_standard(self) -> Tensor:
        """KL(self || Normal(0, 1)) = (mean^2 + var - 1 - log var) / 2 of each element, in nats.

        Kingma and Welling 2014 (arXiv 1312.6114), appendix B.
        """
        return 0.5 * (ops.square(self.mean) + ops.exp(self.log_var) - 1.0 - self.log_var)


class DiscretizedLogistic:
    """The discretized logistic distribution, of integers 0 ... levels - 1.

    The interval [-1, 1] is divided into bins, one around each level k, with its centre at 2 k / (levels - 1) - 1. p(k)
    is the mass of a logistic distribution in that bin: F(upper edge) - F(lower edge), F(v) = sigmoid((v - mean) /
    scale). The first and the last bin reach to infinity (Salimans et al. 2017, arXiv 1701.05517, section 2.1).

    `ValueError` unless mean and log_scale have one shape and there are 2 levels or more.
    """

    def __init__(self, mean: Tensor, log_scale: Tensor, levels: int = 256) -> None:
        if mean.shape != log_scale.shape:
            raise ValueError(f"DiscretizedLogistic: mean is {mean.shape} but log_scale is {log_scale.shape}")
        if levels < 2:
            raise ValueError(f"DiscretizedLogistic: expects levels >= 2, got {levels}")
        self.centre, self.log_scale, self.levels = mean, log_scale, levels

    @property
    def mean(self) -> Tensor:
        """The mean of the logistic distribution, as a level 0 ... levels - 1 that need not be an integer."""
        return ops.clip((self.centre + 1.0) * (0.5 * (self.levels - 1)), 0, self.levels - 1)

    def log_prob(self, x: Any) -> Tensor:
        """log p(x) for integers x.

        With a and b the logits of the bin's edges, sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - e^(a - b)),
        and the logarithm of each factor neither overflows nor underflows. For small t, that is for wide distributions,
        1 - e^-t = 2 tanh(t/2) / (1 + tanh(t/2)) avoids a difference of nearly equal numbers.
        """
        k = raw(x)
        _check_same_shape("DiscretizedLogistic", k, self.centre)
        half_bin = 1.0 / (self.levels - 1)
        centred = (k.astype(self.centre.dtype) * (2 * half_bin) - 1.0) - self.centre
        inverse_scale = ops.exp(-self.log_scale)
        below = -ops.softplus(-(centred + half_bin) * inverse_scale)  # log sigmoid(b)
        above = -ops.softplus((centred - half_bin) * inverse_scale)  # log sigmoid(-a)
        tanh = ops.tanh(half_bin * inverse_scale)
        width = ops.log(tanh) - ops.log1p(tanh) + math.log(2)
        first, last = k == 0, k == self.levels - 1
        return ops.where(first, 0.0, above) + ops.where(last, 0.0, below) + ops.where(first | last, 0.0, width)

    def sample(self) -> Tensor:
        """The inverse of F at uniform noise, rounded to the nearest level."""
        xp, top = array_module(self.centre.data), self.levels - 1
        u = xp.clip(_noise(uniform, self.centre), 1e-5, 1 - 1e-5)
        value = self.centre.data + xp.exp(self.log_scale.data) * (xp.log(u) - xp.log1p(-u))
        return Tensor(self.centre.device.asarray(xp.clip(xp.round((value + 1.0) * (0.5 * top)), 0, top)))
