"""The stand-in for CuPy is strict where CuPy is, right where it computes, and no wider than real CuPy."""

from __future__ import annotations

import copy
import inspect
import math
import re
import threading
from typing import Any

import numpy as np
import pytest
import strict_cupy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strict_cupy import count, cupy


def on_gpu(values: Any, dtype: str = "float32") -> Any:
    return cupy.asarray(np.array(values, dtype=dtype))


@pytest.fixture
def x() -> Any:
    return on_gpu([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


# -- no mixing with NumPy, no silent conversion ----------------------------------------------------------------


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
def test_numpy_functions_refuse(x: Any, convert: Any) -> None:
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
def test_unsupported_dtypes(dtype: Any) -> None:
    with pytest.raises(ValueError, match="Unsupported dtype"):
        cupy.zeros((2,), dtype=dtype)
    with pytest.raises(ValueError, match="Unsupported dtype"):
        cupy.asarray(np.zeros(2, dtype=dtype))


# -- only what CuPy has ----------------------------------------------------------------------------------------


def test_what_cupy_does_not_have(x: Any) -> None:
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


def test_arguments_that_cupy_does_not_take(x: Any) -> None:
    attempts = [lambda: cupy.add(x, x, where=x > 0), lambda: cupy.sum(x, initial=0), lambda: x.max(where=x > 0)]
    attempts += [lambda: cupy.clip(x, min=0, max=1), lambda: x.item(0), lambda: cupy.take(x, 0, mode="clip")]
    attempts += [lambda: cupy.einsum("ij->i", x, out=x), lambda: x.sum(0, None, None, True, 1)]
    for attempt in attempts:
        with pytest.raises(TypeError):
            attempt()


# -- results ---------------------------------------------------------------------------------------------------

ARRAYS = hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-2, 2, width=16))
# What NumPy calls otherwise, or computes on no array of floats.
UNARY = [n for n in strict_cupy.UFUNCS if getattr(np, n).nin == 1 and n != "invert"]
BINARY = [n for n in strict_cupy.UFUNCS if getattr(np, n).nin == 2 and not re.match("bitwise|left|right", n)]


def assert_same(got: Any, expected: Any) -> None:
    """Values, shape and data type of NumPy; an array of the device, and C-ordered."""
    assert isinstance(got, cupy.ndarray)
    expected = np.asarray(expected)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got.get(), expected)


@given(a=ARRAYS, name=st.sampled_from(UNARY))
def test_unary(a: np.ndarray, name: str) -> None:
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(a)
    got = getattr(cupy, name)(cupy.asarray(a).T)
    assert_same(got, expected.T)
    assert got.flags.c_contiguous


@given(a=ARRAYS, name=st.sampled_from(BINARY), scalar=st.floats(-2, 2, width=16))
def test_binary_and_out(a: np.ndarray, name: str, scalar: float) -> None:
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


def test_operators(x: Any) -> None:
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


def test_functions_on_several_arrays(x: Any) -> None:
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


def test_memory_layout(x: Any) -> None:
    assert (x.T + 0).flags.c_contiguous
    assert not x.T.copy(order="K").flags.c_contiguous  # the default order of astype, cupy.copy and zeros_like
    assert not x.T.astype("float64").flags.c_contiguous
    assert not cupy.zeros_like(x.T).flags.c_contiguous
    assert x.T.copy().flags.c_contiguous
    assert cupy.ascontiguousarray(x) is x


def test_deep_copy_and_iteration(x: Any) -> None:
    other = copy.deepcopy(x)
    other += 1
    assert [row.tolist() for row in x] == [[1, 2, 3], [4, 5, 6]]
    assert len(x) == 2


# -- views -----------------------------------------------------------------------------------------------------


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
        lambda x: cupy.lib.stride_tricks.as_strided(x, (2, 2), x.strides),
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


def test_reshape_copies_where_it_must(x: Any) -> None:
    with count() as c:
        y = x.T.reshape(6)
    assert (c.launches, y.base) == (1, None)
    assert not cupy.shares_memory(x, y)


# -- indexing --------------------------------------------------------------------------------------------------


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
    expected = a.copy()
    np.add.at(expected, (*front, wrapped), np.float32(1))
    cupy.add.at(g, (*front, index), 1)
    assert_same(g, expected)
    expected[(*front, wrapped)] = 7
    g[(*front, index)] = 7
    assert_same(g, expected)


