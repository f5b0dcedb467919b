"""Elementwise operations. Arguments broadcast as in NumPy; the tape sums gradients over broadcast axes.

Operations whose results are not integers, such as `exp`, convert integer arguments with `floating`.
"""

from __future__ import annotations

from typing import Any

from minigen.autograd import primitive
from minigen.backend import Array, Device, array_module, floating, is_array, memory_order, ordered
from minigen.kernels import kernel
from minigen.ops.comparisons import equal, greater

__all__ = [
    "add", "subtract", "multiply", "divide", "negative", "pow", "abs", "square", "sqrt", "exp", "log", "log1p", "sin",
    "cos", "sign", "floor", "round", "maximum", "minimum", "clip", "where", "astype", "copy", "tanh", "sigmoid", "relu",
    "leaky_relu", "softplus",
]  # fmt: skip

# -- arithmetic ------------------------------------------------------------------------------------------------------


@primitive
def add(x: Array, y: Array) -> Array:
    """x + y"""
    return x + y


add.derivatives(x=lambda g: g, y=lambda g: g)


@primitive
def subtract(x: Array, y: Array) -> Array:
    """x - y"""
    return x - y


subtract.derivatives(x=lambda g: g, y=lambda g: -g)


@primitive
def multiply(x: Array, y: Array) -> Array:
    """x y"""
    return x * y


multiply.derivatives(x=lambda g, y: g * y, y=lambda g, x: g * x)


@primitive
def divide(x: Array, y: Array) -> Array:
    """x / y"""
    return x / y


divide.derivatives(x=lambda g, y: g / y, y=lambda g, y, out: -g * out / y)


@primitive
def negative(x: Array) -> Array:
    """-x"""
    return -x


negative.derivatives(x=lambda g: -g)


@primitive
def pow(x: Array, y: Array) -> Array:
    """x to the power of y. The derivative for y treats 0^y as constant."""
    return x**y


pow.derivatives(x=lambda g, x, y: _power_rule(g, x, y), y=lambda g, x, out: _exponent_rule(g, x, out))


def _power_rule(g: Any, x: Any, y: Any) -> Any:
    """g y x^(y - 1), which is 0 for y = 0 also at x = 0."""
    if isinstance(y, int | float):
        return g * y * pow(x, y - 1) if y != 0 else g * 0.0
    return g * y * pow(where(equal(x, 0) & equal(y, 0), 1.0, x), y - 1)


def _exponent_rule(g: Any, x: Any, out: Any) -> Any:
    """g x^y log x, which is 0 for x = 0."""
    return g * out * log(where(equal(x, 0), 1.0, x))


@primitive
def square(x: Array) -> Array:
    """x^2"""
    return x * x


square.derivatives(x=lambda g, x: g * (2.0 * x))


@primitive
def sqrt(x: Array) -> Array:
    """The square root."""
    return array_module(x).sqrt(floating(x))


sqrt.derivatives(x=lambda g, out: g * 0.5 / out)


@primitive
def exp(x: Array) -> Array:
    """e^x"""
    return array_module(x).exp(floating(x))


exp.derivatives(x=lambda g, out: g * out)


@primitive
def log(x: Array) -> Array:
    """The natural logarithm."""
    return array_module(x).log(floating(x))


log.derivatives(x=lambda g, x: g / x)


@primitive
def log1p(x: Array) -> Array:
    """log(1 + x), exact for small x."""
    return array_module(x).log1p(floating(x))


log1p.derivatives(x=lambda g, x: g / (1.0 + x))


@primitive
def sin(x: Array) -> Array:
    """The sine of x in radians."""
    return array_module(x).sin(floating(x))


@primitive
def cos(x: Array) -> Array:
    """The cosine of x in radians."""
    return array_module(x).cos(floating(x))


sin.derivatives(x=lambda g, x: g * cos(x))
cos.derivatives(x=lambda g, x: -g * sin(x))


# -- steps, whose derivative is 0, and abs ---------------------------------------------------------------------------


@primitive
def sign(x: Array) -> Array:
    """-1, 0 or 1."""
    return array_module(x).sign(x)


sign.derivatives(x=lambda g: g * 0.0)


@primitive
def abs(x: Array) -> Array:
    """|x|, with derivative 0 at 0."""
    return array_module(x).abs(x)


abs.derivatives(x=lambda g, x: g * sign(x))


@primitive
def floor(x: Array) -> Array:
    """The largest whole number that is not above x."""
    return array_module(x).floor(x)


floor.derivatives(x=lambda g: g * 0.0)


@primitive
def round(x: Array) -> Array:
    """The nearest whole number; of two that are equally near, the even one."""
    return array_module(x).round(x)


round.derivatives(x=lambda g: g * 0.0)


# -- conversions -----------------------------------------------------------------------------------------------------


@primitive(casts=True)
def astype(x: Array, dtype: Any) -> Array:
    """x in another data type; the gradient has the data type of x."""
    return x.astype(dtype)


