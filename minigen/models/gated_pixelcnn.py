"""Gated PixelCNN (van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves and Kavukcuoglu 2016, arXiv 1606.05328).

Two stacks of convolutions see together all pixels before, without the blind spot of `PixelCNN`. The vertical stack
sees the rows above and nothing of a pixel's own row; the horizontal stack sees what is to the left in that row, and
gets the vertical stack's features of every layer:

    vertical    1 1 1          horizontal    1 1 x        mask A: x = 0, mask B: x = 1
                1 1 1
                  .            (a dot: the pixel itself)

In both, the activation is a gate, in which a class can be given, whose one-hot code is c:

    y = tanh(W_f * x + V_f c) sigmoid(W_g * x + V_g c)
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.backend import Array, Shape, array_module
from minigen.models.autoregressive import Autoregressive, NextLogits
from minigen.models.cache import MaskedColumn
from minigen.nn.init import fan_in_uniform
from minigen.nn.pixel_recurrent import shift_down


def gate(x: Any, of_class: Any = None) -> Any:
    """tanh(f) sigmoid(g), where f and g are the halves of x (N, 2h, ...) + V c; `of_class` is V c, (N, 2h)."""
    if of_class is not None:
        x = x + ops.reshape(of_class, (*of_class.shape, *(1,) * (x.ndim - 2)))
    f, g = ops.split(x, 2, axis=1)
    return ops.tanh(f) * ops.sigmoid(g)


class GatedLayer(nn.Module):
    """Both stacks through one layer, (N, h, H, W) each (figure 2); the first has mask A and nothing to add to."""

    def __init__(
        self, in_channels: int, features: int, kernel_size: int, mask: str, colours: int, classes: int | None
    ) -> None:
        above = beside = kernel_size // 2
        padding = ((above, 0), (beside, beside))
        self.vertical = nn.Conv2d(in_channels, 2 * features, (above + 1, kernel_size), padding=padding)
        self.link = nn.Conv2d(2 * features, 2 * features, 1)
        self.horizontal = nn.MaskedConv2d(in_channels, 2 * features, (1, kernel_size), mask, colours, splits=2)
        self.out = nn.MaskedConv2d(features, features, 1, "B", colours)
        self.of_class = None
        if classes is not None:
            self.of_class = nn.Embedding(classes, 2 * features)  # a matrix times the one-hot code, and drawn like one
            self.of_class.weight = fan_in_uniform((classes, 2 * features), classes)
        self.residual = mask == "B"

    def forward(self, v: Any, h: Any, labels: Any = None) -> tuple[Any, Any]:
        of_class = self.of_class(labels) if self.of_class is not None else None
        v = self.vertical(v)
        y = self.out(gate(self.horizontal(h) + self.link(v), of_class))
        return gate(v, of_class), h + y if self.residual else y


class GatedPixelCNN(Autoregressive):
    """A Gated PixelCNN for integer images (C, H, W) with `levels` values.

    hidden       h, the features of each stack
    layers       gated layers, the first included
    kernel_size  of the first layer, odd; the others' is 3
    head         features of the 1x1 layer before the output
    classes      if given, the model is p(x | label) with labels 0 ... classes - 1, (N,), which `logits`, `log_prob`,
                 `loss` and `sample` then take
    """

    def __init__(
        self,
        image_shape: Shape = (1, 28, 28),
        levels: int = 2,
        hidden: int = 16,
        layers: int = 8,
        kernel_size: int = 7,
        head: int = 32,
        classes: int | None = None,
    ) -> None:
        super().__init__(image_shape, levels)
        if layers < 1 or kernel_size < 3 or kernel_size % 2 == 0 or (classes is not None and classes < 1):
            raise ValueError(
                f"GatedPixelCNN: got layers={layers}, kernel_size={kernel_size}, classes={classes}; takes one or more "
                "layers, an odd kernel_size from 3 up, and one or more classes or None"
            )
        colours = self.image_shape[0]
        self.classes = classes
        self.layers = nn.ModuleList([GatedLayer(colours, hidden, kernel_size, "A", colours, classes)])
        for _ in range(layers - 1):
            self.layers.append(GatedLayer(hidden, hidden, 3, "B", colours, classes))
        self.head = nn.MaskedConv2d(hidden, head, 1, "B", colours)
        self.last = nn.MaskedConv2d(head, colours * self.outputs, 1, "B", colours)

    def logits(self, x: Any, labels: Any = None) -> Tensor:
        x = self._checked(x)
        condition = self._condition(labels, len(x))
        h = self._scaled(x)
        # One row down: from here on, all that the vertical stack has at row i comes from the rows above i.
        v = shift_down(h)
        for layer in self.layers:
            v, h = layer(v, h, *condition)
        return self._arranged(self.last(ops.relu(self.head(ops.relu(h)))))

    def next_logits(self, n: int, labels: Any = None) -> NextLogits:
        """The vertical stack runs once a row; of the horizontal one only the column of features at the next pixel."""
        condition = self._condition(labels, n)
        layers: list[GatedLayer] = list(self.layers)  # type: ignore[arg-type]
        of_class = [layer.of_class(*condition).data if layer.of_class is not None else None for layer in layers]
        colours, _, width = self.image_shape
        outside = self.device.module.zeros((n, colours, 1, width), self.head.weight.dtype)
        vertical = [(NextRow(layer.vertical, n, width), NextRow(layer.link, n, width)) for layer in layers]
        column = lambda layer: MaskedColumn(layer, n, self.image_shape[1:])
        horizontal = [(column(layer.horizontal), column(layer.out)) for layer in layers]
        head, last = column(self.head), column(self.last)
        links: list[Array] = []  # what each layer of the horizontal stack gets, for the present row (n, 2h, 1, W)

        def step(i: int, j: int, colour: int, x: Array) -> Array:
            if j == colour == 0:
                v = self._scaled(x[:, :, i - 1 : i]).data if i > 0 else outside
                links.clear()
                for (conv, link), c in zip(vertical, of_class, strict=True):
                    v = conv(v)
                    links.append(link(v))
                    v = gate(v, c)
            if j > 0 and colour == 0:  # the pixel before is complete only now
                horizontal[0][0].put(i, j - 1, self._scaled(x[:, :, i, j - 1]).data)
            h = self._scaled(x[:, :, i, j]).data
            for layer, (left, out), above, c in zip(layers, horizontal, links, of_class, strict=True):
                y = out(i, j, gate(left(i, j, h) + above[:, :, 0, j], c))
                h = h + y if layer.residual else y
            logits = last(i, j, ops.relu(head(i, j, ops.relu(h))))
            return logits.reshape(n, -1, self.outputs)[:, colour]

        return step


class NextRow:
    """A convolution that ends at its own row, computed for one row after the other: (n, in, 1, W) -> (n, out, 1, W)."""

    def __init__(self, layer: nn.Conv2d, n: int, width: int) -> None:
        self.weight, self.bias = layer.weight.data, layer.bias.data  # type: ignore[union-attr]
        _, channels, height, across = self.weight.shape
        self.padding = (0, across // 2)
        self.seen = layer.weight.device.module.zeros((n, channels, height, width), self.weight.dtype)

    def __call__(self, row: Array) -> Array:
        self.seen = array_module(row).concatenate([self.seen[:, :, 1:], row], axis=2)
        return ops.conv2d(self.seen, self.weight, self.bias, padding=self.padding)
