"""Checks of the convolutions' arguments, and the geometry that the arguments describe."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from minigen.autograd import raw
from minigen.backend import to_numpy
from minigen.ops.convolution_geometry import Geometry, Pair


def conv2d_geometry(
    name: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Geometry:
    """The geometry of a convolution of x (N, C, H, W) with weight (O, C / groups, kh, kw)."""
    geometry = _geometry(name, x, weight, stride, padding, dilation, groups)
    _check_channels(name, x, weight, bias, weight.shape[1] * groups, weight.shape[0], groups)
    (height, width), span = geometry.padded_size(x.shape[2:]), geometry.span
    down, across = height - span[0], width - span[1]  # how far the kernel can move
    if min(down, across) < 0:
        raise ValueError(
            f"{name}: the kernel, which reaches {span}, is larger than x {x.shape} with padding {geometry.padding}"
        )
    return _extended(geometry, -(down % geometry.stride[0]), -(across % geometry.stride[1]))


def conv_transpose2d_geometry(
    x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, dilation: Any, groups: int
) -> Geometry:
    """The geometry of the convolution whose transpose takes x (N, C, H, W), with weight (C, O / groups, kh, kw)."""
    name = "conv_transpose2d"
    geometry = _geometry(name, x, weight, stride, padding, dilation, groups)
    _check_channels(name, x, weight, bias, weight.shape[0], weight.shape[1] * groups, groups)
    extra = pair(name, "output_padding", output_padding, least=0)
    most = tuple(max(s, d) - 1 for s, d in zip(geometry.stride, geometry.dilation, strict=True))
    if extra[0] > most[0] or extra[1] > most[1]:
        raise ValueError(
            f"{name}: output_padding must be less than the stride or the dilation, at most {most}, got {extra}"
        )
    geometry = _extended(geometry, -extra[0], -extra[1])
    if min(geometry.input_size(x.shape[2:])) < 1:
        raise ValueError(f"{name}: padding {padding} leaves nothing of x {x.shape} under weight {weight.shape}")
    return geometry


def checked_mask(weight: Any, mask: Any) -> np.ndarray:
    """The mask of a masked convolution as booleans, (kh, kw) or (O, C, kh, kw)."""
    mask = to_numpy(raw(mask))
    shape = tuple(getattr(weight, "shape", ()))
    if mask.shape not in (shape, shape[2:]):
        raise ValueError(f"masked_conv2d: expects a mask {shape[2:]} or {shape} for weight {shape}, got {mask.shape}")
    on = mask.astype(bool)
    if not (mask == on).all():
        raise ValueError("masked_conv2d: expects a mask of zeros and ones, got other values")
    return on


def pair(name: str, option: str, value: Any, least: int) -> Pair:
    """An int, or a pair of them for height and width, as a pair."""
    try:
        first, second = (index(v) for v in (value if isinstance(value, tuple | list) else (value, value)))
    except (TypeError, ValueError):
        first = second = least - 1
    if min(first, second) < least:
        raise ValueError(f"{name}: expects {option} to be an int from {least} up, or a pair of them, got {value!r}")
    return first, second


def _padding(name: str, value: Any) -> tuple[Pair, Pair]:
    """An int, a pair or two pairs as ((top, bottom), (left, right))."""
    if isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(v, tuple | list) for v in value):
        return pair(name, "padding", value[0], least=0), pair(name, "padding", value[1], least=0)
    vertical, horizontal = pair(name, "padding", value, least=0)
    return (vertical, vertical), (horizontal, horizontal)


def _geometry(name: str, x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Geometry:
    """The options as pairs, with the kernel's size."""
    for argument, value, axes in (("x", x, "(N, C, H, W)"), ("weight", weight, "with 4 axes")):
        if getattr(value, "ndim", None) != 4:
            raise ValueError(f"{name}: expects {argument} {axes}, got {getattr(value, 'shape', type(value).__name__)}")
    return Geometry(
        tuple(weight.shape[2:]),
        pair(name, "stride", stride, least=1),
        _padding(name, padding),
        pair(name, "dilation", dilation, least=1),
        groups,
    )


def _extended(geometry: Geometry, down: int, across: int) -> Geometry:
    """More padding, by `down` at the bottom and `across` at the right; negative numbers cut pixels off."""
    (top, bottom), (left, right) = geometry.padding
    return geometry._replace(padding=((top, bottom + down), (left, right + across)))


def _check_channels(name: str, x: Any, weight: Any, bias: Any, inputs: int, outputs: int, groups: int) -> None:
    """Check that x has the `inputs` channels of weight, bias the `outputs`, and that groups and dtypes fit."""
    if not isinstance(groups, int) or groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"{name}: groups must divide the {weight.shape[0]} of weight {weight.shape}, got {groups!r}")
    if x.shape[1] != inputs:
        among = f" in {groups} groups" if groups > 1 else ""
        raise ValueError(
            f"{name}: x has {x.shape[1]} channels {x.shape} but weight takes {inputs} {weight.shape}{among}"
        )
    if bias is not None and getattr(bias, "shape", None) != (outputs,):
        got = getattr(bias, "shape", type(bias).__name__)
        raise ValueError(f"{name}: expects a bias {(outputs,)} for weight {weight.shape}, got {got}")
    for argument, value in (("x", x), ("bias", bias)):
        if value is not None and value.dtype != weight.dtype:
            raise TypeError(f"{name}: {argument} is {value.dtype} but weight {weight.dtype}; cast with `.astype`")
