"""Operations without parameters, as modules, so that they fit into a `Sequential`."""

from __future__ import annotations

import math
from typing import Any

from minigen import ops
from minigen.backend import Shape
from minigen.nn.module import Module


class ReLU(Module):
    """max(x, 0)"""

    def forward(self, x: Any) -> Any:
        return ops.relu(x)


class LeakyReLU(Module):
    """x for x > 0, negative_slope x elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return ops.leaky_relu(x, negative_slope=self.negative_slope)

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


class Flatten(Module):
    """(N, ...) -> (N, everything else)."""

    def forward(self, x: Any) -> Any:
        return ops.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


class Unflatten(Module):
    """(N, everything) -> (N, *shape)."""

    def __init__(self, shape: Shape) -> None:
        self.shape = tuple(shape)

    def forward(self, x: Any) -> Any:
        return ops.reshape(x, (x.shape[0], *self.shape))

    def extra_repr(self) -> str:
        return f"{self.shape}"


class Dropout(Module):
    """In training each value is 0 with probability p and the others grow by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: takes a probability 0 <= p < 1, got {p}")
        self.p = p

    def forward(self, x: Any) -> Any:
        return ops.dropout(x, self.p, training=self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
