"""What the zoo's models of restoration share: smaller and larger images, holes, a network from images to images."""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, raw
from minigen.backend import array_module, device_of
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


def holes(x: Any, size: int) -> Tensor:
    """Masks (N, 1, H, W) for images x (N, C, H, W): 0 in a square of side `size`, at a random place, and 1 around it.

    `ValueError` if the square is larger than the images.
    """
    x = raw(x)
    n, _, height, width = x.shape
    if not 1 <= size <= min(height, width):
        raise ValueError(f"holes: expects a size from 1 to {min(height, width)}, got {size}")
    xp, device = array_module(x), device_of(x)
    corner = lambda side: uniform((n, 1, 1, 1), 0.0, side - size + 1.0, dtype=x.dtype, device=device) // 1
    top, left = corner(height), corner(width)
    row, column = xp.arange(height).reshape(-1, 1), xp.arange(width)
    inside = (row >= top) & (row < top + size) & (column >= left) & (column < left + size)
    return Tensor((~inside).astype(x.dtype))


class Hourglass(nn.Module):
    """Images (N, inputs, H, W) -> (N, outputs, 2^(ups - downs) H, 2^(ups - downs) W), by convolutions.

    `downs` convolutions halve the side, then `ups` transposed ones double it. There are `features` channels at the
    output's side, and twice as many at half of it. H and W are multiples of 2^downs, and downs <= ups. The output has no
    activation.
    """

    def __init__(self, inputs: int, outputs: int, features: int = 16, downs: int = 2, ups: int = 2) -> None:
        width = features * 2 ** (ups - downs)
        layers: list[nn.Module] = [nn.Conv2d(inputs, width, 3, padding=1), nn.LeakyReLU(0.2)]
        for _ in range(downs):
            layers += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * width)]
            layers.append(nn.LeakyReLU(0.2))
            width *= 2
        for _ in range(ups):
            layers += [nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(width // 2), nn.ReLU()]
            width //= 2
        self.net = nn.Sequential(*layers, nn.Conv2d(width, outputs, 3, padding=1)).apply(init.dcgan)

    def forward(self, x: Any) -> Any:
        return self.net(x)
