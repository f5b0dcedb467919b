"""Comparisons and logic, element by element. Their results are booleans, which have no derivative."""

from __future__ import annotations

from typing import Any

from minigen.autograd import primitive
from minigen.backend import Array

__all__ = [
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_not",
]  # fmt: skip


@primitive
def equal(x: Array, y: Array) -> Array:
    """x == y, as booleans."""
    return x == y


@primitive
def not_equal(x: Array, y: Array) -> Array:
    """x != y, as booleans."""
    return x != y


@primitive
def less(x: Array, y: Array) -> Array:
    """x < y, as booleans."""
    return x < y


@primitive
def less_equal(x: Array, y: Array) -> Array:
    """x <= y, as booleans."""
    return x <= y


@primitive
def greater(x: Array, y: Array) -> Array:
    """x > y, as booleans."""
    return x > y


@primitive
def greater_equal(x: Array, y: Array) -> Array:
    """x >= y, as booleans."""
    return x >= y


# -- logic -----------------------------------------------------------------------------------------------------------


@primitive
def logical_and(x: Array, y: Array) -> Array:
    """x and y, of booleans: `x & y`."""
    _check_booleans(x, y)
    return x & y


@primitive
def logical_or(x: Array, y: Array) -> Array:
    """x or y, of booleans: `x | y`."""
    _check_booleans(x, y)
    return x | y


@primitive
def logical_not(x: Array) -> Array:
    """not x, of booleans: `~x`."""
    _check_booleans(x)
    return ~x


def _check_booleans(*values: Any) -> None:
    """`TypeError` unless all are booleans: on integers, `&`, `|` and `~` would combine bits."""
    for x in values:
        if not isinstance(x, bool) and str(getattr(x, "dtype", "")) != "bool":
            raise TypeError(f"expects booleans, such as x > 0, got {getattr(x, 'dtype', x)}")
