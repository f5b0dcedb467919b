"""Views share memory and cost nothing; integer arrays as indices wrap around; masks and assignments are NumPy's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from strict_cupy import count, cupy
from strict_cupy.checks import ARRAYS, assert_same, on_gpu

# -- views -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[0],
        lambda x: x[0, 0],
        lambda x: x[..., ::-1],
        lambda x: x[None, :, 1:],
        lambda x: x.T,
        lambda x: x.mT,
        lambda x: x.reshape(3, 2),
        lambda x: x.ravel(),
        lambda x: x.transpose(1, 0),
        lambda x: x.swapaxes(0, 1),
        lambda x: cupy.broadcast_to(x, (4, 2, 3)),
        lambda x: cupy.expand_dims(x, 0).squeeze(0),
        lambda x: cupy.moveaxis(x, 0, 1),
        lambda x: cupy.flip(x, 0),
        lambda x: cupy.split(x, 3, axis=1)[0],
    ],
)
def test_views_share_memory_and_launch_nothing(x: Any, view: Any) -> None:
    with count() as c:
        y = view(x)
    assert (c.launches, c.synchronisations) == (0, 0)
    assert y.base is x
    assert y[...].base is x
    assert cupy.shares_memory(x, y)
    before = y.get()
    x += 10
    np.testing.assert_array_equal(y.get(), before + 10)


def test_where_there_is_nothing_to_do_the_array_itself_comes_back(x: Any) -> None:
    assert x.squeeze() is cupy.squeeze(x, ()) is x
    assert cupy.split(x, 1)[0] is cupy.array_split(x, 1, 1)[0] is x


def test_as_strided_does_not_say_whose_memory_it_is(x: Any) -> None:
    with count() as c:
        y = cupy.lib.stride_tricks.as_strided(x, (2, 2), x.strides)
    assert (c.launches, y.base) == (0, None)
    assert cupy.shares_memory(x, y)


def test_reshape_copies_where_it_must(x: Any) -> None:
    with count() as c:
        y = x.T.reshape(6)
    assert (c.launches, y.base) == (1, None)
    assert not cupy.shares_memory(x, y)


# -- indexing ----------------------------------------------------------------------------------------------------------


@given(a=ARRAYS, data=st.data())
def test_integer_arrays_wrap_around(a: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, a.ndim - 1))
    i = data.draw(hnp.arrays(np.int64, hnp.array_shapes(max_dims=2, max_side=3), elements=st.integers(-9, 9)))
    front, n = (slice(None),) * axis, a.shape[axis]
    wrapped = np.array([j - n * math.floor(j / n) for j in i.ravel()]).reshape(i.shape)
    g, index = cupy.asarray(a), cupy.asarray(i)
    assert_same(g[(*front, index)], a[(*front, wrapped)])
    assert_same(g[(..., index, *(slice(None),) * (a.ndim - axis - 1))], a[(*front, wrapped)])
    assert_same(g.take(index, axis=axis), a[(*front, wrapped)])
    expected, counted = a.copy(), np.zeros(a.shape, "int32")
    np.add.at(counted, (*front, wrapped), 1)
    counts = cupy.zeros(a.shape, "int32")
    cupy.add.at(counts, (*front, index), 1)
    assert_same(counts, counted)
    expected[(*front, wrapped)] = 7
    g[(*front, index)] = 7
    assert_same(g, expected)


def test_several_index_arrays_and_new_axes_do_what_numpys_do(x: Any) -> None:
    a, i, j = x.get(), np.array([0, 1, 0]), np.array([2, 0, 1])
    gi, gj = cupy.asarray(i + 2), cupy.asarray(j - 3)  # both wrap around
    assert_same(x[gi, gj], a[i, j])
    assert_same(x[None, gi, None, gj], a[None, i, None, j])
    assert_same(x[gi][..., gj], a[i][..., j])
    assert_same(x[gi, 1], a[i, 1])
    assert x[:, gj].flags.c_contiguous  # in NumPy it is not
    cube, mask = np.arange(12.0).reshape(2, 2, 3), np.array([[True, False], [False, True]])
    assert_same(cupy.asarray(cube)[cupy.asarray(mask), on_gpu([5, -1], "int64")], cube[mask, [2, 2]])


def test_along_axis_wraps_too(x: Any) -> None:
    i = on_gpu([[3], [-4]], "int64")  # columns 0 and 2
    assert cupy.take_along_axis(x, i, 1).tolist() == [[1], [6]]
    cupy.put_along_axis(x, i, 0.0, 1)
    assert x.tolist() == [[0, 2, 3], [4, 5, 0]]


def test_masks_and_assignments_do_what_numpys_do(x: Any) -> None:
    a = x.get()
    assert_same(x[x > 2], a[a > 2])
    assert_same(x[x[:, 0] > 2, 1:], a[a[:, 0] > 2, 1:])
    for assign in (
        lambda u, v: u.__setitem__(u > 4, 0),
        lambda u, v: u.__setitem__((slice(None), 0), v),
        lambda u, v: u.__setitem__((..., slice(1, 3)), 9.5),
        lambda u, v: u.__setitem__(u == 0, v.sum()),
    ):
        assign(x, on_gpu([7, 8]))
        assign(a, np.array([7, 8], "float32"))
        assert_same(x, a)


def test_different_values_for_one_place_are_refused(x: Any) -> None:
    for repeated in ([0, 2], [1, 1]):  # 2 wraps around to 0
        i = on_gpu(repeated, "int64")
        with pytest.raises(ValueError, match="repeated"):
            x[i] = on_gpu([[1, 2, 3], [1, 2, 4]])
        x[i] = on_gpu([1, 2, 3])
        x[i] -= 1
        x[i] = 5
    with pytest.raises(ValueError, match="repeated"):
        cupy.put_along_axis(x, on_gpu([[0, 0]], "int64"), on_gpu([[1, 2]]), 1)


def test_a_sum_in_an_order_left_to_chance_is_refused(x: Any) -> None:
    i = on_gpu([0, 0, 1], "int64")
    for values in (1, on_gpu([[1], [2], [3]])):
        with pytest.raises(ValueError, match=r"add\.at: several floats"):
            cupy.add.at(x, i, values)
    cupy.add.at(x, i, on_gpu([[1], [0], [3]]))
    assert x.tolist() == [[2, 3, 4], [7, 8, 9]]
    cupy.maximum.at(x, i, 5)


def test_out_of_bounds_scalars_still_raise(x: Any) -> None:
    for key in (2, (0, 3), (0, 0, 0)):
        with pytest.raises(IndexError):
            x[key]
    with pytest.raises(IndexError):
        x[x]  # floating-point index


def test_at_takes_the_data_types_of_atomic_operations() -> None:
    i = on_gpu([0, 0], "int64")
    for name, dtype in (("add", "int64"), ("maximum", "float16"), ("add", "bool")):
        with pytest.raises(TypeError, match=f"{name}.at"):
            getattr(cupy, name).at(on_gpu([1, 2], dtype), i, 1)
    with pytest.raises(NotImplementedError):
        cupy.multiply.at(on_gpu([1, 2]), i, 2)
