"""Convolutional layers, for images (N, C, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen import ops
from minigen.backend import Shape
from minigen.nn.init import fan_in_uniform
from minigen.nn.module import Module

Size = int | tuple[int, int]


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


class _Convolution(Module):
    """What the three have in common: a weight, a bias, and how the kernel moves."""

    def __init__(self, shape: Shape, out_channels: int, bias: bool, **options: Any) -> None:
        fan_in = shape[1] * shape[2] * shape[3]
        self.weight = fan_in_uniform(shape, fan_in)
        self.bias = fan_in_uniform((out_channels,), fan_in) if bias else None
        self.options = options

    def extra_repr(self) -> str:
        defaults = {"padding": 0, "output_padding": 0}
        changed = [f"{name}={x}" for name, x in self.options.items() if x != defaults.get(name, 1)]
        return ", ".join([f"weight={self.weight.shape}", *changed] + ([] if self.bias is not None else ["bias=False"]))


class Conv2d(_Convolution):
    """Convolution: (N, in_channels, H, W) -> (N, out_channels, H', W').

    H' = (H + 2 padding - dilation (k - 1) - 1) // stride + 1. Sizes are a number or (vertical, horizontal); padding
    also ((top, bottom), (left, right)).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Any = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups={groups} must divide {in_channels} and {out_channels} channels")
        shape = (out_channels, in_channels // groups, *_pair(kernel_size))
        super().__init__(shape, out_channels, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)

    def forward(self, x: Any) -> Any:
        return ops.conv2d(x, self.weight, self.bias, **self.options)


class ConvTranspose2d(_Convolution):
    """Transposed (fractionally strided) convolution, the adjoint of `Conv2d` with the same settings.

    H' = (H - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Any = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
    ) -> None:
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"ConvTranspose2d: groups={groups} must divide {in_channels} and {out_channels} channels")
        super().__init__(
            (in_channels, out_channels // groups, *_pair(kernel_size)),
            out_channels,
            bias,
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            dilation=dilation,
            groups=groups,
        )

    def forward(self, x: Any) -> Any:
        return ops.conv_transpose2d(x, self.weight, self.bias, **self.options)


class MaskedConv2d(_Convolution):
    """A convolution that sees only what comes before, in raster order (van den Oord et al. 2016, arXiv 1601.06759).

    The kernel's taps below the centre row, and right of the centre in it, are masked. At the centre itself, the
    features form one group for each colour, in the order R, G, B: mask "B" lets a group see itself and the groups
    before it, mask "A", for the first layer, only the groups before it. With one colour, "A" hides the centre and
    "B" shows it. The output has the input's height and width; kernel sizes are odd.

    `splits`: where the output is several stacked feature maps (the gates of an LSTM, say), each of them is divided
    into colour groups by itself. Channels that do not divide evenly give the first groups one more each.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        mask: str,
        colours: int = 1,
        splits: int = 1,
        bias: bool = True,
    ) -> None:
        height, width = _pair(kernel_size)
        if mask not in ("A", "B"):
            raise ValueError(f'MaskedConv2d: mask is {mask!r}; takes "A" (first layer) or "B"')
        if height % 2 == 0 or width % 2 == 0:
            raise ValueError(f"MaskedConv2d: kernel_size must be odd, got {kernel_size}")
        if splits < 1 or out_channels % splits or min(in_channels, out_channels // splits) < colours:
            raise ValueError(
                f"MaskedConv2d: takes at least one channel for each of {colours} colours, in and out, and {splits} "
                f"equal splits of the output; got {in_channels} -> {out_channels} channels"
            )
        shape = (out_channels, in_channels, height, width)
        super().__init__(shape, out_channels, bias, padding=(height // 2, width // 2))
        self.mask_type = mask
        seen = causal_mask(shape, mask, colours, splits)
        self.mask = seen if colours > 1 else seen[0, 0]  # with one colour, all channels see the same taps

    def forward(self, x: Any) -> Any:
        return ops.masked_conv2d(x, self.weight, self.bias, mask=self.mask, **self.options)

    def extra_repr(self) -> str:
        return f"mask {self.mask_type}, {super().extra_repr()}"


def colour_of(channels: int, colours: int) -> np.ndarray:
    """The colour group of each of `channels` features: as even as possible, in order, (channels,)."""
    return np.concatenate(
        [np.full(len(part), i) for i, part in enumerate(np.array_split(np.arange(channels), colours))]
    )


def causal_mask(shape: Shape, mask: str, colours: int = 1, splits: int = 1) -> np.ndarray:
    """The mask of `MaskedConv2d` for a weight (out, in, kh, kw): whether it sees."""
    out_channels, in_channels, height, width = shape
    seen = np.zeros(shape, dtype=bool)
    seen[:, :, : height // 2, :] = True
    seen[:, :, height // 2, : width // 2] = True
    target = np.tile(colour_of(out_channels // splits, colours), splits)[:, None]
    source = colour_of(in_channels, colours)[None, :]
    seen[:, :, height // 2, width // 2] = source < target if mask == "A" else source <= target
    return seen
