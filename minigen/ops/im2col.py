"""im2col and col2im: a convolution as a product of matrices.

im2col ("image to columns") writes down, for each output, the pixels that the kernel covers there. A 3 x 3 kernel fits
into an image of 4 x 4 pixels at 2 x 2 positions. With the pixels numbered in raster order:

    the image, the kernel at            the columns: what the kernel
      its first position                 covers at each position

      [ 0  1  2]  3                 0  1  2   4  5  6   8  9 10         for y[0, 0]
      [ 4  5  6]  7                 1  2  3   5  6  7   9 10 11         for y[0, 1]
      [ 8  9 10] 11                 4  5  6   8  9 10  12 13 14         for y[1, 0]
       12 13 14  15                 5  6  7   9 10 11  13 14 15         for y[1, 1]

The matrix on the right times the nine weights of the kernel is the convolution. With C channels, each entry stands for
C numbers; with O output channels, the weights are a matrix (9 C, O). The nine places in the kernel are called its taps.
A mask that switches taps off removes their columns, so they are never copied, multiplied or added.

col2im ("columns to image") is the transpose: it adds each entry of such a matrix to the pixel that it stands for.

How the numbers lie in memory decides how fast this is:

- Channels last, (N, H, W, C). The C numbers of a pixel are then one piece of memory, and the taps side by side in a
  row of the kernel are one longer piece, copied at once: `Run`.
- The taps outermost, (kh, kw, C, O), for the weights: their matrix is then a view of them.
- On a GPU, where each operation costs the launch of a kernel: taps that follow each other in raster order, `Stretch`,
  are copied or added in one launch.
- A few images at a time. The columns need kh * kw times the memory of the images. On a CPU, they are made for as many
  images as stay in the cache, where writing and reading them costs little compared to the product.

Chellapilla, Puri & Simard, "High performance convolutional neural networks for document processing" (2006). There each
column of the matrix belongs to one output, which gave im2col its name; here it is each row.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np

from minigen.backend import Array, array_module, on_host, working_memory
from minigen.kernels import kernel
from minigen.ops.convolution_geometry import Geometry, Pair, overlap

# -- the live taps: what a mask leaves of the kernel -----------------------------------------------------------------


class Run(NamedTuple):
    """Live taps side by side in a row of the kernel."""

    numbers: slice  # which of all live taps they are, in raster order
    row: int  # where they lie in the kernel
    columns: slice


class Stretch(NamedTuple):
    """Live taps that follow each other in raster order. A causal mask leaves a single stretch."""

    numbers: slice  # which of all live taps they are
    taps: slice  # which of all taps


class LiveTaps:
    """The taps of a kernel that a mask (kh, kw) leaves: how many they are (`count`), their `runs` and `stretches`."""

    def __init__(self, mask: Any) -> None:
        self.mask, self.count = mask, 0
        self.runs: list[Run] = []
        for row, live in enumerate(mask.tolist()):
            for is_live, neighbours in groupby(range(len(live)), key=live.__getitem__):
                columns = list(neighbours)
                if is_live:
                    numbers = slice(self.count, self.count + len(columns))
                    self.runs.append(Run(numbers, row, slice(columns[0], columns[-1] + 1)))
                    self.count = numbers.stop
        places = np.flatnonzero(mask)
        starts = [0, *(np.flatnonzero(np.diff(places) > 1) + 1).tolist(), self.count]
        self.stretches = [
            Stretch(slice(a, b), slice(int(places[a]), int(places[b - 1]) + 1)) for a, b in pairwise(starts) if a < b
        ]

    @cached_property
    def flipped(self) -> LiveTaps:
        """The same taps of the kernel flipped in both axes."""
        return LiveTaps(self.mask[::-1, ::-1])


# -- images and columns ----------------------------------------------------------------------------------------------


def images_at_once(x: Array, numbers: int) -> int:
    """How many images of x (N, ...) to process at a time, if the columns of one image hold `numbers` numbers."""
    return max(1, min(len(x), working_memory(x) // max(1, numbers * x.dtype.itemsize)))


def im2col(x: Array, geometry: Geometry, live: LiveTaps) -> Iterator[tuple[slice, Array]]:
    """The columns of images x (N, C, H, W), for some images at a time: their slice and (images * H' * W', taps * C).

    The columns of the next images overwrite those of the previous ones.
    """
    xp = array_module(x)
    x = x.transpose(0, 2, 3, 1)  # (N, H, W, C)
    images, *size, channels = x.shape
    if geometry.kernel == geometry.stride == (1, 1) and geometry.padding == ((0, 0), (0, 0)) and live.count:
        yield slice(0, images), x.reshape(-1, channels)  # each output sees its own pixel
        return
    height, width = geometry.output_size(size)
    step = images_at_once(x, height * width * live.count * channels)
    columns = xp.empty((step, height, width, live.count, channels), x.dtype)
    copy = _copy_runs if on_host(x) else _copy_stretches
    for start in range(0, images, step):
        some = slice(start, min(start + step, images))
        n = some.stop - start
        copy(x[some], columns[:n], geometry, live)
        yield some, columns[:n].reshape(n * height * width, live.count * channels)


def _copy_runs(x: Array, columns: Array, geometry: Geometry, live: LiveTaps) -> None:
    """Fill columns (N, H', W', taps, C) with the pixels of images x (N, H, W, C) that they stand for."""
    n, height, width, channels = x.shape
    padded = array_module(x).zeros((n, *geometry.padded_size((height, width)), channels), x.dtype)
    _pad(x, padded, geometry)
    windows = _windows(padded, geometry, columns.shape[1:3])
    for run in live.runs:
        columns[:, :, :, run.numbers] = windows[:, :, :, run.row, run.columns]


def _pad(x: Array, padded: Array, geometry: Geometry) -> None:
    """Write images (N, H, W, C) into the middle of the padded ones; a negative padding cuts pixels off."""
    (top, _), (left, _) = geometry.padding
    to_rows, rows = overlap(-top, 1, padded.shape[1], x.shape[1])
    to_columns, columns = overlap(-left, 1, padded.shape[2], x.shape[2])
    padded[:, to_rows, to_columns] = x[:, rows, columns]


def _windows(padded: Array, geometry: Geometry, size: Pair) -> Array:
    """A view (N, H', W', kh, kw, C) of padded images (N, H, W, C): the pixel under each tap for each output.

    One step to the next output is `stride` pixels, one step to the next tap `dilation` pixels; `size` is (H', W').
    """
    (sy, sx), (dy, dx) = geometry.stride, geometry.dilation
    image, row, pixel, channel = padded.strides
    shape = (len(padded), *size, *geometry.kernel, padded.shape[3])
    strides = (image, sy * row, sx * pixel, dy * row, dx * pixel, channel)
    return array_module(padded).lib.stride_tricks.as_strided(padded, shape, strides)


def col2im(columns: Array, images: Array, geometry: Geometry, live: LiveTaps) -> None:
    """Add columns (N * H' * W', taps * C) to the pixels of the images (N, H, W, C) that they stand for."""
    n, height, width, channels = images.shape
    columns = columns.reshape(n, *geometry.output_size((height, width)), live.count, channels)
    for numbers, taps in live.stretches:
        _add_taps(columns[:, :, :, numbers], taps.start, height, width, *_numbers(geometry), images)


def _copy_stretches(x: Array, columns: Array, geometry: Geometry, live: LiveTaps) -> None:
    """The same as `_copy_runs`, in one launch for each stretch."""
    for numbers, taps in live.stretches:
        part = columns[:, :, :, numbers]
        _, height, width, count, _ = part.shape
        _copy_taps(x, taps.start, height, width, count, *_numbers(geometry), part)


def _numbers(geometry: Geometry) -> tuple[int, int, int, int, int, int, int]:
    """What the kernels below need to know of the geometry."""
    (top, _), (left, _) = geometry.padding
    return geometry.kernel[1], *geometry.stride, *geometry.dilation, top, left


_GEOMETRY = "int64 kw, int64 sy, int64 sx, int64 dy, int64 dx, int64 top, int64 left"


@kernel(
    f"raw T x, int64 first, int64 height, int64 width, int64 taps, {_GEOMETRY}",
    "T column",
    """
    const ptrdiff_t rows = x.shape()[1], across = x.shape()[2], channels = x.shape()[3];
    const ptrdiff_t tap = first + i / channels % taps, output = i / channels / taps;
    const ptrdiff_t row = sy * (output / width % height) + dy * (tap / kw) - top;
    const ptrdiff_t at = sx * (output % width) + dx * (tap % kw) - left;
    const bool inside = row >= 0 && row < rows && at >= 0 && at < across;
    column = inside ? x[((output / width / height * rows + row) * across + at) * channels + i % channels] : T(0);
    """,
)
def _copy_taps(
    x: Array, first: int, height: int, width: int, taps: int,
    kw: int, sy: int, sx: int, dy: int, dx: int, top: int, left: int, columns: Array,
) -> None:  # fmt: skip
    """Fill columns (N, H', W', taps, C) for the taps from number `first` on; a pixel in the padding is 0."""
    columns[...] = 0
    for number in range(taps):
        a, b = divmod(first + number, kw)
        i, rows = overlap(dy * a - top, sy, height, x.shape[1])
        j, across = overlap(dx * b - left, sx, width, x.shape[2])
        columns[:, i, j, number] = x[:, rows, across]


@kernel(
    f"raw T columns, int64 first, int64 height, int64 width, {_GEOMETRY}",
    "T pixel",
    """
    const ptrdiff_t rows = columns.shape()[1], across = columns.shape()[2];
    const ptrdiff_t taps = columns.shape()[3], channels = columns.shape()[4], at = i / channels;
    for (ptrdiff_t k = 0; k < taps; ++k) {
        const ptrdiff_t y = at / width % height + top - dy * ((first + k) / kw), row = y / sy;
        const ptrdiff_t x = at % width + left - dx * ((first + k) % kw), column = x / sx;
        if (y >= 0 && y % sy == 0 && row < rows && x >= 0 && x % sx == 0 && column < across) {
            const ptrdiff_t output = (at / width / height * rows + row) * across + column;
            pixel += columns[(output * taps + k) * channels + i % channels];
        }
    }
    """,
)
def _add_taps(
    columns: Array, first: int, height: int, width: int,
    kw: int, sy: int, sx: int, dy: int, dx: int, top: int, left: int, images: Array,
) -> None:  # fmt: skip
    """Add columns (N, H', W', taps, C) for the taps from number `first` on to the images (N, H, W, C)."""
    for number in range(columns.shape[3]):
        a, b = divmod(first + number, kw)
        i, rows = overlap(dy * a - top, sy, columns.shape[1], height)
        j, across = overlap(dx * b - left, sx, columns.shape[2], width)
        images[:, rows, across] += columns[:, i, j, number]


# -- products ------------------------------------------------------------------------------------------------------


def in_blocks(x: Array, work: int) -> Array:
    """The rows of x (M, K) as blocks (B, M / B, K), a view, or x itself; each row is multiplied `work` times.

    On a CPU, OpenBLAS multiplies matrices with up to a million multiplications as they are, and copies parts of larger
    ones first. For columns of few numbers times few weights, the copies take as long as the product.
    """
    blocks = _blocks(len(x), work) if isinstance(x, np.ndarray) else 1
    return x if blocks == 1 else x.reshape(blocks, len(x) // blocks, x.shape[1])


@cache
def _blocks(rows: int, work: int) -> int:
    """How many blocks of equally many rows, 64 or more: 1 if that is not possible."""
    least = max(1, -(-rows * work // 10**6))
    return next((n for n in range(least, 4 * least) if rows % n == 0 and rows >= 64 * n), 1)


# -- weights ---------------------------------------------------------------------------------------------------------


def taps_outermost(weight: Array) -> Array:
    """The same weights (O, C, kh, kw) in the memory order (kh, kw, C, O), in which their matrix is a view of them."""
    return array_module(weight).ascontiguousarray(weight.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)


def weight_matrix(weight: Array, live: LiveTaps) -> Array:
    """The live taps of weights (O, C, kh, kw) as the matrix that columns are multiplied by: (taps * C, O)."""
    outputs, channels, kh, kw = weight.shape
    taps = weight.transpose(2, 3, 1, 0).reshape(kh * kw, channels, outputs)
    parts = [taps[stretch.taps] for stretch in live.stretches] or [taps[:0]]
    matrices = parts[0] if len(parts) == 1 else array_module(weight).concatenate(parts)
    return matrices.reshape(-1, outputs)


def weights_of(matrix: Array, kernel_size: Pair, channels: int, live: LiveTaps) -> Array:
    """The inverse of `weight_matrix`: (taps * C, O) as weights (O, C, kh, kw), which are 0 at dead taps."""
    kh, kw = kernel_size
    taps = matrix.reshape(live.count, channels, matrix.shape[1])
    if live.count < kh * kw:
        every = array_module(matrix).zeros((kh * kw, *taps.shape[1:]), matrix.dtype)
        for stretch in live.stretches:
            every[stretch.taps] = taps[stretch.numbers]
        taps = every
    return taps.reshape(kh, kw, *taps.shape[1:]).transpose(3, 2, 0, 1)
