"""PixelCNN (van den Oord, Kalchbrenner and Kavukcuoglu 2016, arXiv 1601.06759, sections 3.3 to 3.5 and figure 5).

A masked convolution sees only earlier pixels, in raster order, so one pass gives the conditional distributions of all
pixels. The first layer has mask A, which excludes the pixel itself. The other layers have mask B, which includes the
features at the pixel's own position, since these depend on earlier pixels only:

    mask A, 7 x 7      1 1 1 1 1 1 1        mask B, 3 x 3     1 1 1
                       1 1 1 1 1 1 1                          1 1 0
                       1 1 1 1 1 1 1                          0 0 0
                       1 1 1 0 0 0 0
                       0 0 0 0 0 0 0
                       ...

A stack of them has a blind spot above and to the right of each pixel, because a 3 x 3 layer moves at most one column to
the right for each row up. `GatedPixelCNN` has none.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.backend import Shape
from minigen.models.autoregressive import Autoregressive


class Block(nn.Module):
    """x + (ReLU, 1x1 to half the features, ReLU, 3x3, ReLU, 1x1 back), all with mask B (figure 5, left)."""

    def __init__(self, features: int, kernel_size: int, colours: int) -> None:
        half = features // 2
        self.reduce = nn.MaskedConv2d(features, half, 1, "B", colours)
        self.conv = nn.MaskedConv2d(half, half, kernel_size, "B", colours)
        self.expand = nn.MaskedConv2d(half, features, 1, "B", colours)

    def forward(self, x: Any) -> Any:
        y = self.reduce(ops.relu(x))
        y = self.conv(ops.relu(y))
        return x + self.expand(ops.relu(y))


class PixelCNN(Autoregressive):
    """A PixelCNN for integer images (C, H, W) with `levels` values.

    hidden       h: the residual blocks carry 2h features
    blocks       number of residual blocks, 0 or more (the paper: 15)
    kernel_size  of the first layer, odd, 3 or more; it is 3 in the blocks
    head         features of the two 1x1 layers before the output (the paper: 32 for MNIST, 1024 for CIFAR-10)
    """

    def __init__(
        self,
        image_shape: Shape = (1, 28, 28),
        levels: int = 2,
        hidden: int = 16,
        blocks: int = 7,
        kernel_size: int = 7,
        head: int = 32,
    ) -> None:
        super().__init__(image_shape, levels)
        if kernel_size < 3 or blocks < 0:  # mask A leaves nothing of a 1 x 1 kernel
            raise ValueError(
                "PixelCNN: expects an odd kernel_size from 3 up and blocks >= 0, "
                f"got kernel_size={kernel_size}, blocks={blocks}"
            )
        colours = self.image_shape[0]
        self.first = nn.MaskedConv2d(colours, 2 * hidden, kernel_size, "A", colours)
        self.blocks = nn.Sequential(*(Block(2 * hidden, 3, colours) for _ in range(blocks)))
        self.head = nn.MaskedConv2d(2 * hidden, head, 1, "B", colours)
        self.last = nn.MaskedConv2d(head, colours * self.outputs, 1, "B", colours)

    def network(self, x: Any, labels: Any = None) -> Any:
        h = self.blocks(self.first(x))
        return self.last(ops.relu(self.head(ops.relu(h))))
