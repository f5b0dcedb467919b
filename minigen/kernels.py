"""Kernels: formulas as text in CUDA C, each of which a GPU computes in one launch.

On a GPU, every operation of arrays is the launch of a kernel, which takes longer to start than a small array takes to
compute: `g * (out > 0)` is two launches. Where it matters, a formula is given a second time, as the text of one kernel:

    @kernel("T g, T out", "T x", "x = g * T(out > 0)")
    def _relu_gradient(g, out):
        return g * (out > 0)

The function is what a reader needs to know, and what computes on a CPU; the kernel takes its place on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from minigen.backend import array_module, arrays_among, np

Function = Callable[..., Any]


def kernel(inputs: str, outputs: str, operation: str) -> Callable[[Function], Function]:
    """Decorate a function of floating-point arrays: on a GPU, one launch of this kernel computes the same.

    inputs, outputs  the types and names of the function's arguments, in their order. A type is one of NumPy, such as
                     int64, or a letter, which is the same type wherever it stands; behind `raw`, the kernel gets the
                     whole array, as in `raw T x`, to be indexed as `x[i]`
    operation        statements in CUDA C for one element of each array that is not raw, number `i` in C order; these
                     arrays broadcast, and those among `outputs` may be read, too

    Called without its outputs, the function returns new arrays for them with the shape, the data type and the memory
    layout of the first array.
    """
    number = inputs.count(",") + 1, outputs.count(",") + 1

    def decorate(plain: Function) -> Function:
        @cache
        def compiled(cupy: Any) -> Any:
            return cupy.ElementwiseKernel(inputs, outputs, operation, f"minigen_{plain.__name__.strip('_')}")

        @wraps(plain)
        def call(*args: Any) -> Any:
            first = arrays_among(args)[:1]
            if not first or array_module(first[0]) is np or first[0].dtype.kind != "f":
                return plain(*args)
            xp = array_module(first[0])
            if len(args) == number[0]:
                args += tuple([xp.empty_like(first[0]) for _ in range(number[1])])
            return compiled(xp)(*args)

        return call

    return decorate
