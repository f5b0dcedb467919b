"""A library cuBLAS for what calls it through `ctypes`: its batched products, computed by NumPy on the host."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from strict_cupy.counting import launch, recorded


def load(name: str, *args: Any, original: Any = ctypes.CDLL) -> Any:
    """`ctypes.CDLL(name)`."""
    return Library() if name.startswith("libcublas") else original(name, *args)


class Library:
    """`ctypes.CDLL("libcublas.so.13")`."""

    def __getattr__(self, name: str) -> Any:
        if name in ("cublasCreate_v2", "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasDestroy_v2"):
            return lambda *args: 0
        return {"cublasSgemmStridedBatched": _single, "cublasDgemmStridedBatched": _double}[name]


def _gemm(dtype: type, args: tuple[Any, ...]) -> int:
    """C = alpha op(A) op(B) + beta C for each of `batch` matrices, which lie column by column; op may transpose."""
    _, op_a, op_b, m, n, k, alpha, a, lda, step_a, b, ldb, step_b, beta, c, ldc, step_c, batch = args
    if lda < (k if op_a else m) or ldb < (n if op_b else k) or ldc < m:
        return 7  # CUBLAS_STATUS_INVALID_VALUE

    def matrices(pointer: Any, rows: int, columns: int, leading: int, step: Any) -> np.ndarray:
        count = step.value * (batch - 1) + leading * (columns - 1) + rows
        memory = np.ctypeslib.as_array((dtype * count).from_address(pointer.value))
        strides = [size * memory.itemsize for size in (step.value, 1, leading)]
        return np.lib.stride_tricks.as_strided(memory, (batch, rows, columns), strides)

    x, y = (
        matrices(a, *((k, m) if op_a else (m, k)), lda, step_a),
        matrices(b, *((n, k) if op_b else (k, n)), ldb, step_b),
    )
    x, y = x.swapaxes(1, 2) if op_a else x, y.swapaxes(1, 2) if op_b else y
    out = matrices(c, m, n, ldc, step_c)

    def multiply() -> None:
        with np.errstate(all="ignore"):  # a GPU does not warn
            out[...] = alpha._obj.value * (x @ y) + (beta._obj.value * out if beta._obj.value else 0)

    launch("gemm", [])
    recorded(multiply, [out])
    return 0


def _single(*args: Any) -> int:
    return _gemm(ctypes.c_float, args)


def _double(*args: Any) -> int:
    return _gemm(ctypes.c_double, args)
