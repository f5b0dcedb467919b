"""PixelRNN (van den Oord, Kalchbrenner and Kavukcuoglu 2016, arXiv 1601.06759, sections 3.1, 3.2 and 3.4).

As a PixelCNN, but between the first masked convolution and the output stand recurrent layers, each of which sees far
more of what is above: a `RowLSTM` a triangle that reaches the top of the image, a `DiagonalBiLSTM` everything.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.backend import Array, Shape, array_module
from minigen.models.autoregressive import Autoregressive, NextLogits
from minigen.models.cache import MaskedColumn
from minigen.nn.pixel_recurrent import DiagonalLSTM, matrix, row_taps


class PixelRNN(Autoregressive):
    """A PixelRNN for integer images (C, H, W) with `levels` values.

    cell         "row" for the Row LSTM, "diagonal" for the Diagonal BiLSTM, which sees more but takes more steps
    hidden       h: the states have h features, the layers between them 2h
    layers       number of recurrent layers (the paper: 7 for MNIST, 12 for CIFAR-10)
    kernel_size  of the first layer; the Row LSTM's is 3
    head         features of the 1x1 layer before the output (the paper: 32 for MNIST, 1024 for CIFAR-10)

    One pixel before each is hidden even from the Diagonal BiLSTM: the last of the row above, unless the first layer
    reaches it. Its own state does not contain it (mask A), and the first states that do are
    those at the end of the next row.
    """

    def __init__(
        self,
        image_shape: Shape = (1, 28, 28),
        levels: int = 2,
        cell: str = "row",
        hidden: int = 16,
        layers: int = 3,
        kernel_size: int = 7,
        head: int = 32,
    ) -> None:
        super().__init__(image_shape, levels)
        if cell not in ("row", "diagonal"):
            raise ValueError(f'PixelRNN: cell is {cell!r}; takes "row" or "diagonal"')
        colours = self.image_shape[0]
        layer = nn.RowLSTM if cell == "row" else nn.DiagonalBiLSTM
        self.first = nn.MaskedConv2d(colours, 2 * hidden, kernel_size, "A", colours)
        self.layers = nn.Sequential(*(layer(hidden, colours=colours) for _ in range(layers)))
        self.head = nn.MaskedConv2d(2 * hidden, head, 1, "B", colours)
        self.last = nn.MaskedConv2d(head, colours * self.outputs, 1, "B", colours)

    def logits(self, x: Any) -> Tensor:
        h = self.layers(self.first(self._scaled(self._checked(x))))
        return self._arranged(self.last(ops.relu(self.head(ops.relu(h)))))

    def next_logits(self, n: int) -> NextLogits:
        """Only the features and states at the next pixel are computed; each layer keeps those it still needs."""
        size = self.image_shape[1:]
        first, head, last = (MaskedColumn(layer, n, size) for layer in (self.first, self.head, self.last))
        layers = [
            RowLSTMColumn(layer, n, size) if isinstance(layer, nn.RowLSTM) else DiagonalBiLSTMColumn(layer, n, size)  # type: ignore[arg-type]
            for layer in self.layers
        ]

        def step(i: int, j: int, colour: int, x: Array) -> Array:
            if colour == 0 and (i, j) != (0, 0):  # the pixel before is complete only now
                before = divmod(i * size[1] + j - 1, size[1])
                first.put(*before, self._scaled(x[:, :, before[0], before[1]]).data)
            h = first(i, j, self._scaled(x[:, :, i, j]).data)
            for layer in layers:
                h = layer(i, j, h)
            out = last(i, j, ops.relu(head(i, j, ops.relu(h))))
            return out.reshape(n, -1, self.outputs)[:, colour]

        return step


# -- the recurrent layers at one pixel after the other -----------------------------------------------------------------
#
# Each is called with a pixel (i, j) and its input features x (n, 2h), once for every colour: the features of a colour
# are right when its turn has come, so after the last call all are.


class RowLSTMColumn:
    """A `RowLSTM` computed at single pixels; what the row above gives to a row is computed at once."""

    def __init__(self, layer: nn.RowLSTM, n: int, size: Shape) -> None:
        self.kernel_size, self.row = layer.kernel_size, -1
        self.input_to_state = MaskedColumn(layer.input_to_state, n, tuple(size))
        self.expand = MaskedColumn(layer.expand, n, tuple(size))
        self.weight = matrix(layer.state_to_state.data)
        xp, shape = array_module(self.weight), (size[1], n, layer.hidden)
        self.h = xp.broadcast_to(layer.h0.data, shape).copy()  # of the row so far
        self.c = xp.broadcast_to(layer.c0.data, shape).copy()

    def __call__(self, i: int, j: int, x: Array) -> Array:
        """The output (n, 2h) at pixel (i, j)."""
        if i != self.row:
            width, n, hidden = self.h.shape
            taps = row_taps(self.h.reshape(-1, hidden), n, self.kernel_size)
            self.from_above = ops.linear(taps, self.weight).reshape(width, n, -1)
            self.row, self.above_c = i, self.c.copy()
        gates = self.input_to_state(i, j, x) + self.from_above[j]
        self.h[j], self.c[j] = ops.lstm_cell(gates, self.above_c[j])
        return x + self.expand(i, j, self.h[j])


class DiagonalLSTMRow:
    """One direction of a `DiagonalBiLSTM` along a row, column after column in its direction."""

    def __init__(self, lstm: DiagonalLSTM, n: int, size: Shape) -> None:
        self.input_to_state = MaskedColumn(lstm.input_to_state, n, tuple(size))
        self.weight = matrix(lstm.state_to_state.data)
        self.module = array_module(self.weight)
        self.h0, self.c0 = (self.module.broadcast_to(x.data, (n, lstm.hidden)) for x in (lstm.h0, lstm.c0))
        self.h = self.module.broadcast_to(self.h0, (size[1], n, lstm.hidden)).copy()
        self.c = self.module.empty_like(self.h)

    def begin(self) -> None:
        """A new row: the one so far is above it."""
        self.above = self.h.copy()

    def __call__(self, j: int, from_input: Array) -> Array:
        """The state (n, h) at column j, whose input-to-state gates are (n, 4h)."""
        h, c = (self.h[j - 1], self.c[j - 1]) if j > 0 else (self.h0, self.c0)
        above_and_left = self.module.concatenate([self.above[j], h], axis=1)
        self.h[j], self.c[j] = ops.lstm_cell(from_input + ops.linear(above_and_left, self.weight), c)
        return self.h[j]


class DiagonalBiLSTMColumn:
    """A `DiagonalBiLSTM` computed at single pixels; from the right, a whole row when it is complete."""

    def __init__(self, layer: nn.DiagonalBiLSTM, n: int, size: Shape) -> None:
        self.width, self.row = size[1], 0
        self.left, self.right = (DiagonalLSTMRow(x, n, size) for x in (layer.left_to_right, layer.right_to_left))
        self.expand = MaskedColumn(layer.expand, n, tuple(size))
        xp = self.left.module
        self.gates = xp.empty((self.width, n, 4 * layer.hidden), self.left.h.dtype)  # of this row, for the right one
        self.from_right = xp.zeros((self.width, n, layer.hidden), self.left.h.dtype)  # states of the row above
        self.left.begin()

    def __call__(self, i: int, j: int, x: Array) -> Array:
        """The output (n, 2h) at pixel (i, j)."""
        if i != self.row:
            self.row = i
            self.left.begin()
            self.right.begin()
            for k in range(self.width):
                self.from_right[-1 - k] = self.right(k, self.gates[-1 - k])
        self.gates[j] = self.right.input_to_state(i, j, x)
        h = self.left(j, self.left.input_to_state(i, j, x)) + self.from_right[j]
        return x + self.expand(i, j, h)
