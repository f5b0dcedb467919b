"""The two recurrent layers of PixelRNN (van den Oord, Kalchbrenner and Kavukcuoglu 2016, arXiv 1601.06759, section 3).

In both, every pixel has a hidden state h and a cell state c. An LSTM step computes them from four gates,

    [i, f, g, o] = K_is * x  +  K_ss * h         c' = f c + i g         h' = o tanh(c')

where the input-to-state convolution K_is * x, with mask B, is computed for the whole map at once, and the
state-to-state convolution K_ss * h step by step. The layers differ in the pixels that one step computes, and in the
pixels that it takes h and c from:

    layer             one step computes   h is taken from                             c is taken from
    RowLSTM           a row               the three nearest pixels of the row above   the pixel above
    DiagonalBiLSTM    a diagonal          the pixel above and the pixel to the left   the pixel to the left

A DiagonalBiLSTM has a second LSTM, in which the pixel to the right takes the place of the pixel to the left.

The state-to-state convolution needs no mask, not even for colours: it reads only pixels that come earlier in raster
order, all of whose colours are known. It has no bias, because the input-to-state convolution has one. States outside
the image are learned parameters h0 and c0, with one exception: to the left and the right of the image, the state-to-
state convolution of a RowLSTM is padded with zeros, as any convolution is.

`ops.lstm` takes all steps. It keeps the states that the next step can read in a row of places, one for each column of
the image in a RowLSTM, and one for each row in a DiagonalBiLSTM.
"""

from __future__ import annotations

from typing import Any

from minigen import ops
from minigen.nn.convolution import MaskedConv2d
from minigen.nn.init import constant, fan_in_uniform
from minigen.nn.module import Module
from minigen.nn.shift import ShiftDown


class RowLSTM(Module):
    """An LSTM that goes down the image row by row (section 3.1): (N, 2h, H, W) -> (N, 2h, H, W).

    The output is x + E h, where E is a 1x1 convolution of the hidden states h (a residual connection). A state depends
    on a triangle of the input: on its pixel and `kernel_size // 2` pixels to its left, and in each row further up on
    `kernel_size // 2` more pixels to both sides. `kernel_size` is odd; with several `colours`, the features are divided
    among them as in `MaskedConv2d`. `ValueError` for an even `kernel_size` or too few features.
    """

    def __init__(self, hidden: int, kernel_size: int = 3, colours: int = 1) -> None:
        self.hidden, self.kernel_size = hidden, kernel_size
        self.input_to_state = MaskedConv2d(2 * hidden, 4 * hidden, (1, kernel_size), "B", colours, splits=4)
        self.state_to_state = fan_in_uniform((4 * hidden, hidden, 1, kernel_size), hidden * kernel_size)
        self.h0, self.c0 = constant((hidden,), 0.0), constant((hidden,), 0.0)
        self.expand = MaskedConv2d(hidden, 2 * hidden, 1, "B", colours)

    def forward(self, x: Any) -> Any:
        gates = pixels_of(self.input_to_state(x))
        n, _, height, width = x.shape
        h, c = (ops.broadcast_to(start, (1, n, width, self.hidden)) for start in (self.h0, self.c0))
        margin = self.kernel_size // 2
        h = ops.pad(h, ((0, 0), (0, 0), (margin, margin), (0, 0)))
        rows = [(slice(row * width, (row + 1) * width), 0) for row in range(height)]
        h, _ = ops.lstm(gates, matrix(self.state_to_state)[None], h, c, steps=rows)
        return x + self.expand(map_of(h, height, width))

    def extra_repr(self) -> str:
        return f"{self.hidden}, kernel_size={self.kernel_size}"


