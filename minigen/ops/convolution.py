"""Convolution, transposed convolution and masked convolution of images.

With images x (N, C, H, W), weight (O, C, kh, kw) and y (N, O, H', W'), all of them come from one sum,

    T(x, weight, y) = sum over n, o, i, j, c, a, b of
                      y[n, o, i, j] weight[o, c, a, b] x[n, c, s i + d a - p, s j + d b - p]

with stride s, dilation d and padding p. T is linear in each of its three arguments. Its derivative with respect to

    y         is the convolution of x with weight,
    x         is the transposed convolution of y with weight: the input gradient of a convolution,
    weight    is the weight gradient of a convolution.

So each of the three operations has the other two as its derivatives, to every order. `naive_conv2d` computes the first
by its definition. The operations below it compute all three as products of matrices, which `im2col.py` explains.

Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (2016, arXiv 1603.07285); the masked one is
from van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016, arXiv 1601.06759), section 3.4.
"""

from __future__ import annotations

import math
import operator
from functools import cache, lru_cache, reduce
from typing import Any

import numpy as np

from minigen import backend
from minigen.autograd import primitive, raw
from minigen.backend import Array, Device, Shape, array_module, device_of, on_host
from minigen.ops.convolution_arguments import checked_mask, conv2d_geometry, conv_transpose2d_geometry
from minigen.ops.convolution_geometry import Geometry, Pair
from minigen.ops.im2col import LiveTaps, col2im, im2col, images_at_once, in_blocks, weight_matrix, weights_of
from minigen.ops.reductions import sum_per_channel

__all__ = ["conv2d", "masked_conv2d", "conv_transpose2d"]

# -- the definition --------------------------------------------------------------------------------------------------


