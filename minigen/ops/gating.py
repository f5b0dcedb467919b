"""The gated activation unit of the Gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328, equation 2)."""

from __future__ import annotations

from typing import Any

from minigen.autograd import primitive
from minigen.backend import Array, array_module
from minigen.kernels import kernel
from minigen.ops.elementwise import sigmoid, tanh
from minigen.ops.shaping import split

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


@kernel(
    "T g, T out, T t, T s",
    "raw T of_x",
    """
    const ptrdiff_t half = of_x.size() / of_x.shape()[0] / 2, at = i + i / half * half;  // of f; g is a half further
    of_x[at] = g * (s - out * t);
    of_x[at + half] = g * (out - out * s);
    """,
)
def _gate_gradients(g: Array, out: Array, t: Array, s: Array, of_x: Array) -> None:
    """g s (1 - t^2) and g t s (1 - s), where t s is the output."""
    of_f, of_g = split(of_x, 2, axis=1)
    array_module(g).multiply(g, s - out * t, out=of_f)
    array_module(g).multiply(g, out - out * s, out=of_g)


@gated_activation.derivatives_together("x")
def _(g: Array, out: Array, tanh_f: Array, sigmoid_g: Array) -> dict[str, Array]:
    of_x = array_module(g).empty_like(g, shape=(len(g), 2 * g.shape[1], *g.shape[2:]))
    _gate_gradients(g, out, tanh_f, sigmoid_g, of_x)
    return {"x": of_x}
