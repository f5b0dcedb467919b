"""The gated activation unit of the Gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328, equation 2)."""

from __future__ import annotations

from typing import Any

from minigen.autograd import primitive
from minigen.backend import Array
from minigen.kernels import kernel
from minigen.ops.elementwise import sigmoid, tanh
from minigen.ops.shaping import concat, split

__all__ = ["gated_activation"]


def _reference_gated_activation(x: Any) -> Any:
    """tanh(f) sigmoid(g), where f and g are the halves of x along axis 1."""
    f, g = split(x, 2, axis=1)
    return tanh(f) * sigmoid(g)


@primitive(reference=_reference_gated_activation, saves=("tanh_f", "sigmoid_g"))
def gated_activation(x: Array) -> Any:
    """tanh(f) sigmoid(g), where f and g are the halves of x (N, 2C, ...) along its channels: -> (N, C, ...)."""
    if x.ndim < 2 or x.shape[1] % 2:
        raise ValueError(f"expects x (N, 2C, ...), got {x.shape}")
    f, g = split(x, 2, axis=1)
    return _gate(f, g)


@kernel("T f, T g", "T out, T t, T s", "t = tanh(f); s = sigmoid(g); out = t * s")
def _gate(f: Array, g: Array) -> tuple[Array, Array, Array]:
    t, s = tanh(f), sigmoid(g)
    return t * s, t, s


@kernel("T g, T t, T s", "T of_f, T of_g", "of_f = g * s * (1 - t * t); of_g = g * t * (s * (1 - s))")
def _gate_gradients(g: Array, t: Array, s: Array) -> tuple[Array, Array]:
    return g * s * (1 - t * t), g * t * (s * (1 - s))


gated_activation.derivatives(x=lambda g, tanh_f, sigmoid_g: concat(_gate_gradients(g, tanh_f, sigmoid_g), axis=1))
