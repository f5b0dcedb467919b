"""What a call costs beyond one kernel, read in the sources of CuPy 14: kernels and uploads that its name does not show.

A function that is not in the table is one kernel. Not counted are the further kernels of `einsum`, `tensordot`,
sorting, masks as indices and other things that no training step uses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Cost(NamedTuple):
    kernels: int = 1
    uploads: int = 0


def cost(name: str, inputs: list[Any], result: Any, keywords: dict[str, Any]) -> Cost:
    """The cost of a call of the function `name`, from the arrays (with `_array`) that it got and returned."""
    return COSTS[name](inputs, result, keywords) if name in COSTS else Cost()


def overlapping(inputs: list[Any], out: Any) -> int:
    """How many inputs an elementwise kernel copies first: other arrays that `out` may share memory with."""
    return sum(x is not out and bool(np.may_share_memory(x._array, out._array)) for x in inputs)


def indexing(arrays: list[Any]) -> int:
    """Kernels of `x[arrays]`: several index arrays are first combined, one kernel each, into an array of zeros."""
    return 1 if len(arrays) == 1 else len(arrays) + 2


def _joined(inputs: list[Any], result: Any, keywords: dict[str, Any]) -> Cost:
    """Up to 8 arrays, or large ones, are copied one by one; more by one kernel that reads their addresses."""
    if len(inputs) <= 8 or result._array.nbytes >= len(inputs) << 21:
        return Cost(kernels=len(inputs))
    alike = len({x.shape for x in inputs}) == 1 and all(x.flags.c_contiguous for x in inputs)
    return Cost(uploads=1 if alike else 3)


def _padded(inputs: list[Any], result: Any, keywords: dict[str, Any]) -> Cost:
    """A copy into the middle, and each side filled by itself."""
    (x,), (y,) = inputs, [result]
    sides = np.broadcast_to(keywords["pad_width"], (x.ndim, 2))
    return Cost(kernels=int(y.size > 0) + int((sides > 0).sum()))


def _product(inputs: list[Any], result: Any, keywords: dict[str, Any]) -> Cost:
    """cuBLAS, before it copies of operands that it cannot read, and after it a copy if `out` is not contiguous."""
    x, y = (operand._array for operand in inputs[:2])
    out = keywords.get("out")
    copies = int(out is not None and not out.flags.c_contiguous)
    if max(x.ndim, y.ndim) <= 2:
        if result.size == 1:
            return Cost(kernels=2 + copies)  # a product of elements and its sum
        copies += sum(a.ndim == 2 and not (a.flags.c_contiguous or a.flags.f_contiguous) for a in (x, y))
        return Cost(kernels=1 + copies)
    copies += sum(not a.flags.c_contiguous for a in (x, y))
    leading = {(1,) * (max(x.ndim, y.ndim) - a.ndim) + a.shape[:-2] for a in (x, y)}
    pointers = 3 * (max(x.ndim, y.ndim) - 2) if len(leading) > 1 else 0  # arrays of addresses, if operands broadcast
    return Cost(kernels=1 + copies + pointers)


COSTS: dict[str, Callable[[list[Any], Any, dict[str, Any]], Cost]] = {
    **dict.fromkeys(("concat", "concatenate", "hstack", "stack", "vstack"), _joined),
    "dot": _product,
    "matmul": _product,
    "mean": lambda *_: Cost(kernels=2),  # the sum, the division
    "var": lambda *_: Cost(kernels=3),  # the mean, the sum of squares
    "std": lambda *_: Cost(kernels=4),
    "pad": _padded,
}
