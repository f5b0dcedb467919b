"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd import primitive
from minigen.backend import Array
from minigen.ops.shaping import expand_dims, permute_dims, reshape, squeeze

__all__ = ["matmul", "linear"]


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
