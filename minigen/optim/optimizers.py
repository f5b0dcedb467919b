"""Optimizers: how parameters move against their gradients.

What they share is in `base.py`.

    optimizer = Adam(model.parameters(), lr=1e-3)
    for images, labels in batches:
        optimizer.zero_grad()
        model.loss(images, labels).backward()
        optimizer.step()
"""

from __future__ import annotations

import math
from typing import Any

from minigen.backend import Array, array_module
from minigen.kernels import kernel
from minigen.optim.base import Optimizer, Parameters, check_settings


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak 1964): v = momentum v + g,  p -= lr v."""

    def __init__(self, parameters: Parameters, lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        check_settings(self, momentum=(momentum, 0 <= momentum < 1, "in [0, 1)"))
        self.slots = ("momentum_buffer",) if momentum else ()
        super().__init__(parameters, lr, weight_decay)
        self.momentum = momentum

    def update(self, p: Array, g: Array, rates: tuple[Any, ...], *state: Array) -> None:
        (lr,) = rates
        if self.momentum:
            _sgd_with_momentum(g, lr, self.momentum, p, *state)
        else:
            _sgd(g, lr, p)

    def extra_repr(self) -> str:
        return f", momentum={self.momentum}" if self.momentum else ""


@kernel("T g, T lr", "T p", "p -= lr * g")
def _sgd(g: Array, lr: float, p: Array) -> None:
    p -= lr * g


@kernel("T g, T lr, T momentum", "T p, T v", "v = momentum * v + g; p -= lr * v")
def _sgd_with_momentum(g: Array, lr: float, momentum: float, p: Array, v: Array) -> None:
    v *= momentum
    v += g
    p -= lr * v


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980): steps of about lr, whatever the gradient's scale.

    m and v are running means of the gradient g and of its square, with the decays (b1, b2) = `betas`:

        m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g^2        p -= lr m' / (sqrt(v') + eps)

    In step t, m' = m / (1 - b1^t) and v' = v / (1 - b2^t) correct the bias of m and v, which start at zero.
    """

    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        two = len(betas) == 2 and all(0 <= b < 1 for b in betas)
        check_settings(self, betas=(betas, two, "to be two numbers in [0, 1)"), eps=(eps, eps > 0, "> 0"))
        super().__init__(parameters, lr, weight_decay)
        self.betas, self.eps = betas, eps

    numbers = 2

    def rates(self, lr: float, weight_decay: float) -> tuple[float, ...]:
        # lr m' / (sqrt(v') + eps), with both bias corrections applied to numbers instead of arrays
        b1, b2 = self.betas
        correction = math.sqrt(1 - b2**self.steps)
        return lr * correction / (1 - b1**self.steps), self.eps * correction

    def update(self, p: Array, g: Array, rates: tuple[Any, ...], *state: Array) -> None:
        (lr, eps), (b1, b2) = rates[:2], self.betas
        _adam(g, lr, b1, b2, eps, p, *state)

    def extra_repr(self) -> str:
        return f", betas={self.betas}"


@kernel(
    "T g, T lr, float64 b1, float64 b2, T eps",
    "T p, T m, T v",
    "m = T(b1) * m + T(1 - b1) * g; v = T(b2) * v + T(1 - b2) * g * g; p -= lr * m / (sqrt(v) + eps)",
)
def _adam(g: Array, lr: float, b1: float, b2: float, eps: float, p: Array, m: Array, v: Array) -> None:
    xp = array_module(g)
    t = (1 - b1) * g  # one temporary array for everything
    m *= b1
    m += t
    xp.multiply(g, g, out=t)
    t *= 1 - b2
    v *= b2
    v += t
    xp.sqrt(v, out=t)
    t += eps
    xp.divide(m, t, out=t)
    t *= lr
    p -= t


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101): p -= lr weight_decay p.

    In `Adam`, the decay is a part of the gradient, and the division by sqrt(v') weakens it where gradients are large.
    Here every weight decays at the same rate.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    numbers = 3

    def rates(self, lr: float, weight_decay: float) -> tuple[float, ...]:
        return *super().rates(lr, weight_decay), 1 - lr * weight_decay

    def decay(self, p: Array, g: Array, rates: tuple[Any, ...], weight_decay: float) -> Array:
        """Decay the weights themselves, and leave the gradient as it is."""
        p *= rates[2]
        return g


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012, lecture 6e): v = alpha v + (1 - alpha) g^2,  p -= lr g / (sqrt(v) + eps)."""

    slots = ("square_avg",)

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        check_settings(self, alpha=(alpha, 0 <= alpha < 1, "in [0, 1)"), eps=(eps, eps > 0, "> 0"))
        super().__init__(parameters, lr, weight_decay)
        self.alpha, self.eps = alpha, eps

    def update(self, p: Array, g: Array, rates: tuple[Any, ...], *state: Array) -> None:
        (lr,) = rates
        _rmsprop(g, lr, self.alpha, self.eps, p, *state)

    def extra_repr(self) -> str:
        return f", alpha={self.alpha}"


@kernel(
    "T g, T lr, float64 alpha, T eps",
    "T p, T v",
    "v = T(alpha) * v + T(1 - alpha) * g * g; p -= lr * g / (sqrt(v) + eps)",
)
def _rmsprop(g: Array, lr: float, alpha: float, eps: float, p: Array, v: Array) -> None:
    xp = array_module(g)
    v *= alpha
    t = g * g
    t *= 1 - alpha
    v += t
    xp.sqrt(v, out=t)
    t += eps
    xp.divide(g, t, out=t)
    t *= lr
    p -= t
