"""What lies under a convolution's kernel, as the rows of a matrix.

At each position of the output the kernel covers kh * kw places of the input, its taps, with C numbers each. Written
side by side they are one row of a matrix, the columns (taps * C of them), and the convolution is that matrix times
the weights. This takes kh * kw times the input's memory, so it is done for a few images at a time, as many as
stay in the processor's cache; then the copy costs little beside the product.

Inside, the channels come last, (N, H, W, C): the taps that lie beside each other in a row of the kernel are then
one contiguous piece of memory. Taps that a mask switches off are never copied, multiplied or added.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from minigen.backend import Array, array_module

Pair = tuple[int, int]


class Window(NamedTuple):
    """Which inputs each output sees, in both directions: the sizes of input and output determine each other.

    Output (i, j) sees through tap (a, b) the input (stride i + dilation a - top, stride j + dilation b - left).
    """

    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]  # (top, bottom), (left, right); a negative padding cuts off
    dilation: Pair
    groups: int
    runs: tuple[tuple[slice, int, slice], ...]  # the live taps: (which of them, their row, their columns)
    mask: np.ndarray | None = None  # of the weight's shape; None where the runs say it all

    @property
    def taps(self) -> int:
        """The number of live taps."""
        return self.runs[-1][0].stop if self.runs else 0

    def span(self, axis: int) -> int:
        """How far the dilated kernel reaches."""
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    def output_size(self, size: Pair) -> Pair:
        """The output's height and width for an input's."""
        height, width = (
            (size[axis] + sum(self.padding[axis]) - self.span(axis)) // self.stride[axis] + 1 for axis in (0, 1)
        )
        return height, width

    def input_size(self, size: Pair) -> Pair:
        """The input's height and width for an output's."""
        height, width = (
            self.stride[axis] * (size[axis] - 1) + self.span(axis) - sum(self.padding[axis]) for axis in (0, 1)
        )
        return height, width

    def flipped(self) -> Window:
        """The window seen from the input, for stride 1: which outputs each input is seen by."""
        (top, bottom), (left, right) = self.padding
        down, across = self.span(0) - 1, self.span(1) - 1
        kh, kw, last = *self.kernel, self.taps
        runs = [
            (slice(last - taps.stop, last - taps.start), kh - 1 - row, slice(kw - live.stop, kw - live.start))
            for taps, row, live in reversed(self.runs)
        ]
        padding = ((down - top, down - bottom), (across - left, across - right))
        return self._replace(padding=padding, runs=tuple(runs), mask=None)


def runs_of(live: Any) -> tuple[tuple[slice, int, slice], ...]:
    """The live taps, in pieces that lie beside each other in a row of the kernel."""
    runs, taps = [], 0
    for row, alive in enumerate(live):
        for is_live, group in groupby(range(len(alive)), key=lambda column: alive[column]):
            if is_live:
                run = list(group)
                runs.append((slice(taps, taps + len(run)), row, slice(run[0], run[-1] + 1)))
                taps += len(run)
    return tuple(runs)


def images_at_once(xp: Any, images: int, window: Window, size: Pair, channels: int, dtype: Any) -> int:
    """How many images' columns to hold: on a CPU what stays in the cache, on a GPU few and large steps."""
    budget = 8 << 20 if xp is np else 512 << 20  # bytes; less would keep the threads of the product waiting
    one = window.taps * channels * size[0] * size[1] * dtype.itemsize
    return max(1, min(images, budget // max(1, one)))


def columns(x: Array, window: Window) -> Iterator[tuple[slice, Array]]:
    """What each output sees: (which images, (images * positions, taps * C)), in a buffer that is used again."""
    xp = array_module(x)
    x = x.transpose(0, 2, 3, 1)  # (N, H, W, C)
    images, *size, channels = x.shape
    if window.kernel == window.stride == (1, 1) and window.padding == ((0, 0), (0, 0)) and window.taps:
        yield slice(0, images), x.reshape(-1, channels)
        return
    height, width = window.output_size(size)
    step = images_at_once(xp, images, window, (height, width), channels, x.dtype)
    padded = xp.zeros((step, *(n + sum(p) for n, p in zip(size, window.padding, strict=True)), channels), x.dtype)
    buffer = xp.empty((step, height, width, window.taps, channels), x.dtype)
    views = _views(padded, window)
    for start in range(0, images, step):
        some = slice(start, min(start + step, images))
        n = some.stop - start
        move(x[some], padded[:n], (window.padding[0][0], window.padding[1][0]))
        for taps, row, across in window.runs:
            buffer[:n, :, :, taps] = views[:n, :, :, row, across]
        yield some, buffer[:n].reshape(n * height * width, window.taps * channels)


def _views(padded: Array, window: Window) -> Array:
    """A view (N, H', W', kh, kw, C) of the padded images (N, H, W, C): for each output, what is under each tap."""
    (down, across), (dy, dx) = window.stride, window.dilation
    sliding = array_module(padded).lib.stride_tricks.sliding_window_view
    views = sliding(padded, (window.span(0), window.span(1)), axis=(1, 2))  # (N, ., ., C, kh, kw)
    return views[:, ::down, ::across, :, ::dy, ::dx].transpose(0, 1, 2, 4, 5, 3)


def add_columns(matrix: Array, padded: Array, window: Window, size: Pair) -> None:
    """The opposite way: add each row of (images * positions, taps * C) where its output had seen it."""
    (down, across), (dy, dx), (height, width) = window.stride, window.dilation, size
    matrix = matrix.reshape(len(padded), height, width, window.taps, padded.shape[3])
    for taps, row, live in window.runs:
        y = row * dy
        for tap, column in zip(range(taps.start, taps.stop), range(live.start, live.stop), strict=True):
            x = column * dx
            target = padded[:, y : y + down * height : down, x : x + across * width : across]
            target += matrix[:, :, :, tap]


def move(source: Array, target: Array, by: Pair) -> None:
    """Write the images (N, H, W, C) into the target, moved down and right; what falls outside is left out."""
    here: list[slice] = []
    there: list[slice] = []
    for axis in (0, 1):
        first = max(by[axis], 0)
        stop = max(first, min(source.shape[axis + 1] + by[axis], target.shape[axis + 1]))
        here.append(slice(first - by[axis], stop - by[axis]))
        there.append(slice(first, stop))
    target[:, there[0], there[1]] = source[:, here[0], here[1]]


def weight_matrix(weight: Array, window: Window) -> Array:
    """The live taps of a group's weights: (O, C, kh, kw) -> (taps * C, O)."""
    weight = weight.transpose(2, 3, 1, 0)  # (kh, kw, C, O)
    matrix = array_module(weight).empty((window.taps, *weight.shape[2:]), weight.dtype)
    for taps, row, across in window.runs:
        matrix[taps] = weight[row, across]
    return matrix.reshape(-1, weight.shape[3])


def set_weights(weight: Array, matrix: Array, window: Window) -> None:
    """The opposite way: (taps * C, O) into the live taps of (O, C, kh, kw)."""
    weight = weight.transpose(2, 3, 1, 0)
    matrix = matrix.reshape(window.taps, *weight.shape[2:])
    for taps, row, across in window.runs:
        weight[row, across] = matrix[taps]
