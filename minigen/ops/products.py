"""Products of matrices, and Einstein summation."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

from minigen import backend
from minigen.autograd import primitive
from minigen.backend import Array, Shape, array_module
from minigen.ops.shaping import broadcast_to, expand_dims, permute_dims, reshape, squeeze

__all__ = ["matmul", "linear", "einsum"]


@primitive
def matmul(x: Array, y: Array) -> Array:
    """The matrix product x y; a vector is a row on the left and a column on the right, leading axes broadcast."""
    return backend.matmul(x, y)


def _for_left(g: Any, x: Any, y: Any) -> Any:
    """g y^T; (m, n) = (m, k) x (n, k)^T in the last two axes"""
    g, _, y = _as_matrices(g, x, y)
    return matmul(g, _transpose(y))


def _for_right(g: Any, x: Any, y: Any) -> Any:
    """x^T g"""
    vector = y.ndim == 1
    g, x, _ = _as_matrices(g, x, y)
    result = matmul(_transpose(x), g)
    return squeeze(result, -1) if vector else result


def _as_matrices(g: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    if y.ndim == 1:
        y, g = expand_dims(y, 1), expand_dims(g, -1)
    if x.ndim == 1:
        x, g = expand_dims(x, 0), expand_dims(g, -2)
    return g, x, y


def _transpose(x: Any) -> Any:
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


matmul.derivatives(x=lambda g, x, y: _for_left(g, x, y), y=lambda g, x, y: _for_right(g, x, y))


@primitive
def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """x W^T + b, with x (..., in), weight (out, in), bias (out,)."""
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"x has {x.shape[-1:]} features {x.shape} but weight (out, in) is {weight.shape}")
    out = backend.matmul(_rows(x), weight.T)
    if bias is not None:
        if bias.shape != weight.shape[:1]:
            raise ValueError(f"expects a bias {weight.shape[:1]} for weight {weight.shape}, got {bias.shape}")
        out += bias
    return _unfolded(out, x.shape[:-1])


linear.derivatives(
    x=lambda g, weight: _unfolded(matmul(_rows(g), weight), g.shape[:-1]),
    weight=lambda g, x: matmul(permute_dims(_rows(g)), _rows(x)),
    bias=lambda g: g,
)


def _rows(x: Any) -> Any:
    """(..., n) as (rows, n)"""
    return x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _unfolded(rows: Any, leading: Shape) -> Any:
    """(rows, n) as (*leading, n)"""
    return rows if len(leading) == 1 else reshape(rows, (*leading, rows.shape[1]))


# -- Einstein summation ----------------------------------------------------------------------------------------------


@primitive
def einsum(subscripts: str, x: Array, y: Array | None = None) -> Array:
    """Einstein summation of one or two arrays: `einsum("nik,nkj->nij", x, y)` multiplies matrices.

    Each letter stands for an axis. The arrays are multiplied, and the product is summed over all letters that are not
    behind the arrow. Raises `ValueError` for shapes that do not fit, and for what is not supported: a letter twice in
    one array, an ellipsis, three arrays or more.
    """
    arrays = [x] if y is None else [x, y]
    _check_lengths(subscripts, [array.shape for array in arrays])
    out = array_module(x).einsum(subscripts, *arrays, optimize=True)
    return out.copy() if y is None else out  # of one array, it may be a view


einsum.derivatives(
    x=lambda g, subscripts, x_shape, y: _einsum_gradient(g, subscripts, 0, x_shape, y),
    y=lambda g, subscripts, x, y_shape: _einsum_gradient(g, subscripts, 1, y_shape, x),
)


def _einsum_gradient(g: Any, subscripts: str, position: int, shape: Shape, other: Any) -> Any:
    """The gradient for the array at `position`, of this `shape`: the Einstein summation of g and the other array.

    A letter that neither of these has was summed over this array alone: the gradient is constant along that axis.
    """
    inputs, output = _letters(subscripts)
    own = inputs.pop(position)
    known = "".join(letter for letter in own if letter in "".join([output, *inputs]))
    g = einsum(f"{','.join([output, *inputs])}->{known}", g, other)
    missing = tuple(axis for axis, letter in enumerate(own) if letter not in known)
    return broadcast_to(expand_dims(g, missing), shape)


def _letters(subscripts: str) -> tuple[list[str], str]:
    """The letters of each array, and those of the result: "ik,kj->ij" gives ["ik", "kj"] and "ij"."""
    text = str(subscripts).replace(" ", "")
    *inputs, output = re.split(",|->", text)
    once = all(len(set(part)) == len(part) for part in [*inputs, output])
    if not (re.fullmatch("[A-Za-z]*(,[A-Za-z]*)?->[A-Za-z]*", text) and once and {*output} <= {*"".join(inputs)}):
        raise ValueError(
            'expects subscripts such as "ik,kj->ij", for one or two arrays and with each letter once in each part, '
            f"got {subscripts!r}"
        )
    return inputs, output


def _check_lengths(subscripts: str, shapes: list[Shape]) -> None:
    """Check that each array has as many axes as letters, and that each letter has one length."""
    inputs, _ = _letters(subscripts)
    if list(map(len, inputs)) != list(map(len, shapes)):
        raise ValueError(f"{subscripts!r} does not fit {' and '.join(map(str, shapes))}")
    lengths: dict[str, int] = {}
    for letter, n in zip("".join(inputs), itertools.chain(*shapes), strict=True):
        if lengths.setdefault(letter, n) != n:
            raise ValueError(f"axis {letter} of {subscripts!r} has the lengths {lengths[letter]} and {n}")
