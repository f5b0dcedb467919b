"""Convolutions: plain, transposed and masked.

With x (N, C, H, W), weight (O, C, kh, kw) and y (N, O, H', W'), everything here comes from one sum,

    T(x, weight, y) = sum over n, o, i, j, c, a, b of
                      y[n, o, i, j] weight[o, c, a, b] x[n, c, s i + d a - p, s j + d b - p]

(stride s, dilation d, padding p), which is linear in each of the three. Its derivative by y is the convolution, by x
the transposed convolution, by weight the gradient that a convolution's weight gets. So each of the three has the
other two as its derivatives, to every order. How they are computed, as products of matrices, is in `taps.py`.

Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (2016); the mask is from van den Oord,
Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016).
"""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np

from minigen.autograd import primitive, raw
from minigen.backend import Array, array_module, device_of, to_numpy
from minigen.ops.reductions import sum_per_channel
from minigen.ops.taps import (
    Pair,
    Window,
    add_columns,
    columns,
    images_at_once,
    move,
    runs_of,
    set_weights,
    weight_matrix,
)

__all__ = ["conv2d", "masked_conv2d", "conv_transpose2d"]

# Adding a number into its place takes as long as copying about three; it decides how a transposed convolution is done.
_COPIES_PER_ADDITION = 3


# -- the three derivatives of T --------------------------------------------------------------------------------------


@primitive
def convolve(x: Array, weight: Array, bias: Array | None = None, *, window: Window) -> Array:
    """y[n, o, i, j] = bias[o] + sum over c, a, b of weight[o, c, a, b] x[n, c, s i + d a - p, s j + d b - p].

    The result (N, O, H', W') lies in memory with its channels last.
    """
    xp = array_module(x)
    images, _, *size = x.shape
    height, width = window.output_size(size)
    out = xp.empty((images, height, width, weight.shape[0]), x.dtype)
    weight = _masked(weight, window)
    for inputs, outputs in _groups(window, x.shape[1], weight.shape[0]):
        matrix = weight_matrix(weight[outputs], window)
        for some, seen in columns(x[:, inputs], window):
            rows = out[some, ..., outputs].reshape(-1, matrix.shape[1])  # a view
            xp.matmul(seen, matrix, out=rows)
            if bias is not None:
                rows += bias[outputs]
    return out.transpose(0, 3, 1, 2)


@primitive
def convolve_transposed(y: Array, weight: Array, bias: Array | None = None, *, window: Window) -> Array:
    """x[n, c, h, w] = bias[c] + sum of weight[o, c, a, b] y[n, o, i, j] where s i + d a - p = h, s j + d b - p = w.

    The result (N, C, H, W) lies in memory with its channels last.
    """
    weight = _masked(weight, window)
    if window.stride == (1, 1):
        # for each tap: copy y (its channels, at every place of x), or add to x (its channels, at every place of y)
        copies = weight.shape[0] * math.prod(window.input_size(y.shape[2:]))
        additions = weight.shape[1] * window.groups * math.prod(y.shape[2:])
        if copies <= _COPIES_PER_ADDITION * additions:
            return convolve(y, _flipped(weight, window), bias, window=window.flipped())
    return _add_up(y, weight, bias, window)