def test_several_index_arrays_and_new_axes(x: Any) -> None:
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


def test_masks_and_assignment(x: Any) -> None:
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


def test_out_of_bounds_scalars_still_raise(x: Any) -> None:
    for key in (2, (0, 3), (0, 0, 0)):
        with pytest.raises(IndexError):
            x[key]
    with pytest.raises(IndexError):
        x[x]  # floating-point index


def test_scatter_takes_the_types_of_atomic_operations() -> None:
    i = on_gpu([0, 0], "int64")
    for name, dtype in (("add", "int64"), ("maximum", "float16"), ("add", "bool")):
        with pytest.raises(TypeError, match=f"{name}.at"):
            getattr(cupy, name).at(on_gpu([1, 2], dtype), i, 1)
    with pytest.raises(NotImplementedError):
        cupy.multiply.at(on_gpu([1, 2]), i, 2)


# -- counting --------------------------------------------------------------------------------------------------


def test_launches(x: Any) -> None:
    for launches, call in (
        (1, lambda: x + 1),
        (3, lambda: (x * x + 1).sum()),
        (1, lambda: cupy.add(x, 1, out=x)),
        (1, lambda: x.__imul__(1)),
        (1, lambda: x.fill(1)),
        (1, lambda: x.__setitem__(0, 1)),
        (1, lambda: cupy.copyto(x, 2.0)),
        (1, lambda: cupy.zeros((2, 3))),
        (0, lambda: cupy.empty((2, 3))),
        (0, lambda: cupy.asarray(x)),
        (0, lambda: x.astype("float32", copy=False)),
        (1, lambda: x.astype("float64")),
        (1, lambda: x.copy()),
        (0, lambda: cupy.result_type(x, "float64")),
    ):
        with count() as outer, count() as inner:
            call()
        assert inner.launches == outer.launches == launches, inspect.getsource(call)
    with count() as c:
        x[0] += 1  # the addition writes into the view: storing it back is nothing more
    assert c.launches == 1


def test_synchronisations(x: Any) -> None:
    s = x.sum()
    for synchronisations, call in (
        (0, lambda: (x + 1).sum()),
        (1, lambda: float(s)),
        (1, lambda: int(s)),
        (1, lambda: bool(s > 0)),
        (1, s.item),
        (1, x.get),
        (1, x.tolist),
        (1, lambda: cupy.asnumpy(x)),
        (1, lambda: repr(x)),
        (1, lambda: f"{s:.1f}"),
        (1, lambda: x[x > 2]),
        (1, lambda: x.__setitem__(x > 2, 0)),
        (1, lambda: cupy.nonzero(x)),
        (1, lambda: cupy.where(x > 1)),
        (0, lambda: cupy.where(x > 1, x, 0)),
        (0, lambda: cupy.allclose(x, x)),
    ):
        with count() as c:
            call()
        assert c.synchronisations == synchronisations, inspect.getsource(call)


def test_host_copies_are_copies(x: Any) -> None:
    a = np.ones(3)
    y = cupy.asarray(a)
    a[:] = 5
    y.get()[:] = 6
    assert y.tolist() == [1, 1, 1]
    assert cupy.array([x[0], x[1]]).tolist() == x.tolist()


# -- devices ---------------------------------------------------------------------------------------------------


def test_devices_do_not_mix(x: Any) -> None:
    with cupy.cuda.Device(1):
        y = cupy.ones((2, 3), "float32")
        assert y.device.id == (y + 1).device.id == 1
        with pytest.raises(ValueError, match=r"device 0.*current device is 1"):
            x + y
        with pytest.raises(ValueError):
            x + 1  # an array of another device than the current one, even alone
        assert x.T.device.id == 0  # a view is no launch
        z = cupy.asarray(x)  # the way from one device to the other
        assert (z.device.id, z.tolist()) == (1, x.tolist())
        with pytest.raises(NotImplementedError):
            cupy.asarray(x[:, ::2])
    mixes = [lambda: x + y, lambda: x.__setitem__(0, y[0]), lambda: cupy.stack([x, y]), lambda: y.fill(0)]
    for mix in [*mixes, lambda: x.__iadd__(y), lambda: y[on_gpu([0], "int64")], lambda: x[y > 0]]:
        with pytest.raises(ValueError, match="current device"):
            mix()
    with pytest.raises(RuntimeError), cupy.cuda.Device(2):
        pass
    assert cupy.cuda.Device().id == 0


