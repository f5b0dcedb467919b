"""Cached sampling: layers that compute one pixel at a time, so that nothing is computed twice.

Drawing a value needs the logits of its pixel alone. In raster order, everything that a masked convolution or a
recurrent layer reads at other pixels was computed when those pixels were drawn, and only has to be stored
(Ramachandran et al. 2017, "Fast Generation for Convolutional Autoregressive Models", arXiv 1704.06001).

The architecture is not written a second time for this. `at_one_pixel` copies a model's tree of modules and replaces
each layer that reads other pixels by its one-pixel form from the table `FORMS`. The copy runs the model's own code, on
features (n, channels, 1, 1) of the pixel at which the `Cursor` stands. Layers that read no other pixel work as they
are. A new kind of layer that reads other pixels needs an entry in `FORMS`; a layer may run once in a forward pass.

With several colours, the network runs at a pixel before each of its values is drawn. The features of colour c are right
from run c on, so after the last run all are right. The image itself is complete only when the last colour has been
drawn; therefore the layers that read the image read it from the cursor.

A layer keeps the rows above that it reads, and all of them move up when a row begins. So every row is computed in the
same places of memory by the same kernels, which on a GPU are captured once and launched as one (`capture`).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.backend import Array, Shape, array_module, device_of
from minigen.kernels import kernel
from minigen.nn.pixel_recurrent import DiagonalLSTM, matrix


class Cursor:
    """The place in the current row at which the network runs, and the images so far as the network sees them.

    n            the number of images, each (C, H, W) = `image_shape`
    levels       the network's input for each value 0, 1, ..., (levels,)
    margin       rows that are kept above the current one, and columns of zeros on both sides
    """

    def __init__(self, n: int, image_shape: Shape, levels: Array, margin: int) -> None:
        self.colours, _, self.width = image_shape
        self.n, self.levels, self.margin, self.module = n, levels, margin, array_module(levels)
        self.image = self.zeros(self.colours)
        self.row = self.module.zeros((n, self.colours, self.width), np.uint8)  # the integers drawn in it

    def zeros(self, channels: int) -> Array:
        """The current row of a map, last, below the rows above it: zeros (n, margin + 1, W + 2 margin, channels)."""
        shape = (self.n, self.margin + 1, self.width + 2 * self.margin, channels)
        return self.module.zeros(shape, self.levels.dtype)

    def move(self, column: int, colour: int) -> None:
        """Go to a value of the current row; `pixel`, (n, C, 1, 1), is a view of the images there."""
        self.column, self.colour = column, colour
        self.begins_row = (column, colour) == (0, 0)
        self.ends_row = (column, colour) == (self.width - 1, self.colours - 1)
        self.pixel = self.image[:, -1, column + self.margin, :, None, None]
        if self.begins_row:
            move_up(self.image)

    def write(self, values: Array) -> None:
        """Set the value at the cursor to integers (n,)."""
        self.row[:, self.colour, self.column] = values
        self.pixel[:, self.colour, 0, 0] = self.levels[values]

    def check(self, x: Array, reader: str) -> None:
        """`ValueError` unless x, the input of a layer that reads the image, is `pixel`."""
        if x is not self.pixel:
            raise ValueError(f"sample: {reader} expects the image as its input, got features; draw with cached=False")


def move_up(rows: Array) -> None:
    """Begin a row: of rows (n, margin + 1, ...), each takes the place of the one above it."""
    rows[:, :-1] = rows[:, 1:]


def at_one_pixel(part: Any, cursor: Cursor) -> Any:
    """A copy of a module (or list of modules) that computes its output at the cursor's pixel.

    Its parameters are the arrays of the original's Tensors, so it records nothing on the tape.
    """
    if isinstance(part, Tensor):
        return part.data
    if type(part) in (list, tuple):
        return type(part)(at_one_pixel(x, cursor) for x in part)
    if not isinstance(part, nn.Module):
        return part
    twin = copy(part)
    vars(twin).update({name: at_one_pixel(x, cursor) for name, x in vars(part).items()})
    return next((form(twin, cursor) for kind, form in FORMS.items() if isinstance(part, kind)), twin)


def margin_for(model: nn.Module) -> int:
    """The largest number of pixels that a masked convolution of the model reaches to one side, at least 1."""
    sizes = [layer.weight.shape[2:] for layer in model.modules() if isinstance(layer, nn.MaskedConv2d)]
    return max([1, *(max(size) // 2 for size in sizes)])


# -- convolutions ------------------------------------------------------------------------------------------------------


class MaskedConv2dAtPixel(nn.Module):
    """A `MaskedConv2d`: the features under its live taps times their weights, (n, in, 1, 1) -> (n, out, 1, 1).

    It keeps the features of this row so far and of the rows above. A layer with mask A reads the image, which the
    cursor keeps.
    """

    def __init__(self, layer: nn.MaskedConv2d, cursor: Cursor) -> None:
        out_channels, in_channels, height, self.width = layer.weight.shape
        self.cursor, self.reads_image = cursor, layer.mask_type == "A"
        self.pointwise = (height, self.width) == (1, 1)
        live: Any = layer.mask.reshape(-1, height, self.width).any(axis=0) | self.pointwise  # which keeps its tap
        by_tap = (layer.weight * device_of(layer.weight).asarray(layer.mask)).transpose(2, 3, 1, 0)  # (kh, kw, in, out)
        self.matrix = by_tap.reshape(-1, out_channels)[: live.sum() * in_channels]  # the live taps are the first ones
        self.bias = cursor.module.zeros(out_channels, by_tap.dtype) if layer.bias is None else layer.bias
        if not self.pointwise:
            self.seen = cursor.image if self.reads_image else cursor.zeros(in_channels)
            self.top, self.left = cursor.margin - height // 2, cursor.margin - self.width // 2

    def forward(self, x: Array) -> Array:
        j = self.cursor.column
        out = self.cursor.module.empty((len(x), self.matrix.shape[1]), x.dtype)
        if self.pointwise:
            _under_taps(x.transpose(0, 2, 3, 1), self.matrix, self.bias, 0, 0, 1, out)
            return out[:, :, None, None]
        if self.reads_image:
            self.cursor.check(x, "MaskedConv2d with mask A")
        else:
            if self.cursor.begins_row:
                move_up(self.seen)
            self.seen[:, -1, j + self.cursor.margin] = x[:, :, 0, 0]
        _under_taps(self.seen, self.matrix, self.bias, self.top, j + self.left, self.width, out)
        return out[:, :, None, None]


@kernel(
    "raw T seen, raw T matrix, raw T bias, int64 row, int64 column, int64 width",
    "T out",
    """
    const ptrdiff_t height = seen.shape()[1], across = seen.shape()[2], channels = seen.shape()[3];
    const ptrdiff_t outputs = matrix.shape()[1], example = i / outputs, output = i % outputs;
    T sum = 0;
    for (ptrdiff_t tap = 0; tap < matrix.shape()[0] / channels; ++tap) {
        const ptrdiff_t place = (example * height + row + tap / width) * across + column + tap % width;
        for (ptrdiff_t k = 0; k < channels; ++k)
            sum += seen[place * channels + k] * matrix[(tap * channels + k) * outputs + output];
    }
    out = sum + bias[output];
    """,
)
def _under_taps(seen: Array, matrix: Array, bias: Array, row: int, column: int, width: int, out: Array) -> None:
    """Features (n, H, W, in) under the taps, `width` in a row and from this place on, times the matrix, plus bias."""
    taps = len(matrix) // seen.shape[3]
    lengths = [min(width, taps - start) for start in range(0, taps, width)]
    parts = [seen[:, row + i, column : column + n].reshape(len(seen), -1) for i, n in enumerate(lengths)]
    np.matmul(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1), matrix, out=out)
    out += bias


class Conv2dAtRow(nn.Module):
    """A convolution that reads nothing below its row, as in a vertical stack: (n, in, 1, W) -> (n, out, 1, W).

    It runs once a row. The layer's padding is ((rows above, 0), sides).
    """

    def __init__(self, layer: nn.Conv2d, cursor: Cursor) -> None:
        (above, _), sides = layer.options["padding"]
        self.layer, self.options = layer, layer.options | {"padding": ((0, 0), sides)}
        shape = (cursor.n, layer.weight.shape[1], above, cursor.width)
        self.above = cursor.module.zeros(shape, cursor.levels.dtype)

    def forward(self, x: Array) -> Array:
        rows = array_module(x).concatenate([self.above, x], axis=2)
        self.above[...] = rows[:, :, 1:]
        return ops.conv2d(rows, self.layer.weight, self.layer.bias, **self.options)


class RowAbove(nn.Module):
    """`ShiftDown` of the image: (n, C, 1, 1) -> the row above the pixel, (n, C, 1, W)."""

    def __init__(self, layer: nn.ShiftDown, cursor: Cursor) -> None:
        self.cursor = cursor

    def forward(self, x: Array) -> Array:
        self.cursor.check(x, "ShiftDown")
        left = self.cursor.margin
        return self.cursor.image[:, -2:-1, left : left + self.cursor.width].transpose(0, 3, 1, 2)


# -- recurrent layers --------------------------------------------------------------------------------------------------


class RowLSTMAtPixel(nn.Module):
    """A `RowLSTM`, (n, 2h, 1, 1) -> (n, 2h, 1, 1); the state-to-state part is computed once a row."""

    def __init__(self, layer: nn.RowLSTM, cursor: Cursor) -> None:
        self.layer, self.cursor = layer, cursor
        self.weight, shape = matrix(layer.state_to_state), (cursor.width, cursor.n, layer.hidden)
        self.h, self.c = (cursor.module.broadcast_to(start, shape).copy() for start in (layer.h0, layer.c0))

    def forward(self, x: Array) -> Array:
        if self.cursor.begins_row:
            self.begin_row()
        j = self.cursor.column
        gates = self.layer.input_to_state(x)[:, :, 0, 0] + self.from_above[j]
        self.h[j], self.c[j] = ops.lstm_cell(gates, self.above_c[j])
        return x + self.layer.expand(self.h[j][:, :, None, None])

    def begin_row(self) -> None:
        """The states h and c of the row just finished become those of the row above."""
        width, margin = self.cursor.width, self.layer.kernel_size // 2
        padded = ops.pad(self.h, ((margin, margin), (0, 0), (0, 0)))
        taps = ops.concat([padded[tap : tap + width] for tap in range(self.layer.kernel_size)], axis=2)
        self.from_above = ops.linear(taps, self.weight)
        self.above_c = self.c.copy()


class DiagonalLSTMAtPixel(nn.Module):
    """One direction of a `DiagonalBiLSTM`, along the row; the columns are counted in its direction."""

    def __init__(self, lstm: DiagonalLSTM, cursor: Cursor) -> None:
        self.lstm, self.weight = lstm, matrix(lstm.state_to_state)
        shape = (cursor.width + 1, cursor.n, lstm.hidden)  # index -1: the state outside of the image
        self.h, self.c = (cursor.module.broadcast_to(start, shape).copy() for start in (lstm.h0, lstm.c0))

    def begin_row(self) -> None:
        """The states h of the row just finished become those of the row above."""
        self.above = self.h.copy()

    def forward(self, x: Array, column: int) -> Array:
        """The state (n, h) from the features x (n, 2h, 1, 1)."""
        above_and_left = array_module(x).concatenate([self.above[column], self.h[column - 1]], axis=1)
        gates = self.lstm.input_to_state(x)[:, :, 0, 0] + ops.linear(above_and_left, self.weight)
        self.h[column], self.c[column] = ops.lstm_cell(gates, self.c[column - 1])
        return self.h[column]


class DiagonalBiLSTMAtPixel(nn.Module):
    """A `DiagonalBiLSTM`, (n, 2h, 1, 1) -> (n, 2h, 1, 1); the LSTM from the right runs when a row is complete."""

    def __init__(self, layer: Any, cursor: Cursor) -> None:
        self.layer, self.cursor = layer, cursor
        self.features = [None] * cursor.width  # of this row
        self.from_right = cursor.module.zeros((cursor.width, cursor.n, layer.hidden), cursor.levels.dtype)

    def forward(self, x: Array) -> Array:
        if self.cursor.begins_row:
            self.layer.left_to_right.begin_row()
        j = self.cursor.column
        self.features[j] = x
        h = self.layer.left_to_right(x, j) + self.from_right[j]
        if self.cursor.ends_row:
            self.run_from_right()
        return x + self.layer.expand(h[:, :, None, None])

    def run_from_right(self) -> None:
        """Run the LSTM from the right over this row, for the row below."""
        self.layer.right_to_left.begin_row()
        for column, x in enumerate(reversed(self.features)):
            self.from_right[-1 - column] = self.layer.right_to_left(x, column)


# The one-pixel form of each kind of layer that reads other pixels. It is built from the cursor and the layer, whose
# parts are already in their one-pixel form and whose parameters are arrays.
FORMS: dict[type[nn.Module], Callable[[Any, Cursor], nn.Module]] = {
    nn.MaskedConv2d: MaskedConv2dAtPixel,
    nn.Conv2d: lambda layer, cursor: layer if layer.weight.shape[2:] == (1, 1) else Conv2dAtRow(layer, cursor),
    nn.ShiftDown: RowAbove,
    nn.RowLSTM: RowLSTMAtPixel,
    DiagonalLSTM: DiagonalLSTMAtPixel,
    nn.DiagonalBiLSTM: DiagonalBiLSTMAtPixel,
}
