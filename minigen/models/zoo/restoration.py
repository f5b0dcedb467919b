"""What the zoo's models of restoration share: smaller and larger images, holes, a network from images to images."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.backend import array_module
from minigen.nn import init
from minigen.random import uniform


def down(x: Any, factor: int = 2) -> Any:
    """The mean of each block of pixels: (N, C, H, W) -> (N, C, H / factor, W / factor).

    `ValueError` if H or W is not a multiple of the factor.
    """
    if any(side % factor for side in x.shape[2:]):
        raise ValueError(f"down: expects sides that are multiples of {factor}, got {x.shape}")
    return ops.avg_pool2d(x, factor)


def up(x: Any, factor: int = 2) -> Any:
    """Each pixel becomes a block: (N, C, H, W) -> (N, C, factor H, factor W).

    It is the pseudo-inverse of `down`: down(up(x)) = x, and up(down(x)) is the nearest image to x that is constant in
    each block.
    """
    return ops.repeat(ops.repeat(x, factor, 2), factor, 3)


def holes(n: int, height: int, width: int, size: int, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`n` masks (n, 1, height, width): 0 in a square of side `size` at a random place, and 1 around it.

    `ValueError` if the square is larger than the image.
    """
    if not 1 <= size <= min(height, width):
        raise ValueError(f"holes: expects a size from 1 to {min(height, width)}, got {size}")
    place = lambda side: uniform((n, 1, 1, 1), 0.0, side - size + 1.0, dtype=dtype, device=device) // 1
    top, left = place(height), place(width)
    xp = array_module(top)
    row, column = xp.arange(height).reshape(-1, 1), xp.arange(width)
    inside = (row >= top) & (row < top + size) & (column >= left) & (column < left + size)
    return Tensor((~inside).astype(top.dtype))


class Hourglass(nn.Module):
    """Images (N, inputs, H, W) -> (N, outputs, 2^(ups - downs) H, 2^(ups - downs) W), by convolutions as in DCGAN.

    `downs` convolutions halve the side, one keeps it, and `ups` transposed ones double it; downs <= ups, ups >= 1. At
    half of the output's side there are `features` channels, at a quarter twice as many, and so on. H and W are
    multiples of 2^downs. The output has no activation.
    """

    def __init__(self, inputs: int, outputs: int, features: int = 16, downs: int = 2, ups: int = 2) -> None:
        widths = [features * 2**i for i in range(ups)]  # such as 16 at 14 x 14, 32 at 7 x 7
        layers: list[nn.Module] = []
        for width in widths[ups - downs :]:
            layers += [nn.Conv2d(inputs, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            inputs = width
        layers += [nn.Conv2d(inputs, widths[-1], 3, padding=1, bias=False), nn.BatchNorm2d(widths[-1]), nn.ReLU()]
        for wide, narrow in pairwise(widths[::-1]):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(narrow), nn.ReLU()]
        last = nn.ConvTranspose2d(features, outputs, 4, stride=2, padding=1)
        self.net = nn.Sequential(*layers, last).apply(init.dcgan)

    def forward(self, x: Any) -> Any:
        return self.net(x)
