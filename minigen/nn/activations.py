"""Operations without parameters, as modules, so that they fit into a `Sequential`."""

from __future__ import annotations

import math
from typing import Any

from minigen import ops
from minigen.backend import Shape
from minigen.nn.module import Module


class Identity(Module):
    """x itself; it stands in the place of a layer that is left out."""

    def forward(self, x: Any) -> Any:
        return x


class ReLU(Module):
    """max(x, 0)"""

    def forward(self, x: Any) -> Any:
        return ops.relu(x)


class LeakyReLU(Module):
    """x for x > 0, negative_slope x elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return ops.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"{self.negative_slope}"


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Any) -> Any:
        return ops.tanh(x)


class Sigmoid(Module):
    """1 / (1 + e^-x)"""

    def forward(self, x: Any) -> Any:
        return ops.sigmoid(x)


class Softplus(Module):
    """log(1 + e^(beta x)) / beta, a smooth ReLU."""

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def forward(self, x: Any) -> Any:
        return ops.softplus(self.beta * x) / self.beta

    def extra_repr(self) -> str:
        return f"beta={self.beta}"


class SiLU(Module):
    """x sigmoid(x), also called swish (Hendrycks and Gimpel 2016, arXiv 1606.08415)."""

    def forward(self, x: Any) -> Any:
        return x * ops.sigmoid(x)


class ELU(Module):
    """x for x > 0, alpha (e^x - 1) elsewhere (Clevert et al. 2016, arXiv 1511.07289)."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        low = ops.clip(x, max=0.0)  # where x is large, e^x would overflow
        below = ops.tanh(0.5 * low) * (ops.exp(low) + 1.0)  # e^x - 1, exact also for small x
        return ops.where(x > 0, x, self.alpha * below)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class Softmax(Module):
    """exp(x) / sum exp(x) along one axis."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return ops.softmax(x, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class Flatten(Module):
    """All axes but the first as one: (N, ...) -> (N, number of values)."""

    def forward(self, x: Any) -> Any:
        return ops.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


class Unflatten(Module):
    """The inverse of `Flatten`: (N, number of values) -> (N, *shape)."""

    def __init__(self, shape: Shape) -> None:
        self.shape = tuple(shape)

    def forward(self, x: Any) -> Any:
        return ops.reshape(x, (x.shape[0], *self.shape))

    def extra_repr(self) -> str:
        return f"{self.shape}"


class Dropout(Module):
    """In training, set each value to 0 with probability p and multiply the others by 1 / (1 - p): `ops.dropout`."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: expects a probability 0 <= p < 1, got {p}")
        self.p = p

    def forward(self, x: Any) -> Any:
        return ops.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
