"""Kernels given as text compute what they say, on CuPy's terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strict_cupy import count, cupy
from strict_cupy.checks import ARRAYS, assert_same, on_gpu

affine = cupy.ElementwiseKernel("T x, T a, T b", "T y", "y = a * x + b", "affine")


@given(a=ARRAYS, data=st.data())
def test_a_kernel_broadcasts_and_follows_strides(a: np.ndarray, data: st.DataObject) -> None:
    one = tuple(slice(0, 1) if data.draw(st.booleans()) else slice(None) for _ in a.shape)
    x = cupy.asarray(a)
    for view in (lambda u: u, lambda u: u.T, lambda u: u[..., ::-1]):
        with count() as c:
            y = affine(view(x), 2, view(x[one]))
        assert c.launches == 1
        assert_same(y, 2 * view(a) + view(a[one]))


def test_an_output_may_be_given_and_read(x: Any) -> None:
    add = cupy.ElementwiseKernel("T y", "T total, T count", "total += y; count = count + 1")
    total, times = cupy.asarray(x.T.copy()), cupy.zeros((3, 2), "float32")
    result = add(x.T, total, times)
    assert result[0] is total and result[1] is times
    assert_same(total, 2 * x.get().T)
    assert_same(times, np.ones((3, 2), "float32"))
    before = x.get()
    add(x, x[:, :], x)  # all are the same memory: each statement sees what the one before it wrote
    assert_same(x, 2 * before + 1)


def test_a_raw_array_is_indexed_in_c_order_within_its_bounds(x: Any) -> None:
    take = cupy.ElementwiseKernel("raw T x, int64 first", "T y", "y = x[i + first]", "take")
    assert_same(take(x.T, 1, cupy.empty(5, "float32")), x.get().T.ravel()[1:])
    for first, wrong in ((2, 6), (-1, -1)):
        with pytest.raises(IndexError, match=rf"take: x\[{wrong}\], but x has 6 elements"):
            take(x.T, first, cupy.empty(5, "float32"))
    put = cupy.ElementwiseKernel("T y", "raw T x", "x[7 * i] = y", "put")
    with pytest.raises(IndexError, match=r"put: x\[7\], but x has 6"):
        put(on_gpu([1.0, 2.0]), x)
    scatter = cupy.ElementwiseKernel("int64 j", "raw T x", "atomicAdd(&x[j], T(1))")
    counts = cupy.zeros(3, "float32")
    scatter(on_gpu([0, 2, 0, 0], "int64"), counts)
    assert counts.tolist() == [3, 0, 1]
    sizes = cupy.ElementwiseKernel("raw T x", "raw int64 n", "n[i] = x.size() + i")
    assert sizes(x, cupy.zeros(2, "int64"), size=2).tolist() == [6, 7]


def test_functions_of_cuda(x: Any) -> None:
    a = x.get() - 3
    for dtype, rtol in (("float32", 1e-6), ("float64", 1e-13)):
        b = a.astype(dtype)
        for text, expected in (
            ("exp(x) + log1p(abs(x)) * tanh(x)", np.exp(b) + np.log1p(np.abs(b)) * np.tanh(b)),
            ("sqrt(fabs(x)) - pow(x, T(2)) / expm1(x - T(0.5))", np.sqrt(np.abs(b)) - b**2 / np.expm1(b - 0.5)),
            ("sin(x) * cos(x) + floor(x / 2) + log(max(x, T(1)))", np.sin(b) * np.cos(b) + b // 2 + np.log(b.clip(1))),
        ):
            y = cupy.ElementwiseKernel("T x", "T y", f"y = {text}")(cupy.asarray(b))
            assert y.dtype == dtype
            np.testing.assert_allclose(y.get(), expected, rtol=rtol)
    high = cupy.ElementwiseKernel("uint64 x, uint64 y", "uint64 h", "h = __umul64hi(x, y)")
    numbers = [2**64 - 1, 2**63 + 12345, 7]
    products = high(cupy.asarray(np.array(numbers, "uint64")), 2**64 - 3)
    assert products.tolist() == [n * (2**64 - 3) >> 64 for n in numbers]
    larger = cupy.ElementwiseKernel("T x, T y", "T z", "z = max(x, y)")
    assert larger(on_gpu([np.nan, 1.0]), on_gpu([2.0, np.nan])).tolist() == [2, 1]  # CUDA's, unlike NumPy's


def test_an_empty_loop_launches_nothing(x: Any) -> None:
    with count() as c:
        assert affine(x[:0], 1, 2).shape == (0, 3)
    assert c.launches == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: affine(x, 1), TypeError, "number of arguments"),
        (lambda x: affine(x, 1, x.get()), TypeError, "Unsupported type"),
        (lambda x: affine(x, 1, x.astype("float64")), TypeError, "Type is mismatched. b float64 float32"),
        (lambda x: affine(x, 1, 2, cupy.empty((2, 3))), TypeError, "Type is mismatched. y float64 float32"),
        (lambda x: affine(x, 1, 2, x[0]), ValueError, "Out shape is mismatched"),
        (lambda x: cupy.ElementwiseKernel("T x, U z", "T y", "y = x")(x, 1), TypeError, "z: the type U is not decided"),
        (lambda x: cupy.ElementwiseKernel("raw T x", "T y", "y = x[0]")(x), ValueError, "undecided"),
        (lambda x: cupy.ElementwiseKernel("T x", "raw T y", "y[i] = x")(x), ValueError, "size is Undecided"),
        (lambda x: cupy.ElementwiseKernel("T x", "T y", "y = x + z")(x), RuntimeError, "CompileException"),
        (lambda x: cupy.ElementwiseKernel("T x", "T y", "x = y")(x), RuntimeError, "CompileException"),
        (lambda x: cupy.ElementwiseKernel("T i", "T y", "y = i"), ValueError, "parameter names"),
        (lambda x: cupy.ElementwiseKernel("const T x", "T y", "y = x"), ValueError, "Syntax error"),
    ],
)  # fmt: skip
def test_what_cupy_refuses(x: Any, call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call(x)