class DiagonalBiLSTM(Module):
    """Two LSTMs that go along the diagonals of the image (section 3.2): (N, 2h, H, W) -> (N, 2h, H, W).

    One starts at the top left corner and one, on the mirrored image, at the top right corner. The states of the second
    depend on pixels to the right, which come later in raster order, so they are shifted down by one row before they
    are added to those of the first. The sum h then depends on all earlier pixels. The output is x + E h, where E is a
    1x1 convolution (a residual connection). With several `colours`, the features are divided among them as in
    `MaskedConv2d`; `ValueError` for too few features.
    """

    def __init__(self, hidden: int, colours: int = 1) -> None:
        self.hidden = hidden
        self.left_to_right = DiagonalLSTM(hidden, colours)
        self.right_to_left = DiagonalLSTM(hidden, colours)
        self.shift_down = ShiftDown()
        self.expand = MaskedConv2d(hidden, 2 * hidden, 1, "B", colours)

    def forward(self, x: Any) -> Any:
        lstms = (self.left_to_right, self.right_to_left)
        from_left, from_right = (lstm.input_to_state(x) for lstm in lstms)
        n, _, height, width = x.shape
        gates = ops.concat([pixels_of(from_left), pixels_of(ops.flip(from_right, 3))])
        weight = ops.stack([matrix(lstm.state_to_state) for lstm in lstms])
        h, c = (ops.stack([getattr(lstm, name) for lstm in lstms])[:, None, None] for name in ("h0", "c0"))
        h = ops.broadcast_to(h, (2, n, height + 1, self.hidden))  # with the row above the image
        c = ops.broadcast_to(c, (2, n, height, self.hidden))
        h, _ = ops.lstm(gates, weight, h, c, steps=diagonals(height, width))
        from_left, from_right = (map_of(one, height, width) for one in ops.split(h, 2))
        return x + self.expand(from_left + self.shift_down(ops.flip(from_right, 3)))

    def extra_repr(self) -> str:
        return f"{self.hidden}"


class DiagonalLSTM(Module):
    """The parameters of one LSTM of a `DiagonalBiLSTM`."""

    def __init__(self, hidden: int, colours: int = 1) -> None:
        self.hidden = hidden
        self.input_to_state = MaskedConv2d(2 * hidden, 4 * hidden, 1, "B", colours, splits=4)
        self.state_to_state = fan_in_uniform((4 * hidden, hidden, 2, 1), 2 * hidden)
        self.h0, self.c0 = constant((hidden,), 0.0), constant((hidden,), 0.0)

    def extra_repr(self) -> str:
        return f"{self.hidden}"


# -- what `ops.lstm` takes and gives -----------------------------------------------------------------------------------


def pixels_of(x: Any) -> Any:
    """A map (N, C, H, W) as its pixels in raster order, (1, N, H W, C)."""
    n, channels, height, width = x.shape
    return ops.reshape(ops.permute_dims(x, (0, 2, 3, 1)), (1, n, height * width, channels))


def map_of(pixels: Any, height: int, width: int) -> Any:
    """The inverse of `pixels_of`."""
    _, n, _, channels = pixels.shape
    return ops.permute_dims(ops.reshape(pixels, (n, height, width, channels)), (0, 3, 1, 2))


def matrix(weight: Any) -> Any:
    """A weight (out, in, k, 1) or (out, in, 1, k) as the matrix (out, k in)."""
    out_channels, in_channels, height, width = weight.shape
    taps_first = ops.permute_dims(weight, (0, 2, 3, 1))
    return ops.reshape(taps_first, (out_channels, height * width * in_channels))


def diagonals(height: int, width: int) -> list[tuple[slice, int]]:
    """The steps of a `DiagonalBiLSTM`. Step s computes the pixels (r, s - r), which are number s + r (W - 1)."""
    steps = []
    for s in range(width + height - 1):
        first, last = max(0, s - width + 1), min(height - 1, s)  # the rows in which the diagonal lies in the image
        which = slice(s + first * (width - 1), s + last * (width - 1) + 1, max(1, width - 1))
        steps.append((which, first))
    return steps