def test_the_current_device_is_of_the_thread() -> None:
    seen = []
    with cupy.cuda.Device(1):
        thread = threading.Thread(target=lambda: seen.append(cupy.cuda.Device().id))
        thread.start()
        thread.join()
    assert seen == [0]


# -- beside real CuPy ------------------------------------------------------------------------------------------


def _real_cupy() -> Any:
    return pytest.importorskip("cupy", reason="CuPy is not installed: nothing to compare the stand-in with")


def _positional_and_keyword(signature: inspect.Signature) -> tuple[list[str], set[str]]:
    parameters = signature.parameters.values()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keyword = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    return positional, keyword


def _assert_narrower(ours: inspect.Signature, real: inspect.Signature, name: str) -> None:
    """Whatever may be passed to `ours`, by position or by name, may be passed to `real`."""
    positional, keyword = _positional_and_keyword(ours)
    real_positional, real_keyword = _positional_and_keyword(real)
    kinds = {p.kind for p in real.parameters.values()}
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        assert positional == real_positional[: len(positional)], f"{name}: {positional} but CuPy {real_positional}"
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        assert keyword <= real_keyword, f"{name}: {keyword} but CuPy {real_keyword}"
    for parameter in keyword & real_keyword:
        default, real_default = ours.parameters[parameter].default, real.parameters[parameter].default
        assert default == real_default or (name, parameter) == ("prod", "keepdims"), f"{name}: {parameter}"


def test_real_cupy_has_the_functions() -> None:
    names = [name for name, _ in strict_cupy._table(strict_cupy.FUNCTIONS)]
    names += ["array", "asarray", "asnumpy", "get_array_module", "linalg.norm"]
    names += ["lib.stride_tricks.as_strided", "lib.stride_tricks.sliding_window_view"]
    for name in names:
        ours, real = cupy, _real_cupy()
        for part in name.split("."):
            ours, real = getattr(ours, part), getattr(real, part)
        if name not in ("size", "promote_types"):  # compiled, without a signature
            _assert_narrower(inspect.signature(ours), inspect.signature(real), name)


def test_real_cupy_has_the_ufuncs() -> None:
    real = _real_cupy()
    for name in strict_cupy.UFUNCS:
        assert isinstance(getattr(real, name), real.ufunc), name
        assert getattr(real, name).nin == getattr(cupy, name).nin, name
        if name in strict_cupy._SCATTERS:
            assert getattr(real, name)._scatter_op is not None, name


def test_real_cupy_has_the_methods() -> None:
    names = [name for name, _ in strict_cupy._table(strict_cupy.METHODS)]
    for name in [*strict_cupy.SHARED_METHODS, *names]:
        # Compiled methods give their signature in the docstring's first line, some names with a C type before them.
        text = (getattr(_real_cupy().ndarray, name).__doc__ or "").strip().split("\n")[0]
        assert text.startswith("_ndarray_base.") or name == "view", name
        if name != "view":
            text = re.sub(r"\b(int|Py_ssize_t|_ndarray_base) (?=\w)", "", text[text.index("(") + 1 : text.rindex(")")])
            ours = inspect.signature(getattr(strict_cupy.ndarray, name))
            ours = ours.replace(parameters=list(ours.parameters.values())[1:])
            _assert_narrower(ours, inspect.signature(eval(f"lambda {text.removeprefix('self').lstrip(', ')}: 0")), name)


def test_real_cupy_has_the_constants_and_attributes() -> None:
    real = _real_cupy()
    for name in strict_cupy.CONSTANTS:
        assert repr(getattr(real, name)).replace("cupy", "numpy") == repr(getattr(cupy, name)), name
    ours = set(dir(strict_cupy.ndarray)) - {"__getattr__", "__weakref__"}
    assert {name for name in ours if not re.match("_[^_]", name)} <= set(dir(real.ndarray))
    assert real.ndarray.__weakrefoffset__ > 0
    assert real.ndarray.__dictoffset__ == 0  # no attributes of one's own on an array
    assert real.ndarray.__array_priority__ == strict_cupy.ndarray.__array_priority__
    assert set(strict_cupy.Flags._fields) <= set(dir(real._core.flags.Flags))
    assert {"id", "use", "synchronize", "__enter__", "__exit__", "__int__"} <= set(dir(real.cuda.Device))
    assert set(vars(cupy.cuda.runtime)) <= set(dir(real.cuda.runtime)) | {"__name__", "__doc__"}
