"""Gated PixelCNN (van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves and Kavukcuoglu 2016, arXiv 1606.05328).

Two stacks of convolutions together see all earlier pixels, without the blind spot of `PixelCNN`. The vertical stack
sees the rows above a pixel. The horizontal stack sees the pixels to its left in the same row, and each of its layers
also gets the features of the vertical stack:

    vertical    1 1 1          horizontal    1 1 x        mask A: x = 0, mask B: x = 1
                1 1 1
                  .            (a dot: the pixel itself)

Both have gated activations. In a class-conditional model the gates depend on the one-hot code c of the class:

    y = tanh(W_f * x + V_f c) sigmoid(W_g * x + V_g c)
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.backend import Shape
from minigen.models.autoregressive import Autoregressive
from minigen.models.one_pixel import FORMS, Cursor
from minigen.nn.init import fan_in_uniform


def gate(x: Any, of_class: Any = None) -> Any:
    """tanh(f) sigmoid(g), where f and g are the halves of x (N, 2h, H, W) + V c; `of_class` is V c, (N, 2h)."""
    if of_class is not None:
        x = x + ops.reshape(of_class, (*of_class.shape, 1, 1))
    return ops.gated_activation(x)


class GatedLayer(nn.Module):
    """One layer of both stacks, with features (N, h, H, W) each (figure 2).

    `down` computes the vertical stack and `across` the horizontal one. `of_class` is V c, (N, 2h), or
    None without classes. The first layer reads the image: it has mask A and no residual connection.
    """

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
            self.of_class = nn.Embedding(classes, 2 * features)  # a linear layer of the one-hot code
            self.of_class.weight = fan_in_uniform((classes, 2 * features), classes)
        self.residual = mask == "B"

    def forward(self, v: Any, h: Any, labels: Any = None) -> tuple[Any, Any]:
        of_class = self.of_class(labels) if self.of_class is not None else None
        v, link = self.down(v, of_class)
        return v, self.across(h, link, of_class)

    def down(self, v: Any, of_class: Any) -> tuple[Any, Any]:
        """The vertical stack's output (N, h, H, W), and the link to the horizontal stack, (N, 2h, H, W)."""
        v = self.vertical(v)
        return gate(v, of_class), self.link(v)

    def across(self, h: Any, link: Any, of_class: Any) -> Any:
        """The horizontal stack's output (N, h, H, W)."""
        y = self.out(gate(self.horizontal(h) + link, of_class))
        return h + y if self.residual else y


class GatedPixelCNN(Autoregressive):
    """A Gated PixelCNN for integer images (C, H, W) with `levels` values.

    hidden       h, the features of each stack
    layers       gated layers, the first included
    kernel_size  of the first layer, odd, 3 or more; it is 3 in the others
    head         features of the 1x1 layer before the output
    classes      if given, the model is p(x | label) with labels 0 ... classes - 1, (N,), which `logits`, `log_prob`,
                 `loss` and `sample` then expect
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
                "GatedPixelCNN: expects one or more layers, an odd kernel_size from 3 up, and one or more classes or "
                f"None, got layers={layers}, kernel_size={kernel_size}, classes={classes}"
            )
        colours = self.image_shape[0]
        self.classes = classes
        self.shift_down = nn.ShiftDown()
        self.layers = nn.ModuleList([GatedLayer(colours, hidden, kernel_size, "A", colours, classes)])
        for _ in range(layers - 1):
            self.layers.append(GatedLayer(hidden, hidden, 3, "B", colours, classes))
        self.head = nn.MaskedConv2d(hidden, head, 1, "B", colours)
        self.last = nn.MaskedConv2d(head, colours * self.outputs, 1, "B", colours)

    def network(self, x: Any, labels: Any = None) -> Any:
        h = x
        # After the shift by one row, the vertical stack's features at row i depend on the rows above i only.
        v = self.shift_down(x)
        for layer in self.layers:
            v, h = layer(v, h, labels)
        return self.last(ops.relu(self.head(ops.relu(h))))


def gated_layer_at_pixel(layer: GatedLayer, cursor: Cursor) -> GatedLayer:
    """The one-pixel form of a gated layer: `down` runs once a row, for the whole row; `across` once a pixel."""
    down = layer.down
    of_row: Any = None

    def down_once_a_row(v: Any, of_class: Any) -> tuple[Any, Any]:
        nonlocal of_row
        if cursor.begins_row:
            of_row = down(v, of_class)
        v, link = of_row
        return v, link[:, :, :, cursor.column : cursor.column + 1]

    layer.down = down_once_a_row  # type: ignore[method-assign]
    return layer


FORMS[GatedLayer] = gated_layer_at_pixel
