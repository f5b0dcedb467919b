"""Layers that make images (N, C, H, W) smaller or larger and have no parameters."""

from __future__ import annotations

from typing import Any

from minigen import ops
from minigen.nn.module import Module
from minigen.ops.convolution_arguments import pair

Size = int | tuple[int, int]


class _Pool2d(Module):
    """What both kinds of pooling have in common."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        pair(type(self).__name__, "kernel_size", kernel_size, least=1)
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool2d):
    """The largest value under a window that moves over each channel; see `ops.max_pool2d`."""

    def forward(self, x: Any) -> Any:
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pool2d):
    """The mean under a window that moves over each channel; see `ops.avg_pool2d`."""

    def forward(self, x: Any) -> Any:
        return ops.avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class Upsample(Module):
    """Nearest-neighbour upsampling, each pixel becomes a block: (N, C, H, W) -> (N, C, s H, s W), s = scale_factor.

    scale_factor    an int from 1 up, or a pair for height and width
    """

    def __init__(self, *, scale_factor: Size) -> None:
        self.scale_factor = pair("Upsample", "scale_factor", scale_factor, least=1)

    def forward(self, x: Any) -> Any:
        height, width = self.scale_factor
        return ops.repeat(ops.repeat(x, height, 2), width, 3)

    def extra_repr(self) -> str:
        return f"scale_factor={self.scale_factor}"
