"""Convolutional layers, for images (N, C, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen import ops
from minigen.backend import Shape
from minigen.nn.init import check_sizes, fan_in_uniform
from minigen.nn.module import Module, Parameter
from minigen.ops.convolution_arguments import pair
from minigen.ops.im2col import taps_outermost

Size = int | tuple[int, int]


class _Convolution(Module):
    """What the three layers have in common: a weight, a bias, and the options of their operation."""

    def __init__(self, shape: Shape, out_channels: int, bias: bool, **options: Any) -> None:
        fan_in = shape[1] * shape[2] * shape[3]
        self.weight = Parameter(taps_outermost(fan_in_uniform(shape, fan_in).data))
        self.bias = fan_in_uniform((out_channels,), fan_in) if bias else None
        self.options = options

    def extra_repr(self) -> str:
        defaults = {"padding": 0, "output_padding": 0}
        changed = [f"{name}={x}" for name, x in self.options.items() if x != defaults.get(name, 1)]
        return ", ".join([f"weight={self.weight.shape}", *changed] + ([] if self.bias is not None else ["bias=False"]))


class Conv2d(_Convolution):
    """Convolution: (N, in_channels, H, W) -> (N, out_channels, H', W').

    H' = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1, for a kernel (kh, kw), and W' likewise. Sizes are an int
    or a pair (vertical, horizontal); padding may also be ((top, bottom), (left, right)). See `ops.conv2d`.
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
        check_sizes("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups={groups} must divide {in_channels} and {out_channels} channels")
        kernel = pair("Conv2d", "kernel_size", kernel_size, least=1)
        shape = (out_channels, in_channels // groups, *kernel)
        super().__init__(shape, out_channels, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)

    def forward(self, x: Any) -> Any:
        return ops.conv2d(x, self.weight, self.bias, **self.options)


class ConvTranspose2d(_Convolution):
    """Transposed (fractionally strided) convolution: (N, in_channels, H, W) -> (N, out_channels, H', W').

    It is the adjoint of the `Conv2d` from out_channels to in_channels with the same options:
    H' = stride (H - 1) + dilation (kh - 1) + 1 - 2 padding + output_padding. See `ops.conv_transpose2d`.
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
        check_sizes("ConvTranspose2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"ConvTranspose2d: groups={groups} must divide {in_channels} and {out_channels} channels")
        kernel = pair("ConvTranspose2d", "kernel_size", kernel_size, least=1)
        super().__init__(
            (in_channels, out_channels // groups, *kernel),
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
    """Convolution that sees only earlier pixels in raster order: (N, in_channels, H, W) -> (N, out_channels, H, W).

    The taps below the centre of the kernel, and right of it in its row, are masked. At the centre, the channels form
    one group for each colour, in the order R, G, B. Mask "A", for the first layer of a model, lets a group of output
    channels see the groups before its own; mask "B", for all later layers, its own as well. With one colour, "A"
    hides the centre and "B" shows it. Kernel sizes are odd.

    `splits`: how many stacked feature maps the output consists of (the gates of an LSTM, for example); each of them is
    divided into colour groups by itself. If channels do not divide evenly, the first groups have one more each.

    van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks" (2016, arXiv 1601.06759), section 3.4.
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
        check_sizes("MaskedConv2d", in_channels=in_channels, out_channels=out_channels, colours=colours, splits=splits)
        height, width = pair("MaskedConv2d", "kernel_size", kernel_size, least=1)
        if mask not in ("A", "B"):
            raise ValueError(f'MaskedConv2d: expects mask "A" (first layer) or "B", got {mask!r}')
        if height % 2 == 0 or width % 2 == 0:
            raise ValueError(f"MaskedConv2d: expects an odd kernel_size, got {kernel_size}")
        if out_channels % splits or min(in_channels, out_channels // splits) < colours:
            raise ValueError(
                f"MaskedConv2d: expects at least one channel for each of {colours} colours, in and out, and {splits} "
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
    """The colour of each of `channels` channels, (channels,): groups in order, as even as possible."""
    return np.concatenate(
        [np.full(len(part), i) for i, part in enumerate(np.array_split(np.arange(channels), colours))]
    )


def causal_mask(shape: Shape, mask: str, colours: int = 1, splits: int = 1) -> np.ndarray:
    """The mask of `MaskedConv2d`, True where an output channel sees an input channel: (out, in, kh, kw)."""
    out_channels, in_channels, height, width = shape
    seen = np.zeros(shape, dtype=bool)
    seen[:, :, : height // 2, :] = True
    seen[:, :, height // 2, : width // 2] = True
    target = np.tile(colour_of(out_channels // splits, colours), splits)[:, None]
    source = colour_of(in_channels, colours)[None, :]
    seen[:, :, height // 2, width // 2] = source < target if mask == "A" else source <= target
    return seen
