"""Matrix products on a GPU while its work is captured (see `capture`), where CuPy refuses to call cuBLAS.

CuPy asks cuBLAS for a product with its own handle, whose stream it sets anew for each call; that is what it refuses.
Here cuBLAS is called through `ctypes` instead, with a handle whose stream and memory are set once, before the capture.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any, NamedTuple

import numpy as np

from minigen.backend import Array, Shape

_WORKSPACE = 32 << 20  # bytes for cuBLAS to work in, as NVIDIA recommends for its newer cards


class Cublas:
    """cuBLAS on one stream of the current device: `matmul(x, y)` of float32 or float64."""

    def __init__(self, cupy: Any, stream: Any) -> None:
        version = cupy.cuda.runtime.runtimeGetVersion() // 1000
        self.library = ctypes.CDLL(f"libcublas.so.{version}")  # CuPy has loaded it
        self.cupy, self.handle = cupy, ctypes.c_void_p()
        self.memory = cupy.cuda.alloc(_WORKSPACE)
        self._call("cublasCreate_v2", ctypes.byref(self.handle))
        self._call("cublasSetStream_v2", self.handle, ctypes.c_void_p(stream.ptr))
        self._call("cublasSetWorkspace_v2", self.handle, ctypes.c_void_p(self.memory.ptr), ctypes.c_size_t(_WORKSPACE))

    def __del__(self) -> None:
        if self.handle:
            self.library.cublasDestroy_v2(self.handle)

    def _call(self, name: str, *args: Any) -> None:
        status = getattr(self.library, name)(*args)
        if status:
            raise RuntimeError(f"{name}: cuBLAS gives the error {status}")

    def matmul(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """The product as `numpy.matmul` defines it: x (..., m, k), y (..., k, n) or vectors, leading axes broadcast."""
        xp = self.cupy
        if x.ndim == 1:
            return self.matmul(x[None], y)[..., 0, :]
        if y.ndim == 1:
            return self.matmul(x, y[:, None])[..., 0]
        dtype = np.result_type(x.dtype, y.dtype)
        if dtype not in (np.float32, np.float64):
            raise NotImplementedError(f"a product of {dtype} cannot be captured")
        leading = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        shape = (*leading, x.shape[-2], y.shape[-1])
        fits = out is not None and out.dtype == dtype and out.ndim < 4 and not _operand(out).transposed
        result: Any = out if fits else xp.empty(shape, dtype)
        x, y = (_batch(xp, a.astype(dtype, copy=False), leading) for a in (x, y))
        if 0 in (*shape, x.shape[2]):
            result[...] = 0
        else:
            self._gemm(x, y, result.reshape(len(x), *shape[-2:]))
        if out is None or fits:
            return result
        out[...] = result
        return out

    def _gemm(self, x: Array, y: Array, out: Array) -> None:
        """out (b, m, n) = x (b, m, k) y (b, k, n). What cuBLAS takes is column by column: out^T = y^T x^T."""
        batch, m, n = out.shape
        left, right, result = _operand(y), _operand(x), _operand(out)
        single = out.dtype == np.float32
        number = ctypes.c_float if single else ctypes.c_double
        self._call(
            "cublasSgemmStridedBatched" if single else "cublasDgemmStridedBatched",
            *(self.handle, left.transposed, right.transposed, n, m, x.shape[2], ctypes.byref(number(1))),
            *(ctypes.c_void_p(y.data.ptr), left.leading, ctypes.c_longlong(left.step)),
            *(ctypes.c_void_p(x.data.ptr), right.leading, ctypes.c_longlong(right.step), ctypes.byref(number(0))),
            *(ctypes.c_void_p(out.data.ptr), result.leading, ctypes.c_longlong(result.step), batch),
        )


class Operand(NamedTuple):
    """How cuBLAS finds matrices (b, rows, columns) in memory."""

    transposed: int
    """0 for matrices that lie row by row, which are the transposed ones column by column; 1 for the others"""
    leading: int
    """numbers from one row, or column, to the next"""
    step: int
    """numbers from one matrix to the next; 0 if there is only one"""


def _operand(x: Array) -> Operand:
    step = x.strides[0] // x.itemsize if x.ndim == 3 and len(x) > 1 else 0
    down, right = (stride // x.itemsize for stride in x.strides[-2:])
    rows, columns = x.shape[-2:]
    by_row = _is_by_row(rows, columns, down, right)
    leading = (down if rows > 1 else columns) if by_row else (right if columns > 1 else rows)
    return Operand(int(not by_row), max(leading, 1), step)


def _is_by_row(rows: int, columns: int, down: int, right: int) -> bool:
    return (right == 1 or columns == 1) and (down >= columns or rows == 1)


def _batch(xp: Any, x: Array, leading: Shape) -> Array:
    """x (..., rows, columns) with these leading axes as (b, rows, columns), copied if cuBLAS could not find it."""
    rows, columns = x.shape[-2:]
    down, right = (stride // x.itemsize for stride in x.strides[-2:])
    if not (_is_by_row(rows, columns, down, right) or _is_by_row(columns, rows, right, down)):
        x = xp.ascontiguousarray(x)
    return xp.broadcast_to(x, (*leading, rows, columns)).reshape(math.prod(leading), rows, columns)
