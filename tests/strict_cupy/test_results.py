"""The stand-in computes what NumPy computes, keeps it on the device, and lays it out in memory as CuPy does."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strict_cupy import cupy, tables
from strict_cupy.checks import ARRAYS, assert_same, on_gpu

# What NumPy calls otherwise, or computes on no array of floats.
UNARY = [n for n in tables.UFUNCS if getattr(np, n).nin == 1 and n != "invert"]
BINARY = [n for n in tables.UFUNCS if getattr(np, n).nin == 2 and not re.match("bitwise|left|right", n)]


@given(a=ARRAYS, name=st.sampled_from(UNARY))
def test_a_ufunc_of_one_array_is_numpys(a: np.ndarray, name: str) -> None:
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(a)
    got = getattr(cupy, name)(cupy.asarray(a).T)
    assert_same(got, expected.T)
    assert got.flags.c_contiguous


@given(a=ARRAYS, name=st.sampled_from(BINARY), scalar=st.floats(-2, 2, width=16))
def test_a_ufunc_of_two_arrays_is_numpys_with_and_without_out(a: np.ndarray, name: str, scalar: float) -> None:
    function, b = getattr(np, name), a[..., :1] + np.float32(1)
    with np.errstate(all="ignore"):
        expected, with_scalar = function(a, b), function(a, scalar)
    assert_same(getattr(cupy, name)(cupy.asarray(a), cupy.asarray(b)), expected)
    assert_same(getattr(cupy, name)(cupy.asarray(a), scalar), with_scalar)
    out = cupy.empty(a.shape, expected.dtype)
    assert getattr(cupy, name)(cupy.asarray(a), cupy.asarray(b), out=out) is out
    assert_same(out, expected)


@given(a=ARRAYS, keepdims=st.booleans(), data=st.data())
def test_reductions_stay_on_the_device(a: np.ndarray, keepdims: bool, data: st.DataObject) -> None:
    axis = data.draw(st.none() | st.integers(-a.ndim, a.ndim - 1))
    for name in ("sum", "mean", "max", "min", "argmax", "prod", "var", "std", "any", "all"):
        expected = getattr(np, name)(a, axis=axis, keepdims=keepdims)
        assert_same(getattr(cupy, name)(cupy.asarray(a), axis=axis, keepdims=keepdims), expected)
        assert_same(getattr(cupy.asarray(a), name)(axis=axis, keepdims=keepdims), expected)


def test_operators_compute_what_numpys_do(x: Any) -> None:
    a, n = x.get(), np.array([[1, 2, 3], [4, 5, 6]])
    m = cupy.asarray(n)
    for operate in (
        lambda u: u - 2 * u + 1 / u,
        lambda u: u**2 % 3 // 2,
        lambda u: 2**u,
        lambda u: -u + abs(u) - +u,
        lambda u: u @ u.T,
        lambda u: (u < 3) | ~(u >= 5) & (u != 4) ^ (u == 2),
    ):
        assert_same(operate(x), operate(a))
    assert_same((m << 2) ^ (m >> 1) & 3 | 1, (n << 2) ^ (n >> 1) & 3 | 1)
    y = x
    y += 1
    y *= x
    y -= on_gpu([1, 2, 3])
    y /= np.float32(2)
    assert y is x
    assert_same(x, ((a + 1) * (a + 1) - np.array([1, 2, 3], "f4")) / 2)
    with pytest.raises(TypeError):
        m += 0.5  # no silent truncation


def test_functions_compute_what_numpys_do(x: Any) -> None:
    a = x.get()
    i = np.array([[2, 0], [1, 1]])
    for compute in (
        lambda xp, u, i: xp.concatenate([u, u], axis=1),
        lambda xp, u, i: xp.stack([u, u], 1),
        lambda xp, u, i: xp.where(u > 2, u, 0.0),
        lambda xp, u, i: xp.pad(u, ((1, 0), (0, 2)), constant_values=3.0),
        lambda xp, u, i: xp.einsum("ij,kj->ik", u, u),
        lambda xp, u, i: xp.tensordot(u, u, axes=([1], [1])),
        lambda xp, u, i: xp.dot(u, u.T),
        lambda xp, u, i: xp.outer(u[0], u[1]),
        lambda xp, u, i: xp.take_along_axis(u, i, 1),
        lambda xp, u, i: xp.clip(u, 2, 4),
        lambda xp, u, i: xp.tril(u) + xp.triu(u, 1),
        lambda xp, u, i: xp.cumsum(u, axis=1),
        lambda xp, u, i: xp.sort(-u, axis=1) + xp.argsort(-u, axis=1),
        lambda xp, u, i: xp.repeat(u, 2, axis=0) + xp.tile(u, (2, 1)) + xp.roll(xp.repeat(u, 2, 0), 1, 0),
        lambda xp, u, i: xp.bincount(i.ravel(), minlength=5),
        lambda xp, u, i: xp.searchsorted(u[0], u[1]),
        lambda xp, u, i: xp.count_nonzero(u > 2),
        lambda xp, u, i: xp.linalg.norm(u, axis=1),
        lambda xp, u, i: xp.arange(1, 7, 2, dtype="float32") * xp.eye(3, dtype="float32"),
        lambda xp, u, i: xp.nonzero(u > 2)[1],
        lambda xp, u, i: xp.where(u > 2)[0],
        lambda xp, u, i: xp.linspace(0, 1, 5),
        lambda xp, u, i: xp.unique(i),
        lambda xp, u, i: xp.meshgrid(u[0], u[1])[1],
        lambda xp, u, i: xp.isclose(u, 2.0),
        lambda xp, u, i: xp.allclose(u, u),
        lambda xp, u, i: xp.array_equal(u, u[0]),
        lambda xp, u, i: xp.full_like(u, 3) + xp.ones_like(u) + xp.zeros_like(u) + xp.full((3,), 2, u.dtype),
        lambda xp, u, i: u.astype("float64").round(1).clip(min=2),
        lambda xp, u, i: xp.lib.stride_tricks.sliding_window_view(u, 2, axis=1),
    ):
        assert_same(compute(cupy, x, cupy.asarray(i)), compute(np, a, i))


def test_results_are_c_ordered_unless_cupy_keeps_the_layout(x: Any) -> None:
    assert (x.T + 0).flags.c_contiguous
    assert not x.T.copy(order="K").flags.c_contiguous  # the default order of astype, cupy.copy and zeros_like
    assert not x.T.astype("float64").flags.c_contiguous
    assert not cupy.zeros_like(x.T).flags.c_contiguous
    assert x.T.copy().flags.c_contiguous
    assert cupy.ascontiguousarray(x) is x


def test_an_array_can_be_copied_and_iterated_over(x: Any) -> None:
    other = copy.deepcopy(x)
    other += 1
    assert [row.tolist() for row in x] == [[1, 2, 3], [4, 5, 6]]
    assert len(x) == 2