astype.derivatives(x=lambda g: g)


@primitive
def to_device(x: Array, *, target: Device, source: Device) -> Array:
    """x, which is on the device `source`, on the device `target`."""
    return target.asarray(x)


to_device.derivatives(x=lambda g, target, source: to_device(g, target=source, source=target))


@primitive
def copy(x: Array) -> Array:
    """A copy of x in memory of its own, so that an in-place change of one does not affect the other."""
    return x.copy()


copy.derivatives(x=lambda g: g)


# -- choices ---------------------------------------------------------------------------------------------------------


@primitive
def where(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, y elsewhere."""
    return array_module(condition).where(condition, x, y)


where.derivatives(x=lambda g, condition: where(condition, g, 0.0), y=lambda g, condition: where(condition, 0.0, g))


@primitive
def maximum(x: Array, y: Array) -> Array:
    """The larger of x and y; where they are equal, each has half of the gradient."""
    return array_module(x, y).maximum(x, y)


maximum.derivatives(x=lambda g, x, y: _for_larger(g, x, y), y=lambda g, x, y: _for_larger(g, y, x))


@primitive
def minimum(x: Array, y: Array) -> Array:
    """The smaller of x and y; where they are equal, each has half of the gradient."""
    return array_module(x, y).minimum(x, y)


minimum.derivatives(x=lambda g, x, y: _for_larger(g, y, x), y=lambda g, x, y: _for_larger(g, x, y))


def _for_larger(g: Any, larger: Any, smaller: Any) -> Any:
    """The gradient for the larger of two arguments: g where larger > smaller, g / 2 where they are equal."""
    return where(greater(larger, smaller), g, where(equal(larger, smaller), 0.5 * g, 0.0))


@primitive
def clip(x: Array, min: float | None = None, max: float | None = None) -> Array:
    """x limited to the numbers min <= x <= max; its gradient is 0 outside."""
    return array_module(x).clip(x, min, max)


clip.derivatives(x=lambda g, x, out: where(equal(x, out), g, 0.0))


# -- activations -----------------------------------------------------------------------------------------------------


@primitive
def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return array_module(x).tanh(floating(x))


tanh.derivatives(x=lambda g, out: g * (1.0 - out * out))


@primitive
@kernel("T x", "T out", "out = sigmoid(x)")
def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), computed as (1 + tanh(x/2)) / 2, which is faster and cannot overflow."""
    out = array_module(x).tanh(0.5 * x)
    out *= 0.5
    out += 0.5
    return out


sigmoid.derivatives(x=lambda g, out: g * (out * (1.0 - out)))


@primitive
@kernel("T x", "T out", "out = x <= 0 ? T(0) : x")
def relu(x: Array) -> Array:
    """max(x, 0)"""
    zeros = array_module(x).zeros_like(x)
    return array_module(x).maximum(x, zeros, out=zeros)  # NumPy is slow with a number in the place of an array


@kernel("T g, T out", "T x", "x = g * T(out > 0)")
def _relu_gradient(g: Any, out: Any) -> Any:
    g = _in_order_of(out, g)
    return g * greater(out, 0)


def _in_order_of(out: Any, g: Any) -> Any:
    """An array g in the memory order of `out`: where an image was flattened, the gradient comes with channels first."""
    return ordered(g, memory_order(out)) if is_array(g) else g


relu.derivatives(x=_relu_gradient)


@primitive
def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """x for x > 0 and negative_slope x elsewhere; 0 <= negative_slope < 1."""
    if not 0 <= negative_slope < 1:
        raise ValueError(f"expects 0 <= negative_slope < 1, got {negative_slope}")
    return _leaky_relu(x, negative_slope)


@kernel("T x, T slope", "T out", "out = x > 0 ? x : slope * x")
def _leaky_relu(x: Array, slope: float) -> Array:
    return array_module(x).maximum(x, slope * x)


@kernel("T g, T out, T slope", "T x", "x = out > 0 ? g : slope * g")
def _leaky_relu_gradient(g: Any, out: Any, slope: float) -> Any:
    """g (slope + (1 - slope) [out > 0]), because arithmetic is much faster than `where`"""
    g = _in_order_of(out, g)
    return g * (astype(greater(out, 0), g.dtype) * (1 - slope) + slope)


leaky_relu.derivatives(x=lambda g, out, negative_slope: _leaky_relu_gradient(g, out, negative_slope))


@primitive
@kernel("T x", "T out", "out = (x > 0 ? x : T(0)) + log1p(exp(-abs(x)))")
def softplus(x: Array) -> Array:
    """log(1 + e^x), without overflow."""
    xp, x = array_module(x), floating(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


@kernel("T g, T x", "T of_x", "of_x = g * sigmoid(x)")
def _softplus_gradient(g: Any, x: Any) -> Any:
    return g * sigmoid(x)


softplus.derivatives(x=lambda g, x: _softplus_gradient(g, x))
