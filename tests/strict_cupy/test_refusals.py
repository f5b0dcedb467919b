"""The stand-in refuses what CuPy refuses: NumPy's arrays, silent conversions, what CuPy does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from strict_cupy import cupy
from strict_cupy.checks import on_gpu

# -- no mixing with NumPy, no silent conversion ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        np.tanh,
        np.sum,
        np.shape,
        np.atleast_1d,
        lambda x: np.array([x, x]),
        lambda x: np.add(np.ones(3), 1, out=x[0]),
        lambda x: np.concatenate([x, x]),
        lambda x: np.testing.assert_allclose(x, x),
        lambda x: np.ones(2)[x],
    ],
)
def test_numpys_functions_refuse_the_array(x: Any, convert: Any) -> None:
    with pytest.raises(TypeError):
        convert(x)


@pytest.mark.parametrize("host", [np.ones((2, 3), "float32"), np.array(2.0), np.ones(1)])
def test_numpy_arrays_are_refused(x: Any, host: np.ndarray) -> None:
    def assign() -> None:
        x[...] = host

    def add_to_host() -> None:
        nonlocal host
        host += x

    attempts = [lambda: x + host, lambda: host + x, lambda: host == x, lambda: x == host, lambda: x @ host]
    attempts += [lambda: cupy.maximum(x, host), lambda: cupy.where(x > 0, x, host), lambda: cupy.stack([x, host])]
    attempts += [lambda: x[host.astype(int)], lambda: x.take(host.astype(int)), lambda: cupy.sum(host), assign]
    attempts += [lambda: cupy.full((2,), host), lambda: x.fill(host), lambda: cupy.add(x, 1, out=host), add_to_host]
    attempts += [lambda: x.__iadd__(host), lambda: cupy.add.at(x, 0, host), lambda: cupy.clip(x, host, None)]
    for attempt in attempts:
        with pytest.raises(TypeError):
            attempt()
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_lists_none_and_strange_objects_are_refused(x: Any) -> None:
    attempts = [lambda: x * [1, 2, 3], lambda: x == None, lambda: cupy.tanh("a")]  # noqa: E711
    attempts += [lambda: cupy.sum([1.0]), lambda: cupy.sum(1.0), lambda: cupy.stack([1.0]), lambda: x[[0, 1]]]
    attempts += [lambda: x[(0, 1), :], lambda: x[True], lambda: x[range(2)], lambda: x.__setitem__(0, [1, 2, 3])]
    for attempt in attempts:
        with pytest.raises(TypeError):
            attempt()


def test_arrays_are_no_integers(x: Any) -> None:
    n = on_gpu(1, "int64")
    attempts = [lambda: range(n), lambda: [1, 2][n], lambda: cupy.zeros((n, 2)), lambda: x.reshape(n, 6)]
    for attempt in [*attempts, lambda: x.sum(n), lambda: x[n:], lambda: cupy.expand_dims(x, n)]:
        with pytest.raises(TypeError):
            attempt()


def test_scalars_mix_and_promote_as_in_numpy(x: Any) -> None:
    assert (x + 1).dtype == (2.5 * x).dtype == (np.float32(2) * x).dtype == "float32"
    assert (np.float64(2) * x).dtype == (x * np.float64(2)).dtype == "float64"  # not weak: it drifts, as in CuPy
    assert isinstance(np.float32(2) * x, cupy.ndarray)
    assert (np.float32(2) - x).tolist() == [[1, 0, -1], [-2, -3, -4]]
    assert (np.float32(2) > x).tolist() == [[True, False, False], [False, False, False]]


def test_operators_defer_as_in_cupy(x: Any) -> None:
    class Tensor:
        __array_ufunc__ = None

        def __radd__(self, other: Any) -> str:
            return "mine"

    class Unmarked:
        def __radd__(self, other: Any) -> str:
            return "never asked"

    assert x + Tensor() == "mine"
    with pytest.raises(TypeError):
        x + Unmarked()


@pytest.mark.parametrize("dtype", [object, "U3", np.longdouble, "M8[s]"])
def test_dtypes_that_cupy_does_not_have_are_refused(dtype: Any) -> None:
    with pytest.raises(ValueError, match="Unsupported dtype"):
        cupy.zeros((2,), dtype=dtype)
    with pytest.raises(ValueError, match="Unsupported dtype"):
        cupy.asarray(np.zeros(2, dtype=dtype))


# -- only what CuPy has ------------------------------------------------------------------------------------------------


def test_what_cupy_does_not_have_does_not_exist(x: Any) -> None:
    for name in ("errstate", "vecdot", "insert", "random_thing", "np"):
        with pytest.raises(AttributeError, match=f"{name} is not in the stand-in"):
            getattr(cupy, name)
    with pytest.raises(AttributeError, match="setflags is not in the stand-in"):
        x.setflags(write=False)
    with pytest.raises(AttributeError):
        _ = x.flags.writeable
    with pytest.raises(NotImplementedError):
        cupy.maximum.reduce(x)
    assert cupy.add.reduce(x).tolist() == [5, 7, 9]


def test_arguments_that_cupy_does_not_take_are_refused(x: Any) -> None:
    attempts = [lambda: cupy.add(x, x, where=x > 0), lambda: cupy.sum(x, initial=0), lambda: x.max(where=x > 0)]
    attempts += [lambda: cupy.clip(x, min=0, max=1), lambda: x.item(0), lambda: cupy.take(x, 0, mode="clip")]
    attempts += [lambda: cupy.einsum("ij->i", x, out=x), lambda: x.sum(0, None, None, True, 1)]
    for attempt in attempts:
        with pytest.raises(TypeError):
            attempt()
