"""Products of matrices, and Einstein summation."""

from __future__ import annotations

import math
import re
from typing import Any

from minigen.autograd import primitive
from minigen.backend import Array, Shape, array_module
from minigen.ops.shaping import broadcast_to, expand_dims, permute_dims, reshape, squeeze

__all__ = ["matmul", "linear", "einsum"]


@primitive
def matmul(x: Array, y: Array) -> Array:
    """The matrix product x y; a vector is a row on the left and a column on the right, leading axes broadcast."""
    return x @ y


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
    out = x @ weight.T
    if bias is not None:
        if bias.shape != weight.shape[:1]:
            raise ValueError(f"weight {weight.shape} takes a bias {weight.shape[:1]}, got {bias.shape}")
        out += bias
    return out


linear.derivatives(
    x=lambda g, weight: matmul(g, weight),
    weight=lambda g, x: matmul(permute_dims(_rows(g)), _rows(x)),
    bias=lambda g: g,
)


def _rows(x: Any) -> Any:
    """(..., n) as (rows, n)"""
    return x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


# -- Einstein summation ----------------------------------------------------------------------------------------------


@primitive
def einsum(subscripts: str, x: Array, y: Array | None = None) -> Array:
    """Einstein summation of one or two arrays: `einsum("nik,nkj->nij", x, y)` multiplies matrices.

    A letter stands for an axis. The result is the product of the arrays, summed over all letters that are not behind
    the arrow. A letter comes once in an array; an ellipsis is not known.
    """
    inputs, _ = _letters(subscripts)
    arrays = [x] if y is None else [x, y]
    if [len(letters) for letters in inputs] != [array.ndim for array in arrays]:
        raise ValueError(f"{subscripts!r} does not fit {' and '.join(str(array.shape) for array in arrays)}")
    lengths: dict[str, int] = {}
    for letter, n in zip("".join(inputs), x.shape if y is None else x.shape + y.shape, strict=True):
        if lengths.setdefault(letter, n) != n:
            raise ValueError(f"axis {letter} of {subscripts!r} has the lengths {lengths[letter]} and {n}")
    if y is None:
        return array_module(x).einsum(subscripts, x).copy()  # which may be a view
    return array_module(x).einsum(subscripts, x, y, optimize=True)


einsum.derivatives(
    x=lambda g, subscripts, x_shape, y: _einsum_gradient(g, subscripts, x_shape, y, 0),
    y=lambda g, subscripts, y_shape, x: _einsum_gradient(g, subscripts, y_shape, x, 1),
)


def _einsum_gradient(g: Any, subscripts: str, shape: Shape, other: Any, position: int) -> Any:
    """The gradient for one of the arrays, of this shape: the Einstein summation of g and the other array.

    What was summed over this array alone is not in either of them, and is repeated.
    """
    inputs, output = _letters(subscripts)
    letters = inputs.pop(position)
    there = "".join(letter for letter in letters if letter in "".join([output, *inputs]))
    g = einsum(f"{','.join([output, *inputs])}->{there}", g, other)
    missing = tuple(i for i, letter in enumerate(letters) if letter not in there)
    return broadcast_to(expand_dims(g, missing), shape)


def _letters(subscripts: str) -> tuple[list[str], str]:
    """The letters of each array, and those of the result: "ik,kj->ij" gives ["ik", "kj"] and "ij"."""
    *inputs, output = parts = re.split(",|->", subscripts.replace(" ", ""))
    well_formed = re.fullmatch("[A-Za-z]*(,[A-Za-z]*)?->[A-Za-z]*", subscripts.replace(" ", ""))
    if not well_formed or any(len(set(part)) < len(part) for part in parts) or not {*output} <= {*"".join(inputs)}:
        raise ValueError(
            f'expects subscripts such as "ik,kj->ij", for one or two arrays, each letter once in each part, '
            f"got {subscripts!r}"
        )
    return inputs, output
