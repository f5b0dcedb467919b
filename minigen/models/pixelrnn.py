"""PixelRNN (van den Oord, Kalchbrenner and Kavukcuoglu 2016, arXiv 1601.06759, sections 3.1, 3.2 and 3.4).

A PixelCNN with recurrent layers in place of the residual blocks. They have a larger receptive field: a `RowLSTM` sees a
triangle that reaches the top of the image, a `DiagonalBiLSTM` sees all rows above and what is to the left.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.backend import Shape
from minigen.models.autoregressive import Autoregressive


class PixelRNN(Autoregressive):
    """A PixelRNN for integer images (C, H, W) with `levels` values.

    cell         "row" for the Row LSTM, "diagonal" for the Diagonal BiLSTM, which sees more but is slower
    hidden       h: the states have h features, the layers between them 2h
    layers       number of recurrent layers (the paper: 7 for MNIST, 12 for CIFAR-10)
    kernel_size  of the first layer, odd; it is 3 in the Row LSTM
    head         features of the 1x1 layer before the output (the paper: 32 for MNIST, 1024 for CIFAR-10)

    The Diagonal BiLSTM has a blind spot of one pixel. The logits of pixel (i, j) depend on every earlier pixel except
    (i - 1, W - 1), the last of the row above, unless the kernel of the first layer covers it. Because of mask A, the
    first layer's features at (i - 1, W - 1) do not depend on that pixel. The features at the end of row i do, but the
    LSTM from the right carries them along row i, and its states are then shifted down to row i + 1.
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
        if cell not in ("row", "diagonal") or layers < 1:
            raise ValueError(
                f'PixelRNN: expects cell "row" or "diagonal" and one or more layers, got cell={cell!r}, layers={layers}'
            )
        colours = self.image_shape[0]
        layer = nn.RowLSTM if cell == "row" else nn.DiagonalBiLSTM
        self.first = nn.MaskedConv2d(colours, 2 * hidden, kernel_size, "A", colours)
        self.layers = nn.Sequential(*(layer(hidden, colours=colours) for _ in range(layers)))
        self.head = nn.MaskedConv2d(2 * hidden, head, 1, "B", colours)
        self.last = nn.MaskedConv2d(head, colours * self.outputs, 1, "B", colours)

    def network(self, x: Any, labels: Any = None) -> Any:
        h = self.layers(self.first(x))
        return self.last(ops.relu(self.head(ops.relu(h))))
