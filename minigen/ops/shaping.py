"""Operations that rearrange values. Their derivatives put the gradients back where the values came from."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from minigen.autograd import primitive, raw
from minigen.backend import Array, Shape, add_at, array_module, is_array

__all__ = [
    "reshape", "flatten", "permute_dims", "swapaxes", "squeeze", "expand_dims", "broadcast_to", "repeat", "flip",
    "concat", "stack", "split", "getitem", "take_along_axis", "pad", "tril",
]  # fmt: skip


@primitive(view=True)
def reshape(x: Array, shape: Shape) -> Array:
    """The same values in the same order in another shape; one length may be -1."""
    return x.reshape(shape)


reshape.derivatives(x=lambda g, x_shape: reshape(g, x_shape))


@primitive(view=True)
def flatten(x: Array) -> Array:
    """The values in row-major order along a single axis."""
    return x.reshape(-1)


flatten.derivatives(x=lambda g, x_shape: reshape(g, x_shape))


@primitive(view=True)
def permute_dims(x: Array, axes: tuple[int, ...] | None = None) -> Array:
    """The axes in another order, by default the opposite one."""
    return x.transpose(axes)


permute_dims.derivatives(x=lambda g, axes: permute_dims(g, inverse_order(axes)))


def inverse_order(axes: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The order that undoes `permute_dims` with these axes."""
    if axes is None:
        return None
    order = [axis % len(axes) for axis in axes]
    return tuple(order.index(i) for i in range(len(order)))


@primitive(view=True)
def swapaxes(x: Array, axis1: int, axis2: int) -> Array:
    """x with two axes exchanged."""
    return x.swapaxes(axis1, axis2)


swapaxes.derivatives(x=lambda g, axis1, axis2: swapaxes(g, axis1, axis2))


