"""Operations that reduce axes. `axis` is a number, a tuple, or None for all; `keepdims` leaves it with length 1."""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd import primitive
from minigen.backend import Array, Shape, array_module
from minigen.ops.elementwise import equal, exp
from minigen.ops.shaping import broadcast_to

__all__ = ["sum", "mean", "var", "max", "min", "logsumexp", "softmax", "log_softmax"]

Axis = int | tuple[int, ...] | None


def _kept(x: Any, shape: Shape, axis: Axis) -> Any:
    """What came out of reducing `shape` over `axis`, with the reduced axes back as axes of length 1."""
    axes = _axes(shape, axis)
    return x.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))


def _checked(x: Array, axis: Axis) -> Axis:
    """The axes to reduce; an array without axes takes 0 and -1 too, which mean none."""
    return None if x.ndim == 0 and axis in (0, -1) else axis


def _axes(shape: Shape, axis: Axis) -> tuple[int, ...]:
    if axis is None or not shape:
        return tuple(range(len(shape)))
    return tuple(i % len(shape) for i in ((axis,) if isinstance(axis, int) else axis))


def _count(shape: Shape, axis: Axis) -> int:
    """How many values are reduced to one."""
    return math.prod(shape[i] for i in _axes(shape, axis))


def reciprocal(count: int) -> float:
    """1 / count, what each of the values contributes to their mean; NaN where there are none, as their mean is."""
    return 1.0 / count if count else math.nan


@primitive
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum."""
    return x.sum(axis=_checked(x, axis), keepdims=keepdims)


sum.derivatives(x=lambda g, x_shape, axis: broadcast_to(_kept(g, x_shape, axis), x_shape))


@primitive
def sum_per_channel(x: Array) -> Array:
    """The sum over all axes but the second, (N, C, ...) -> (C,); quicker than `sum` if channels lie last in memory."""
    last = x.transpose((0, *range(2, x.ndim), 1))
    if not last.flags.c_contiguous:
        return x.sum(axis=(0, *range(2, x.ndim)))
    rows = last.reshape(-1, x.shape[1])
    return array_module(x).ones(len(rows), dtype=x.dtype) @ rows


sum_per_channel.derivatives(x=lambda g, x_shape: broadcast_to(g.reshape((1, -1) + (1,) * (len(x_shape) - 2)), x_shape))


@primitive
def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The arithmetic mean."""
    return x.mean(axis=_checked(x, axis), keepdims=keepdims)


mean.derivatives(
    x=lambda g, x_shape, axis: broadcast_to(_kept(g, x_shape, axis) * reciprocal(_count(x_shape, axis)), x_shape)
)


@primitive
def var(x: Array, axis: Axis = None, keepdims: bool = False, *, correction: int = 0) -> Array:
    """The variance: mean squared distance from the mean, over n - correction values."""
    return x.var(axis=_checked(x, axis), keepdims=keepdims, ddof=correction)


var.derivatives(
    x=lambda g, x, x_shape, axis, correction: (
        _kept(g, x_shape, axis) * (x - mean(x, axis, True)) * (2.0 * reciprocal(_count(x_shape, axis) - correction))
    )
)


@primitive
def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest value; where several are, they share the gradient equally."""
    return x.max(axis=_checked(x, axis), keepdims=keepdims)


@primitive
def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest value; where several are, they share the gradient equally."""
    return x.min(axis=_checked(x, axis), keepdims=keepdims)


def _shared_by_winners(g: Any, x: Any, out: Any, x_shape: Shape, axis: Axis) -> Any:
    won = equal(x, _kept(out, x_shape, axis)).astype(x.dtype)
    return _kept(g, x_shape, axis) * (won / sum(won, axis, True))


max.derivatives(x=_shared_by_winners)
min.derivatives(x=_shared_by_winners)


@primitive
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """log sum exp(x), without overflow."""
    xp, axis = array_module(x), _checked(x, axis)
    largest = x.max(axis=axis, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0)  # all -inf: the result is -inf, not NaN
    out = xp.log(xp.exp(x - largest).sum(axis=axis, keepdims=True)) + largest
    return out if keepdims else out.reshape(x.sum(axis=axis).shape)


logsumexp.derivatives(x=lambda g, x, out, x_shape, axis: _kept(g, x_shape, axis) * exp(x - _kept(out, x_shape, axis)))


@primitive
def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) / sum exp(x) along one axis."""
    xp = array_module(x)
    out = xp.exp(x - x.max(axis=axis, keepdims=True))
    out /= out.sum(axis=axis, keepdims=True)
    return out


softmax.derivatives(x=lambda g, out, axis: out * (g - sum(g * out, axis, True)))


@primitive
def log_softmax(x: Array, axis: int = -1) -> Array:
    """log softmax(x) along one axis, without overflow."""
    xp = array_module(x)
    out = x - x.max(axis=axis, keepdims=True)
    return out - xp.log(xp.exp(out).sum(axis=axis, keepdims=True))


log_softmax.derivatives(x=lambda g, out, axis: g - exp(out) * sum(g, axis, True))
