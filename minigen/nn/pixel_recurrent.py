"""The two recurrent layers of PixelRNN (van den Oord, Kalchbrenner and Kavukcuoglu 2016, arXiv 1601.06759, section 3).

In both, the state of a pixel comes from an LSTM step whose gates are a sum

    [i, f, g, o] = K_is * x  +  K_ss * h         c' = f c + i g         h' = o tanh(c')

of an input-to-state convolution, computed for the whole map at once with mask B, and a state-to-state part, computed
step by step. They differ in what a step is, and so in what K_ss and c are taken from:

    RowLSTM          a row; h of 3 pixels in the row above, c of the one straight above
    DiagonalBiLSTM   a diagonal; h of the pixels above and to the left, c of the one to the left; the same mirrored

The state-to-state part needs no mask, also not for colours: it only reads pixels that come before in raster order, and
of these all colours are known. It has no bias, since the input-to-state convolution has one. Outside of the image the
state is learned: h0 and c0 (but zero left and right of the rows that a RowLSTM reads, as in any convolution).

During the steps an image lies in memory with its pixels first and its features last, and a step is a matrix with a
row for each of its pixels and each of the N images, so that one product does it.
"""

from __future__ import annotations

from typing import Any

from minigen import ops
from minigen.autograd import Tensor
from minigen.backend import array_module
from minigen.nn.convolution import MaskedConv2d
from minigen.nn.init import constant, fan_in_uniform
from minigen.nn.module import Module


class RowLSTM(Module):
    """x + (1x1 of the states), where the states go down the image row by row: (N, 2h, H, W) -> (N, 2h, H, W).

    A state sees a triangle: the pixel and `kernel_size // 2` to its left, and that many more to both sides in each
    row above it. `kernel_size` is odd; the features are divided among `colours` as in `MaskedConv2d`.
    """

    def __init__(self, hidden: int, kernel_size: int = 3, colours: int = 1) -> None:
        self.hidden, self.kernel_size = hidden, kernel_size
        self.input_to_state = MaskedConv2d(2 * hidden, 4 * hidden, (1, kernel_size), "B", colours, splits=4)
        self.state_to_state = fan_in_uniform((4 * hidden, hidden, 1, kernel_size), hidden * kernel_size)
        self.h0, self.c0 = constant((hidden,), 0.0), constant((hidden,), 0.0)
        self.expand = MaskedConv2d(hidden, 2 * hidden, 1, "B", colours)

    def forward(self, x: Any) -> Any:
        n, _, height, width = x.shape
        gates = ops.permute_dims(self.input_to_state(x), (2, 3, 0, 1))  # (N, 4h, H, W) -> (H, W, N, 4h)
        rows = ops.split(ops.reshape(gates, (-1, 4 * self.hidden)), height)
        h, c = (ops.broadcast_to(start, (width * n, self.hidden)) for start in (self.h0, self.c0))
        weight, states = matrix(self.state_to_state), []
        for from_input in rows:
            h, c = ops.lstm_cell(from_input + ops.linear(row_taps(h, n, self.kernel_size), weight), c)
            states.append(h)
        h = ops.reshape(ops.concat(states), (height, width, n, self.hidden))
        return x + self.expand(ops.permute_dims(h, (2, 3, 0, 1)))

    def extra_repr(self) -> str:
        return f"{self.hidden}, kernel_size={self.kernel_size}"


class DiagonalBiLSTM(Module):
    """x + (1x1 of the states), where the states go along the diagonals: (N, 2h, H, W) -> (N, 2h, H, W).

    One LSTM comes from the top left corner and one, on the mirrored image, from the top right corner. The second saw
    the pixels to the right, which are not yet known, so its states move down by one row before the two are added.
    Together they see everything before a pixel. The features are divided among `colours` as in `MaskedConv2d`.
    """

    def __init__(self, hidden: int, colours: int = 1) -> None:
        self.hidden = hidden
        self.left_to_right = DiagonalLSTM(hidden, colours)
        self.right_to_left = DiagonalLSTM(hidden, colours)
        self.expand = MaskedConv2d(hidden, 2 * hidden, 1, "B", colours)

    def forward(self, x: Any) -> Any:
        from_right = ops.flip(self.right_to_left(ops.flip(x, 3)), 3)
        return x + self.expand(self.left_to_right(x) + shift_down(from_right))

    def extra_repr(self) -> str:
        return f"{self.hidden}"


