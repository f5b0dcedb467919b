"""The geometry of a convolution: which pixel of the image each output sees, and through which tap of the kernel.

Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (2016, arXiv 1603.07285), draws every case.
"""

from __future__ import annotations

from typing import NamedTuple

Pair = tuple[int, int]


class Geometry(NamedTuple):
    """Which pixel each output of a convolution sees.

    Output (i, j) sees through tap (a, b) the pixel (stride i + dilation a - top, stride j + dilation b - left).

    The last output reaches the last row and column of the padded image, so the sizes of the image and of the output
    determine each other. To make it so, the padding at the bottom and right may be negative, which cuts pixels off.
    """

    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]  # (top, bottom), (left, right)
    dilation: Pair
    groups: int

    @property
    def span(self) -> Pair:
        """The height and width that the dilated kernel covers."""
        (kh, kw), (dy, dx) = self.kernel, self.dilation
        return dy * (kh - 1) + 1, dx * (kw - 1) + 1

    def padded_size(self, size: Pair) -> Pair:
        """The height and width of an image with its padding."""
        (height, width), (vertical, horizontal) = size, self.padding
        return height + sum(vertical), width + sum(horizontal)

    def output_size(self, size: Pair) -> Pair:
        """The height and width of the output for an image's."""
        (height, width), (sy, sx) = self.padded_size(size), self.stride
        return (height - self.span[0]) // sy + 1, (width - self.span[1]) // sx + 1

    def input_size(self, size: Pair) -> Pair:
        """The height and width of the image for an output's."""
        (height, width), (sy, sx), (vertical, horizontal) = size, self.stride, self.padding
        return sy * (height - 1) + self.span[0] - sum(vertical), sx * (width - 1) + self.span[1] - sum(horizontal)

    def channel_groups(self, inputs: int, outputs: int) -> list[tuple[slice, slice]]:
        """The input channels and the output channels of each group."""
        i, o = inputs // self.groups, outputs // self.groups
        return [(slice(k * i, (k + 1) * i), slice(k * o, (k + 1) * o)) for k in range(self.groups)]

    def flipped(self) -> Geometry:
        """The transposed convolution, for stride 1, as a convolution with the kernel flipped in both axes."""
        (top, bottom), (left, right) = self.padding
        down, across = self.span[0] - 1, self.span[1] - 1
        return self._replace(padding=((down - top, down - bottom), (across - left, across - right)))


def overlap(first: int, stride: int, outputs: int, pixels: int) -> tuple[slice, slice]:
    """The outputs that see a pixel of the image through a tap, and these pixels, along one axis.

    Output i sees pixel `first + stride * i`, which is padding if it is negative or not less than `pixels`.
    """
    start = max(0, -(first // stride))
    stop = max(start, min(outputs, (pixels - 1 - first) // stride + 1))
    return slice(start, stop), slice(first + stride * start, first + stride * stop, stride)