def naive_conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: Pair = (1, 1),
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """The definition of `conv2d`, with its options as pairs; the tests compare `conv2d` with it.

    y[n, o, i, j] = bias[o] + sum over c, a, b of weight[o, c, a, b] x[n, c, s i + d a - p, s j + d b - p]
    """
    outputs, channels, kh, kw = weight.shape
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    height = (x.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    width = (x.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((len(x), outputs, height, width), x.dtype)
    for o, i, j in np.ndindex(outputs, height, width):
        first = o // (outputs // groups) * channels  # of the channels in the group of o
        for c, a, b in np.ndindex(channels, kh, kw):
            row, column = stride[0] * i + dilation[0] * a, stride[1] * j + dilation[1] * b
            y[:, o, i, j] += weight[o, c, a, b] * x[:, first + c, row, column]
    return y if bias is None else y + bias[:, np.newaxis, np.newaxis]


# -- the three derivatives of T --------------------------------------------------------------------------------------
#
# Their results lie in memory with the channels last, (N, H, W, C). `live` says which taps a mask leaves.


@primitive(name="conv2d")
def _conv2d(x: Array, weight: Array, bias: Array | None = None, *, geometry: Geometry, live: LiveTaps) -> Array:
    """y[n, o, i, j] = bias[o] + sum over c, a, b of weight[o, c, a, b] x[n, c, s i + d a - p, s j + d b - p]"""
    xp = array_module(x)
    out = xp.empty((len(x), *geometry.output_size(x.shape[2:]), len(weight)), x.dtype)
    for inputs, outputs in geometry.channel_groups(x.shape[1], len(weight)):
        matrix = weight_matrix(weight[outputs], live)
        for some, columns in im2col(x[:, inputs], geometry, live):
            rows = out[some, ..., outputs].reshape(-1, matrix.shape[1])  # a view
            backend.matmul(in_blocks(columns, matrix.size), matrix, out=in_blocks(rows, matrix.size))
            if bias is not None:
                rows += bias[outputs]
    return out.transpose(0, 3, 1, 2)


@primitive(name="conv_transpose2d")
def _conv_transpose2d(
    y: Array, weight: Array, bias: Array | None = None, *, geometry: Geometry, live: LiveTaps
) -> Array:
    """x[n, c, h, w] = bias[c] + sum of weight[o, c, a, b] y[n, o, i, j] where s i + d a - p = h, s j + d b - p = w.

    By col2im, or as a convolution with the kernel flipped.
    """
    if _is_faster_flipped(y, weight, geometry):
        return _conv2d(y, _flipped(weight, geometry.groups), bias, geometry=geometry.flipped(), live=live.flipped)
    images, _, *size = y.shape
    channels = weight.shape[1]
    out = array_module(y).zeros((images, *geometry.input_size(size), channels * geometry.groups), y.dtype)
    step = images_at_once(y, math.prod(size) * live.count * channels)
    for inputs, outputs in geometry.channel_groups(out.shape[3], len(weight)):
        matrix = weight_matrix(weight[outputs], live).T
        for start in range(0, images, step):
            some = slice(start, start + step)
            col2im(backend.matmul(_rows(y[some, outputs]), matrix), out[some, ..., inputs], geometry, live)
    if bias is not None:
        out += bias
    return out.transpose(0, 3, 1, 2)


@primitive(name="conv2d_weight_gradient")
def _weight_gradient(x: Array, y: Array, *, geometry: Geometry, live: LiveTaps) -> Array:
    """weight[o, c, a, b] = sum over n, i, j of y[n, o, i, j] x[n, c, s i + d a - p, s j + d b - p]; 0 at dead taps."""
    if not len(x):
        return array_module(x).zeros((y.shape[1], x.shape[1] // geometry.groups, *geometry.kernel), x.dtype)
    matrices = []
    for inputs, outputs in geometry.channel_groups(x.shape[1], y.shape[1]):
        products = (
            _product(columns, _rows(y[some, outputs])) for some, columns in im2col(x[:, inputs], geometry, live)
        )
        matrices.append(reduce(operator.iadd, products))
    matrix = matrices[0] if geometry.groups == 1 else array_module(x).concatenate(matrices, axis=1)
    return weights_of(matrix, geometry.kernel, x.shape[1] // geometry.groups, live)


_conv2d.derivatives(
    x=lambda g, weight, geometry, live: _conv_transpose2d(g, weight, geometry=geometry, live=live),
    weight=lambda g, x, geometry, live: _weight_gradient(x, g, geometry=geometry, live=live),
    bias=lambda g: sum_per_channel(g),
)
_conv_transpose2d.derivatives(
    y=lambda g, weight, geometry, live: _conv2d(g, weight, geometry=geometry, live=live),
    weight=lambda g, y, geometry, live: _weight_gradient(g, y, geometry=geometry, live=live),
    bias=lambda g: sum_per_channel(g),
)
_weight_gradient.derivatives(
    x=lambda g, y, geometry, live: _conv_transpose2d(y, g, geometry=geometry, live=live),
    y=lambda g, x, geometry, live: _conv2d(x, g, geometry=geometry, live=live),
)


def _rows(y: Array) -> Array:
    """(N, O, H', W') -> (N H' W', O)"""
    return y.transpose(0, 2, 3, 1).reshape(-1, y.shape[1])


def _product(columns: Array, rows: Array) -> Array:
    """columns (M, K) transposed times rows (M, O): (K, O)"""
    work = columns.shape[1] * rows.shape[1]
    blocks = in_blocks(columns, work)
    if blocks is columns:
        return backend.matmul(columns.T, rows)
    return backend.matmul(blocks.swapaxes(1, 2), in_blocks(rows, work)).sum(axis=0)


def _is_faster_flipped(y: Array, weight: Array, geometry: Geometry) -> bool:
    """Whether a transposed convolution is faster as a convolution with the kernel flipped (possible for stride 1).

    For each tap, im2col copies O numbers for every pixel of x; col2im adds C numbers for every pixel of y. Adding a
    number in place takes about as long as copying three.
    """
    copies = len(weight) * math.prod(geometry.input_size(y.shape[2:]))
    additions = weight.shape[1] * geometry.groups * math.prod(y.shape[2:])
    return geometry.stride == (1, 1) and copies <= 3 * additions


def _flipped(weight: Array, groups: int) -> Array:
    """The kernels flipped, inputs and outputs exchanged: (O, C / groups, kh, kw) -> (C, O / groups, kh, kw)."""
    _, channels, *kernel = weight.shape
    weight = weight.reshape(groups, -1, channels, *kernel).swapaxes(1, 2)[..., ::-1, ::-1]
    return weight.reshape(groups * channels, -1, *kernel)


# -- the operations --------------------------------------------------------------------------------------------------


def conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """The convolution of images x (N, C, H, W) with weight (O, C / groups, kh, kw) and bias (O,): (N, O, H', W').

    H' = (H + top + bottom - dilation (kh - 1) - 1) // stride + 1, and W' likewise. As everywhere in deep learning, the
    kernel is not flipped; mathematics calls this a cross-correlation. `naive_conv2d` is the definition.

    stride, dilation    an int, or a pair for height and width
    padding             an int, a pair, or ((top, bottom), (left, right)): zeros put around the image
    groups              the number of groups of channels, each of which is convolved by itself

    Raises `ValueError` for shapes or options that do not fit, `TypeError` for dtypes that differ.
    """
    geometry = conv2d_geometry("conv2d", x, weight, bias, stride, padding, dilation, groups)
    return _conv2d(x, weight, bias, geometry=geometry, live=_all_taps(geometry.kernel))


def masked_conv2d(
    x: Any, weight: Any, bias: Any = None, *, mask: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Any:
    """`conv2d` with weight * mask, where `mask` is an array of zeros and ones, (kh, kw) or (O, C, kh, kw).

    Taps that the mask switches off for all channels cost nothing, in the forward and in the backward pass. The gradient
    of the weight is zero where the mask is. The mask should be a NumPy array: from a GPU it is copied at every call.
    Options and errors as for `conv2d`.
    """
    mask = checked_mask(weight, mask)
    geometry = conv2d_geometry("masked_conv2d", x, weight, bias, stride, padding, dilation, groups=1)
    live = mask if mask.ndim == 2 else mask.any(axis=(0, 1))
    if (mask != live).any():  # some channels see fewer taps than others
        target = device_of(raw(weight))
        weight = weight * (mask if on_host(raw(weight)) else _uploaded(mask.tobytes(), mask.shape, target))
    return _conv2d(x, weight, bias, geometry=geometry, live=_live_taps(live.shape, live.tobytes()))


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The transposed convolution of x (N, C, H, W) with weight (C, O / groups, kh, kw) and bias (O,): (N, O, H', W').

    It is the gradient of the `conv2d` that has these options, with respect to its input:
    H' = stride (H - 1) + dilation (kh - 1) + 1 - top - bottom + output_padding, where `output_padding` is less than
    the stride or the dilation and chooses among the sizes that `conv2d` maps to the same H. Options and errors as
    for `conv2d`.
    """
    geometry = conv_transpose2d_geometry(x, weight, bias, stride, padding, output_padding, dilation, groups)
    return _conv_transpose2d(x, weight, bias, geometry=geometry, live=_all_taps(geometry.kernel))


@lru_cache(maxsize=256)
def _uploaded(mask: bytes, shape: Shape, device: Device) -> Array:
    """A mask on a GPU, which gets it once: a layer has the same mask at every call."""
    return device.asarray(np.frombuffer(mask, bool).reshape(shape))


def _all_taps(kernel: Pair) -> LiveTaps:
    return _live_taps(kernel, bytes([True]) * math.prod(kernel))


@cache
def _live_taps(kernel: Pair, mask: bytes) -> LiveTaps:
    return LiveTaps(np.frombuffer(mask, bool).reshape(kernel))