@primitive(view=True)
def squeeze(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """x without these axes, which must have length 1; by default without all axes of length 1."""
    return x.squeeze(axis)


squeeze.derivatives(x=lambda g, x_shape: reshape(g, x_shape))


@primitive(view=True)
def expand_dims(x: Array, axis: int | tuple[int, ...]) -> Array:
    """x with new axes of length 1 at these positions."""
    return array_module(x).expand_dims(x, axis)


expand_dims.derivatives(x=lambda g, x_shape: reshape(g, x_shape))


@primitive(view=True)
def broadcast_to(x: Array, shape: Shape) -> Array:
    """x repeated along axes of length 1, and along new leading axes, to this shape."""
    return array_module(x).broadcast_to(x, shape)


broadcast_to.derivatives(x=lambda g: g)  # the tape sums over what was broadcast


@primitive
def repeat(x: Array, repeats: int, axis: int | None = None) -> Array:
    """Each value `repeats` times in a row along an axis, or in all of x flattened: a, b becomes a, a, b, b."""
    if not isinstance(repeats, int) or repeats < 1:
        raise ValueError(f"expects a number of repeats from 1 up, got {repeats!r}")
    return x.repeat(repeats, axis)


repeat.derivatives(x=lambda g, x_shape, repeats, axis: reshape(_sum_of_repeats(g, repeats, axis), x_shape))


def _sum_of_repeats(g: Any, repeats: int, axis: int | None) -> Any:
    """g[0::repeats] + g[1::repeats] + ... along the axis."""
    before = (slice(None),) * ((axis or 0) % g.ndim)
    return sum(getitem(g, (*before, slice(i, None, repeats))) for i in range(repeats))


@primitive(view=True)
def flip(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """x in the opposite order along these axes, by default along all."""
    return array_module(x).flip(x, axis)


flip.derivatives(x=lambda g, axis: flip(g, axis))


# -- joining and cutting --------------------------------------------------------------------------------------------


@primitive(several=True, view=True)
def split(x: Array, indices_or_sections: int | list[int], axis: int = 0) -> tuple[Array, ...]:
    """x cut along an axis, into a number of equal parts or at these indices: a tuple of views."""
    return tuple(array_module(x).split(x, indices_or_sections, axis))


@primitive
def concat(*arrays: Array, axis: int = 0) -> Array:
    """Arrays joined along an axis: `concat([x, y], axis=1)`."""
    return array_module(arrays[0]).concatenate(arrays, axis=axis)


split.derivatives(x=lambda g, axis: concat(g, axis=axis))
concat.derivatives(arrays=lambda g, arrays_shapes, axis: split(g, _ends(arrays_shapes, axis), axis=axis))


def _ends(shapes: list[Shape], axis: int) -> list[int]:
    """Where each of the joined arrays but the last ends."""
    return list(accumulate(shape[axis] for shape in shapes[:-1]))


@primitive
def stack(*arrays: Array, axis: int = 0) -> Array:
    """Arrays of one shape laid side by side along a new axis: `stack([x, y])`."""
    return array_module(arrays[0]).stack(arrays, axis=axis)


def _layers(g: Any, axis: int) -> list[Any]:
    """g[i], g[..., i] or the like, for each i along the axis."""
    before = (slice(None),) * (axis % g.ndim)
    return [getitem(g, (*before, i)) for i in range(g.shape[axis])]


stack.derivatives(arrays=lambda g, axis: _layers(g, axis))


# -- indexing --------------------------------------------------------------------------------------------------------


@primitive(view=True)
def getitem(x: Array, index: Any) -> Array:
    """x[index]: integers, slices, None, ..., booleans, integer arrays or tensors."""
    return x[_raw_index(index, x)]


@primitive
def scatter_add(g: Array, index: Any, shape: Shape) -> Array:
    """Zeros of `shape` to which g is added at index: the adjoint of `getitem`."""
    xp = array_module(g)
    index = _raw_index(index, g)
    out = xp.zeros(shape, dtype=g.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if any(is_array(part) and part.dtype.kind != "b" for part in parts):
        add_at(out, index, g)  # a place may be indexed more than once
    else:
        out[index] = g
    return out


getitem.derivatives(x=lambda g, index, x_shape: scatter_add(g, index, x_shape))
scatter_add.derivatives(g=lambda g, index: getitem(g, index))


def _raw_index(index: Any, x: Array) -> Any:
    if isinstance(index, tuple):
        return tuple(_raw_index(part, x) for part in index)
    if isinstance(index, list):
        return array_module(x).asarray(index, dtype=None if index else int)
    return raw(index)


@primitive
def take_along_axis(x: Array, indices: Array, axis: int = -1) -> Array:
    """The entries of x that integer indices choose along an axis: y[i, j] = x[i, indices[i, j]] for axis 1 of 2.

    indices    of the shape of x, except for any length along the axis; along the others, a length of 1 is broadcast
    """
    return x[along_axis(indices, axis, x.shape)]


take_along_axis.derivatives(
    x=lambda g, indices, axis, x_shape: scatter_add(g, along_axis(indices, axis, x_shape), x_shape)
)


def along_axis(indices: Array, axis: int, shape: Shape) -> tuple[Array, ...]:
    """The index of `x[index]` that is equivalent to `take_along_axis(x, indices, axis)` for x of this shape."""
    if indices.dtype.kind not in "iu" or indices.ndim != len(shape):
        raise ValueError(f"expects integer indices with {len(shape)} axes, got {indices.dtype} {indices.shape}")
    xp, ndim = array_module(indices), len(shape)
    places = [xp.arange(n).reshape((1,) * i + (n,) + (1,) * (ndim - 1 - i)) for i, n in enumerate(shape)]
    places[axis] = indices
    return tuple(places)


@primitive
def pad(x: Array, pad_width: tuple[tuple[int, int], ...], value: float = 0.0) -> Array:
    """x with a constant around it: `pad_width` is (before, after) for each axis, none negative."""
    if isinstance(pad_width, int) or len(pad_width) != x.ndim or any(n < 0 for pair in pad_width for n in pair):
        raise ValueError(f"expects a pair (before, after) of numbers >= 0 for each of {x.ndim} axes, got {pad_width}")
    return array_module(x).pad(x, pad_width, constant_values=value)


pad.derivatives(
    x=lambda g, x_shape, pad_width: getitem(
        g, tuple(slice(before, before + n) for (before, _), n in zip(pad_width, x_shape, strict=True))
    )
)


@primitive
def tril(x: Array, k: int = 0) -> Array:
    """The lower triangle of the matrices in the last two axes, up to the k-th diagonal above the main one; else 0."""
    if x.ndim < 2:
        raise ValueError(f"expects x with 2 axes or more, got {x.shape}")
    return array_module(x).tril(x, k)


tril.derivatives(x=lambda g, k: tril(g, k))
