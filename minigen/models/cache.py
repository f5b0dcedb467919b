"""A masked convolution at one pixel after the other, for sampling (Ramachandran et al. 2017, arXiv 1704.06001)."""

from __future__ import annotations

from minigen.backend import Array
from minigen.nn import MaskedConv2d
from minigen.ops.im2col import LiveTaps


class MaskedColumn:
    """`layer` computed at single pixels, in raster order, for `n` images of height and width `size`.

    It keeps the features that it has been given (padded with zeros, channels last), so that a pixel costs one product
    of what lies under the live taps there with the weights.
    """

    def __init__(self, layer: MaskedConv2d, n: int, size: tuple[int, ...]) -> None:
        weight, xp = layer.weight.data, layer.weight.device.module
        out_channels, in_channels, height, width = weight.shape
        mask = layer.weight.device.asarray(layer.mask)
        live = layer.mask.reshape(-1, height, width).any(axis=0)
        self.runs = [(run.row, run.columns) for run in LiveTaps(live).runs]
        by_tap = (weight * mask).transpose(2, 3, 1, 0)  # (kh, kw, in, out)
        matrices = [by_tap[row, columns].reshape(-1, out_channels) for row, columns in self.runs]
        self.matrix = xp.concatenate(matrices) if matrices else xp.zeros((0, out_channels), weight.dtype)
        self.bias = layer.bias.data if layer.bias is not None else xp.zeros(out_channels, weight.dtype)
        self.above, self.left = height // 2, width // 2
        if (height, width) != (1, 1):
            shape = (n, size[0] + 2 * self.above, size[1] + 2 * self.left, in_channels)
            self.seen = xp.zeros(shape, weight.dtype)
        self.module = xp

    def put(self, i: int, j: int, x: Array) -> None:
        """Keep the features x (n, in) of pixel (i, j)."""
        self.seen[:, i + self.above, j + self.left] = x

    def __call__(self, i: int, j: int, x: Array) -> Array:
        """The output (n, out) at pixel (i, j), whose input features are x (n, in)."""
        if self.above == self.left == 0:
            return x @ self.matrix + self.bias
        self.put(i, j, x)
        n = len(x)
        patches = [self.seen[:, i + row, j + c.start : j + c.stop].reshape(n, -1) for row, c in self.runs]
        return self.module.concatenate(patches, axis=1) @ self.matrix + self.bias
