"""Kernels: formulas as text in CUDA C, each of which a GPU computes in one launch.

On a GPU, every operation of arrays is the launch of a kernel, which takes longer to start than a small array takes to
compute: `g * (out > 0)` is two launches. Where it matters, a formula is given a second time, as the text of one kernel:

    @kernel("T g, T out", "T x", "x = g * T(out > 0)")
    def _relu_gradient(g, out):
        return g * (out > 0)

The function is what a reader needs to know, and what computes on a CPU; the kernel takes its place on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, wraps
from typing import Any, TypeVar

from minigen.backend import Array, array_module, is_array, on_host

Function = TypeVar("Function", bound=Callable[..., Any])

_FUNCTIONS = "template <class T> __device__ T sigmoid(T x) { return T(0.5) + T(0.5) * tanh(T(0.5) * x); }"
"""What kernels call and CUDA C does not have."""


def kernel(inputs: str, outputs: str, operation: str, functions: str = "") -> Callable[[Function], Function]:
    """Decorate a function of floating-point arrays: on a GPU, one launch of this kernel computes the same.

    inputs, outputs  the types and names of the function's arguments and of what it returns, in their order. A type is
                     one of NumPy, such as int64, or a letter, which is the same type wherever it stands. Behind `raw`
                     the kernel gets the whole array, to be indexed as `x[i]` in C order
    operation        statements in CUDA C for one element of each array that is not raw, number `i` in C order; these
                     arrays broadcast
    functions        what the statements call, in CUDA C

    An output is a new array with the data type of the first array and the shape and memory layout of the first input
    that is not raw; if it is raw itself, of the first that is. Or the function takes its outputs as further arguments,
    and the kernel writes to these; it may read them, too.
    """
    raw_inputs, raw_outputs = ([p.split()[0] == "raw" for p in text.split(",")] for text in (inputs, outputs))

    def new_outputs(args: tuple[Any, ...], dtype: Any) -> Iterator[Array]:
        for raw in raw_outputs:
            like = next(x for x, r in zip(args, raw_inputs, strict=True) if r is raw and is_array(x))
            yield array_module(like).empty_like(like, dtype=dtype)

    def decorate(plain: Function) -> Function:
        @cache
        def compiled(cupy: Any) -> Any:
            name = f"minigen_{plain.__name__.strip('_')}"  # apart from CUDA's own functions
            return cupy.ElementwiseKernel(inputs, outputs, operation, name, preamble=_FUNCTIONS + functions)

        @wraps(plain)
        def fused(*args: Any) -> Any:
            first = next((x for x in args if is_array(x) and x.dtype.kind == "f"), None)
            if first is None or on_host(first):
                return plain(*args)
            if len(args) == len(raw_inputs):
                args += tuple(new_outputs(args, first.dtype))
            return compiled(array_module(first))(*args)

        fused.compiled = compiled  # type: ignore[attr-defined]
        return fused  # type: ignore[return-value]

    return decorate
