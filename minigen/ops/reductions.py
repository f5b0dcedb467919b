"""Operations that reduce axes. `axis` is a number, a tuple, or None for all; `keepdims` leaves it with length 1.

`softmax`, `log_softmax` and `cumsum` keep the axis along which they sum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.autograd import primitive
from minigen.backend import Array, Shape, array_module, floating, on_host
from minigen.kernels import kernel
from minigen.ops.comparisons import equal
from minigen.ops.elementwise import exp, where
from minigen.ops.shaping import broadcast_to, flip, getitem, inverse_order, pad, permute_dims, reshape

__all__ = [
    "sum", "mean", "var", "std", "prod", "max", "min", "argmax", "argmin", "all", "any", "logsumexp", "softmax",
    "log_softmax", "cumsum",
]  # fmt: skip

Axis = int | tuple[int, ...] | None


def _keepdims(x: Any, shape: Shape, axis: Axis) -> Any:
    """x, which comes from reducing `shape` over `axis`, with the reduced axes as axes of length 1."""
    axes = _axes(shape, axis)
    return x.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))


def _checked(x: Array, axis: Axis) -> Axis:
    """The axes to reduce; for an array without axes, 0 and -1 are allowed and mean none."""
    if x.ndim == 0 and axis in (0, -1):
        return None
    for number in () if axis is None else axis if isinstance(axis, tuple) else (axis,):
        if not -x.ndim <= number < x.ndim:  # CuPy does not always say so
            raise np.exceptions.AxisError(number, x.ndim)
    return axis


def _axes(shape: Shape, axis: Axis) -> tuple[int, ...]:
    if axis is None or not shape:
        return tuple(range(len(shape)))
    return tuple(i % len(shape) for i in ((axis,) if isinstance(axis, int) else axis))


def _count(shape: Shape, axis: Axis) -> int:
    """How many values are reduced to one."""
    return math.prod(shape[i] for i in _axes(shape, axis))


def reciprocal(count: int) -> float:
    """1 / count, the weight of each value in a mean; NaN for a count of 0, as the mean is."""
    return 1.0 / count if count else math.nan


@primitive
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum."""
    return x.sum(axis=_checked(x, axis), keepdims=keepdims)


sum.derivatives(x=lambda g, x_shape, axis: broadcast_to(_keepdims(g, x_shape, axis), x_shape))


@primitive
def sum_per_channel(x: Array) -> Array:
    """The sum over all axes but the second, (N, C, ...) -> (C,); on a CPU faster than `sum` if channels are last."""
    last = x.transpose((0, *range(2, x.ndim), 1))
    if not (on_host(x) and last.flags.c_contiguous):
        return x.sum(axis=(0, *range(2, x.ndim)))
    rows = last.reshape(-1, x.shape[1])
    return np.ones(len(rows), dtype=x.dtype) @ rows


sum_per_channel.derivatives(x=lambda g, x_shape: broadcast_to(g.reshape((1, -1) + (1,) * (len(x_shape) - 2)), x_shape))


@primitive
def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The arithmetic mean."""
    return x.mean(axis=_checked(x, axis), keepdims=keepdims)


mean.derivatives(
    x=lambda g, x_shape, axis: broadcast_to(_keepdims(g, x_shape, axis) * reciprocal(_count(x_shape, axis)), x_shape)
)


@primitive
def var(x: Array, axis: Axis = None, keepdims: bool = False, *, correction: int = 0) -> Array:
    """The variance: mean squared distance from the mean, over n - correction values."""
    return x.var(axis=_checked(x, axis), keepdims=keepdims, ddof=correction)


var.derivatives(
    x=lambda g, x, x_shape, axis, correction: (
        _keepdims(g, x_shape, axis) * (x - mean(x, axis, True)) * (2.0 * reciprocal(_count(x_shape, axis) - correction))
    )
)


@primitive
def std(x: Array, axis: Axis = None, keepdims: bool = False, *, correction: int = 0) -> Array:
    """The standard deviation, the square root of `var`; where it is 0, so is its gradient."""
    return x.std(axis=_checked(x, axis), keepdims=keepdims, ddof=correction)


std.derivatives(
    x=lambda g, x, out, x_shape, axis, correction: (
        _keepdims(g / where(equal(out, 0), 1.0, out), x_shape, axis)
        * (x - mean(x, axis, True))
        * reciprocal(_count(x_shape, axis) - correction)
    )
)


@primitive
def prod(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The product."""
    return x.prod(axis=_checked(x, axis), keepdims=keepdims)


prod.derivatives(x=lambda g, x, x_shape, axis: _keepdims(g, x_shape, axis) * _product_of_others(x, axis))