@primitive
def convolve_weight(x: Array, y: Array, *, window: Window) -> Array:
    """weight[o, c, a, b] = sum over n, i, j of y[n, o, i, j] x[n, c, s i + d a - p, s j + d b - p]"""
    xp = array_module(x)
    weight = xp.zeros((y.shape[1], x.shape[1] // window.groups, *window.kernel), x.dtype)
    for inputs, outputs in _groups(window, x.shape[1], y.shape[1]):
        matrix = weight_matrix(weight[outputs], window)  # zeros
        for some, seen in columns(x[:, inputs], window):
            matrix += seen.T @ _rows(y[some, outputs])
        set_weights(weight[outputs], matrix, window)
    return _masked(weight, window)


convolve.derivatives(
    x=lambda g, weight, window: convolve_transposed(g, weight, window=window),
    weight=lambda g, x, window: convolve_weight(x, g, window=window),
    bias=lambda g: sum_per_channel(g),
)
convolve_transposed.derivatives(
    y=lambda g, weight, window: convolve(g, weight, window=window),
    weight=lambda g, y, window: convolve_weight(g, y, window=window),
    bias=lambda g: sum_per_channel(g),
)
convolve_weight.derivatives(
    x=lambda g, y, window: convolve_transposed(y, g, window=window),
    y=lambda g, x, window: convolve(x, g, window=window),
)


def _add_up(y: Array, weight: Array, bias: Array | None, window: Window) -> Array:
    """The transposed convolution by adding what each output gives to the inputs that it sees."""
    xp = array_module(y)
    images, _, *size = y.shape
    height, width = window.input_size(size)
    channels = weight.shape[1]
    (top, bottom), (left, right) = window.padding
    out = xp.zeros((images, height, width, channels * window.groups), y.dtype)
    step = images_at_once(xp, images, window, size, channels, y.dtype)
    padded = xp.empty((step, height + top + bottom, width + left + right, channels), y.dtype)
    for inputs, outputs in _groups(window, out.shape[3], y.shape[1]):
        matrix = weight_matrix(weight[outputs], window).T
        for start in range(0, images, step):
            given = _rows(y[start : start + step, outputs]) @ matrix
            target = padded[: min(step, images - start)]
            target[...] = 0
            add_columns(given, target, window, size)
            move(target, out[start : start + step, ..., inputs], (-top, -left))
    if bias is not None:
        out += bias
    return out.transpose(0, 3, 1, 2)


def _flipped(weight: Array, window: Window) -> Array:
    """The weights seen from the input: (O, C / groups, kh, kw) -> (C, O / groups, kh, kw), upside down."""
    _, inputs, *kernel = weight.shape
    weight = weight.reshape(window.groups, -1, inputs, *kernel).swapaxes(1, 2)[..., ::-1, ::-1]
    return weight.reshape(window.groups * inputs, -1, *kernel)


def _groups(window: Window, inputs: int, outputs: int) -> list[tuple[slice, slice]]:
    """Each group's input and output channels."""
    i, o = inputs // window.groups, outputs // window.groups
    return [(slice(k * i, (k + 1) * i), slice(k * o, (k + 1) * o)) for k in range(window.groups)]


def _rows(y: Array) -> Array:
    """(N, O, H', W') -> (N H' W', O)"""
    return y.transpose(0, 2, 3, 1).reshape(-1, y.shape[1])


def _masked(weight: Array, window: Window) -> Array:
    return weight if window.mask is None else weight * device_of(weight).asarray(window.mask)


# -- the operations --------------------------------------------------------------------------------------------------


def conv2d(
    x: Any, weight: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """The convolution of images x (N, C, H, W) with weight (O, C / groups, kh, kw) and bias (O,): (N, O, H', W').

    stride, dilation    an int, or a pair for height and width
    padding             an int, a pair, or ((top, bottom), (left, right)): zeros put around the image
    groups              the channels fall into so many groups, each convolved by itself

    H' = (H + top + bottom - dilation (kh - 1) - 1) // stride + 1. Like everyone's "convolution", a correlation.
    """
    return _convolve("conv2d", x, weight, bias, stride, padding, dilation, groups)


def masked_conv2d(
    x: Any, weight: Any, bias: Any = None, *, mask: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Any:
    """`conv2d` with weight * mask, where `mask` is of zeros and ones, (kh, kw) or (O, C, kh, kw).

    Taps that the mask switches off for all channels cost nothing, in either direction. The gradient of the weight
    is zero where the mask is. Keep the mask a NumPy array: from a GPU it is copied at every call.
    """
    mask = to_numpy(raw(mask))
    shape = tuple(getattr(weight, "shape", ()))
    if mask.shape not in (shape, shape[2:]):
        raise ValueError(f"masked_conv2d: weight {shape} takes a mask {shape[2:]} or {shape}, got {mask.shape}")
    on = mask.astype(bool)
    if not (mask == on).all():
        raise ValueError("masked_conv2d: takes a mask of zeros and ones, got other values")
    return _convolve("masked_conv2d", x, weight, bias, stride, padding, dilation, mask=on)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The transposed convolution of x (N, C, H, W) with weight (C, O / groups, kh, kw) and bias (O,): (N, O, H', W').

    It is the gradient of the `conv2d` that has these options, with respect to its input:
    H' = stride (H - 1) + dilation (kh - 1) + 1 - top - bottom + output_padding, where `output_padding` is less than
    the stride or the dilation and chooses among the sizes that `conv2d` takes to the same H. Options as there.
    """
    name = "conv_transpose2d"
    window = _window(name, x, weight, stride, padding, dilation, groups)
    _check(name, x, weight, bias, weight.shape[0], weight.shape[1] * groups, groups)
    extra = _pair(name, "output_padding", output_padding, least=0)
    most = tuple(max(s, d) - 1 for s, d in zip(window.stride, window.dilation, strict=True))
    if extra[0] > most[0] or extra[1] > most[1]:
        raise ValueError(
            f"{name}: output_padding must be less than the stride or the dilation, at most {most}, got {extra}"
        )
    (top, bottom), (left, right) = window.padding
    window = window._replace(padding=((top, bottom - extra[0]), (left, right - extra[1])))
    if min(window.input_size(x.shape[2:])) < 1:
        raise ValueError(f"{name}: padding {padding} leaves nothing of x {x.shape} under weight {weight.shape}")
    return convolve_transposed(x, weight, bias, window=window)


def _convolve(
    name: str,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int = 1,
    mask: np.ndarray | None = None,
) -> Any:
    window = _window(name, x, weight, stride, padding, dilation, groups, mask)
    _check(name, x, weight, bias, weight.shape[1] * groups, weight.shape[0], groups)
    (top, bottom), (left, right) = window.padding
    below, beside = x.shape[2] + top + bottom - window.span(0), x.shape[3] + left + right - window.span(1)
    if min(below, beside) < 0:
        reach = window.span(0), window.span(1)
        raise ValueError(
            f"{name}: the kernel, which reaches {reach}, is larger than x {x.shape} with padding {window.padding}"
        )
    # without the last rows and columns where they are too few for another step
    bottom, right = bottom - below % window.stride[0], right - beside % window.stride[1]
    return convolve(x, weight, bias, window=window._replace(padding=((top, bottom), (left, right))))


# -- checking the arguments ------------------------------------------------------------------------------------------


def _window(
    name: str,
    x: Any,
    weight: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    mask: np.ndarray | None = None,
) -> Window:
    for argument, value, axes in (("x", x, "(N, C, H, W)"), ("weight", weight, "with 4 axes")):
        if getattr(value, "ndim", None) != 4:
            raise ValueError(f"{name}: takes {argument} {axes}, got {getattr(value, 'shape', type(value).__name__)}")
    kernel = tuple(weight.shape[2:])
    live = np.ones(kernel, bool) if mask is None else mask.any(axis=(0, 1)) if mask.ndim == 4 else mask
    return Window(
        kernel,
        _pair(name, "stride", stride, least=1),
        _padding(name, padding),
        _pair(name, "dilation", dilation, least=1),
        groups,
        runs_of(live),
        None if mask is None or (mask == live).all() else mask,
    )


def _check(name: str, x: Any, weight: Any, bias: Any, takes: int, gives: int, groups: int) -> None:
    """That weight `takes` x's channels and `gives` as many as bias has, in whole groups."""
    if not isinstance(groups, int) or groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"{name}: groups must divide the {weight.shape[0]} of weight {weight.shape}, got {groups!r}")
    if x.shape[1] != takes:
        among = f" in {groups} groups" if groups > 1 else ""
        raise ValueError(
            f"{name}: x has {x.shape[1]} channels {x.shape} but weight takes {takes} {weight.shape}{among}"
        )
    if bias is not None and getattr(bias, "shape", None) != (gives,):
        got = getattr(bias, "shape", type(bias).__name__)
        raise ValueError(f"{name}: weight {weight.shape} takes a bias {(gives,)}, got {got}")
    for argument, value in (("x", x), ("bias", bias)):
        if value is not None and value.dtype != weight.dtype:
            raise TypeError(f"{name}: {argument} is {value.dtype} but weight {weight.dtype}; cast with `.astype`")


def _padding(name: str, value: Any) -> tuple[Pair, Pair]:
    """An int, a pair or two pairs as ((top, bottom), (left, right))."""
    if isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(v, tuple | list) for v in value):
        return _pair(name, "padding", value[0], least=0), _pair(name, "padding", value[1], least=0)
    vertical, horizontal = _pair(name, "padding", value, least=0)
    return (vertical, vertical), (horizontal, horizontal)


def _pair(name: str, option: str, value: Any, least: int) -> Pair:
    """An int or a pair as a pair."""
    try:
        first, second = (index(v) for v in (value if isinstance(value, tuple | list) else (value, value)))
    except (TypeError, ValueError):
        first = second = least - 1
    if min(first, second) < least:
        raise ValueError(f"{name}: {option} takes an int from {least} up, or a pair of them, got {value!r}")
    return first, second
