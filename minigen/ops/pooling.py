"""Pooling: the largest value, or the mean, under a window that moves over an image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.autograd import primitive
from minigen.backend import Array, Shape, array_module
from minigen.ops.convolution_arguments import pair
from minigen.ops.convolution_geometry import Pair
from minigen.ops.reductions import max, mean
from minigen.ops.shaping import pad

__all__ = ["max_pool2d", "avg_pool2d"]


def max_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Any:
    """The largest value under each window: (N, C, H, W) -> (N, C, H', W'). Equal largest values share the gradient.

    H' = (H + 2 padding - kernel) // stride + 1, and W' likewise.

    kernel_size    the window's height and width, an int or a pair
    stride         the step from one window to the next, by default the window's size
    padding        the width of the border, whose values are never the largest; at most half of the window

    Raises `ValueError` for a shape or options that do not fit, `TypeError` for integers.
    """
    return max(_windows_of("max_pool2d", x, kernel_size, stride, padding, -math.inf), (0, 1))


def avg_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Any:
    """The mean under each window: (N, C, H, W) -> (N, C, H', W'). The padding is of zeros, which the mean counts.

    Options and errors as for `max_pool2d`.
    """
    return mean(_windows_of("avg_pool2d", x, kernel_size, stride, padding, 0.0), (0, 1))


def _windows_of(name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, value: float) -> Any:
    """The windows of the padded image, after a check of the arguments."""
    if getattr(x, "ndim", None) != 4:
        raise ValueError(f"{name}: expects x (N, C, H, W), got {getattr(x, 'shape', type(x).__name__)}")
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expects floating-point x, got {x.dtype}")
    kernel = pair(name, "kernel_size", kernel_size, least=1)
    steps = kernel if stride is None else pair(name, "stride", stride, least=1)
    around = pair(name, "padding", padding, least=0)
    if any(2 * p > k for p, k in zip(around, kernel, strict=True)):
        raise ValueError(f"{name}: expects a padding of at most half of the kernel {kernel}, got {padding!r}")
    if any(n + 2 * p < k for n, p, k in zip(x.shape[2:], around, kernel, strict=True)):
        raise ValueError(f"{name}: the kernel {kernel} is larger than x {x.shape} with padding {around}")
    if any(around):
        x = pad(x, ((0, 0), (0, 0), (around[0],) * 2, (around[1],) * 2), value)
    return windows(x, kernel, steps)


@primitive
def windows(x: Array, kernel: Pair, stride: Pair) -> Array:
    """The pixel at each place (a, b) of each window: (N, C, H, W) -> (kh, kw, N, C, H', W').

    A reduction over a and b is about a hundred times faster with these axes first in memory than with them last.
    """
    view = array_module(x).lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3))  # (N, C, ., ., kh, kw)
    return view[:, :, :: stride[0], :: stride[1]].transpose(4, 5, 0, 1, 2, 3).copy()


@primitive
def add_windows(y: Array, stride: Pair, shape: Shape) -> Array:
    """An image of `shape` to which each window is added at its place: the adjoint of `windows`."""
    out = array_module(y).zeros(shape, dtype=y.dtype)
    kernel, (height, width), (sy, sx) = y.shape[:2], y.shape[4:], stride
    for a, b in np.ndindex(*kernel):
        out[:, :, a : a + sy * height : sy, b : b + sx * width : sx] += y[a, b]
    return out


windows.derivatives(x=lambda g, stride, x_shape: add_windows(g, stride, x_shape))
add_windows.derivatives(y=lambda g, stride, y_shape: windows(g, y_shape[:2], stride))