def _product_of_others(x: Any, axis: Axis) -> Any:
    """For each value, the product of the others that are reduced with it; exact even where some are 0."""
    reduced = _axes(x.shape, axis)
    order = (*(i for i in range(x.ndim) if i not in reduced), *reduced)
    moved = permute_dims(x, order)
    count = _count(x.shape, axis)
    rows = reshape(moved, (x.size // count if count else 0, count))
    others = _product_before(rows) * flip(_product_before(flip(rows, 1)), 1)
    return permute_dims(reshape(others, moved.shape), inverse_order(order))


def _product_before(rows: Any) -> Any:
    """The product of the values before each one in its row: of 1 value, then of 2, of 4, and so on."""
    length, reach = rows.shape[1], 1
    products = _shifted(rows, 1)
    while reach < length:
        products = products * _shifted(products, reach)
        reach *= 2
    return products


def _shifted(rows: Any, places: int) -> Any:
    """Each row moved to the right, behind ones."""
    return getitem(pad(rows, ((0, 0), (places, 0)), 1.0), (slice(None), slice(rows.shape[1])))


@primitive
def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest value; equal largest values share the gradient."""
    return x.max(axis=_checked(x, axis), keepdims=keepdims)


@primitive
def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest value; equal smallest values share the gradient."""
    return x.min(axis=_checked(x, axis), keepdims=keepdims)


def _shared_by_extremes(g: Any, x: Any, out: Any, x_shape: Shape, axis: Axis) -> Any:
    g, out = _keepdims(g, x_shape, axis), _keepdims(out, x_shape, axis)
    axes = _axes(x_shape, axis)
    if len(axes) != 1:
        return _shares(x, out, g, axes)
    return _shares_along(x, out, g, axes[0], x_shape[axes[0]], math.prod(x_shape[axes[0] + 1 :]))


def _shares(x: Any, out: Any, g: Any, axis: Axis) -> Any:
    is_extreme = equal(x, out).astype(x.dtype)
    return g * (is_extreme / sum(is_extreme, axis, True))


@kernel(
    "raw T x, T out, T g, int64 axis, int64 count, int64 inner",
    "raw T of_x",
    """
    const ptrdiff_t first = i + i / inner * (count - 1) * inner;  // of the values reduced to element i
    ptrdiff_t extremes = 0;
    for (ptrdiff_t k = 0; k < count; ++k) extremes += x[first + k * inner] == out;
    for (ptrdiff_t k = 0; k < count; ++k)
        of_x[first + k * inner] = x[first + k * inner] == out ? g / extremes : T(0);
    """,
)
def _shares_along(x: Any, out: Any, g: Any, axis: int, count: int, inner: int) -> Any:
    """`_shares` along one axis, of `count` values; from each to the next it is `inner` places in row-major order."""
    return _shares(x, out, g, axis)


max.derivatives(x=_shared_by_extremes)
min.derivatives(x=_shared_by_extremes)


# -- without a derivative --------------------------------------------------------------------------------------------


@primitive
def argmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the largest value along one axis, or in all of x flattened; of several, the first."""
    return x.argmax(axis=_checked(x, axis), keepdims=keepdims)


@primitive
def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the smallest value along one axis, or in all of x flattened; of several, the first."""
    return x.argmin(axis=_checked(x, axis), keepdims=keepdims)


@primitive
def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether all values are true, that is, not 0."""
    return x.all(axis=_checked(x, axis), keepdims=keepdims)


@primitive
def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether some value is true, that is, not 0."""
    return x.any(axis=_checked(x, axis), keepdims=keepdims)


# -- of exponentials -------------------------------------------------------------------------------------------------


@primitive
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """log sum exp(x), without overflow."""
    xp, x, axis = array_module(x), floating(x), _checked(x, axis)
    largest = x.max(axis=axis, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0)  # all -inf: the result is -inf, not NaN
    out = xp.log(xp.exp(x - largest).sum(axis=axis, keepdims=True)) + largest
    return out if keepdims else out.reshape(x.sum(axis=axis).shape)


logsumexp.derivatives(
    x=lambda g, x, out, x_shape, axis: _keepdims(g, x_shape, axis) * exp(x - _keepdims(out, x_shape, axis))
)


@primitive
def softmax(x: Array, axis: Axis = -1) -> Array:
    """exp(x) / sum exp(x) along one axis."""
    xp, x, axis = array_module(x), floating(x), _checked(x, axis)
    out = xp.exp(x - x.max(axis=axis, keepdims=True))
    out /= out.sum(axis=axis, keepdims=True)
    return out


softmax.derivatives(x=lambda g, out, axis: out * (g - sum(g * out, axis, True)))


@primitive
def log_softmax(x: Array, axis: Axis = -1) -> Array:
    """log softmax(x) along one axis, without overflow."""
    xp, x, axis = array_module(x), floating(x), _checked(x, axis)
    out = x - x.max(axis=axis, keepdims=True)
    return out - xp.log(xp.exp(out).sum(axis=axis, keepdims=True))


log_softmax.derivatives(x=lambda g, out, axis: g - exp(out) * sum(g, axis, True))


@primitive
def cumsum(x: Array, axis: int) -> Array:
    """The sums of the values up to and including each one along an axis."""
    return x.cumsum(axis=axis)


cumsum.derivatives(x=lambda g, axis: flip(cumsum(flip(g, axis), axis), axis))