class DiagonalLSTM(Module):
    """One direction of a `DiagonalBiLSTM`: x (N, 2h, H, W) gives states (N, h, H, W).

    A step takes the pixels (r, s - r), a column of the skewed map; each sees those above and to its left, which are
    the rows r - 1 and r of the column before. Only rows that hold a pixel are computed.
    """

    def __init__(self, hidden: int, colours: int = 1) -> None:
        self.hidden = hidden
        self.input_to_state = MaskedConv2d(2 * hidden, 4 * hidden, 1, "B", colours, splits=4)
        self.state_to_state = fan_in_uniform((4 * hidden, hidden, 2, 1), 2 * hidden)
        self.h0, self.c0 = constant((hidden,), 0.0), constant((hidden,), 0.0)

    def forward(self, x: Any) -> Any:
        n, _, height, width = x.shape
        steps = width + height - 1
        gates = skew(ops.permute_dims(self.input_to_state(x), (2, 3, 0, 1)))  # (N, 4h, H, W) -> (steps, H, N, 4h)
        live = [(max(0, s - width + 1), min(height, s + 1)) for s in range(steps)]  # the rows with a pixel, in a step
        bounds = [(s * height + row) * n for s, ends in enumerate(live) for row in ends]
        columns = ops.split(ops.reshape(gates, (-1, 4 * self.hidden)), bounds)[1::2]

        h0, c0 = (ops.broadcast_to(start, (n, self.hidden)) for start in (self.h0, self.c0))
        nothing = Tensor(array_module(gates.data).zeros((height * n, self.hidden), dtype=gates.dtype))
        weight, states = matrix(self.state_to_state), []
        h = c = nothing[:0]
        for s, (from_input, (first, end)) in enumerate(zip(columns, live, strict=True)):
            above, left = s < width, s < height  # whether the first row's pixel above, the last one's left are outside
            h = ops.concat([h0] * above + [h] + [h0] * left)  # rows first - 1 ... end - 1 of the column before
            c = ops.concat([c0] * above + [c] + [c0] * left)[n:]
            h, c = ops.lstm_cell(from_input + ops.linear(column_taps(h, n), weight), c)
            states += [nothing[: first * n], h, nothing[end * n :]]
        h = unskew(ops.reshape(ops.concat(states), (steps, height, n, self.hidden)))
        return ops.permute_dims(h, (2, 3, 0, 1))

    def extra_repr(self) -> str:
        return f"{self.hidden}"


# -- what a step reads -------------------------------------------------------------------------------------------------


def matrix(weight: Any) -> Any:
    """The weight of a convolution along one axis, (out, in, k, 1) or (out, in, 1, k), for `linear`: (out, k in)."""
    out_channels, in_channels, height, width = weight.shape
    taps_first = ops.permute_dims(weight, (0, 2, 3, 1))
    return ops.reshape(taps_first, (out_channels, height * width * in_channels))


def row_taps(h: Any, n: int, kernel_size: int) -> Any:
    """Under each pixel the states of its `kernel_size` neighbours in the row: (W n, h) -> (W n, kernel_size h)."""
    margin = kernel_size // 2 * n
    padded, length = ops.pad(h, ((margin, margin), (0, 0))), h.shape[0]
    return ops.concat([padded[tap * n : tap * n + length] for tap in range(kernel_size)], axis=1)


def column_taps(h: Any, n: int) -> Any:
    """The states of rows r - 1 and r side by side, for all but the first row: ((R + 1) n, h) -> (R n, 2h)."""
    return ops.concat([h[:-n], h[n:]], axis=1)


# -- moving maps about -------------------------------------------------------------------------------------------------


def skew(x: Any) -> Any:
    """Shift each row by one against the row above, and put columns first: (H, W, N, C) -> (W + H - 1, H, N, C).

    1 2 3       1 2 3 .       Rows padded to W + H and read as rows of W + H - 1 do this: each begins one place later
    4 5 6   ->  . 4 5 6       against its new grid.
    """
    height, width, *rest = x.shape
    padded = ops.reshape(ops.pad(x, ((0, 0), (0, height), (0, 0), (0, 0))), (height * (width + height), *rest))
    skewed = ops.reshape(padded[: height * (width + height - 1)], (height, width + height - 1, *rest))
    return ops.permute_dims(skewed, (1, 0, 2, 3))


def unskew(x: Any) -> Any:
    """The inverse of `skew`: (W + H - 1, H, N, C) -> (H, W, N, C)."""
    steps, height, *rest = x.shape
    rows = ops.reshape(ops.permute_dims(x, (1, 0, 2, 3)), (height * steps, *rest))
    padded = ops.pad(rows, ((0, height), (0, 0), (0, 0)))
    return ops.reshape(padded, (height, steps + 1, *rest))[:, : steps + 1 - height]


def shift_down(x: Any) -> Any:
    """Each row takes the place of the one below; the first becomes zero: (N, C, H, W)."""
    return ops.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, :-1]
