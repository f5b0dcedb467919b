"""Reductions: values place by place, extreme values, ties, data types, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import grad, tensor
from minigen.backend import Device, default_dtype
from minigen.testing.checks import Case, check_derivatives
from minigen.testing.strategies import SEEDS, Cases, axes_of, axis_of, shapes, uniform, well_separated

# -- cases -------------------------------------------------------------------------------------------------------------


@st.composite
def reduced(draw: st.DrawFn, operation: Callable[..., Any], kink: bool = False) -> Case:
    shape = draw(shapes())
    axis, keepdims = draw(axes_of(len(shape))), draw(st.booleans())
    x = draw(well_separated(shape))[0] if kink else draw(uniform(shape))
    return Case(lambda x: operation(x, axis=axis, keepdims=keepdims), [x])


@st.composite
def spread(draw: st.DrawFn, operation: Callable[..., Any]) -> Case:
    """The variance of one value or more, or the standard deviation of two or more, which is smooth."""
    shape = draw(shapes())
    axis, keepdims = draw(axes_of(len(shape))), draw(st.booleans())
    count = np.empty(shape).size // max(np.empty(shape).sum(axis=axis).size, 1)
    assume(operation is ops.var or count != 1)
    correction = draw(st.integers(0, 1 if count > 1 else 0))
    fn = lambda x: operation(x, axis, keepdims, correction=correction)
    return Case(fn, draw(well_separated(shape)))


@st.composite
def products(draw: st.DrawFn) -> Case:
    """Of numbers among which there may be zeros."""
    shape = draw(shapes() | shapes(min_dims=3, max_size=12))  # with three axes, some orders are not their own inverses
    axis, keepdims, zeros = draw(axes_of(len(shape))), draw(st.booleans()), draw(st.integers(0, 2))
    x = draw(uniform(shape, 0.5, 1.5)) * np.where(np.random.default_rng(draw(SEEDS)).random(shape) < 0.2 * zeros, 0, 1)
    return Case(lambda x: ops.prod(x, axis, keepdims), [x])


@st.composite
def along_one_axis(draw: st.DrawFn, operation: Callable[..., Any]) -> Case:
    shape = draw(shapes(min_dims=1))
    axis = draw(axis_of(len(shape)))
    return Case(lambda x: operation(x, axis), [draw(uniform(shape))])


CASES: Cases = {
    "sum": reduced(ops.sum),
    "mean": reduced(ops.mean),
    "var": spread(ops.var),
    "std": spread(ops.std),
    "prod": products(),
    "cumsum": along_one_axis(ops.cumsum),
    "max": reduced(ops.max, kink=True),
    "min": reduced(ops.min, kink=True),
    "logsumexp": reduced(ops.logsumexp),
    "softmax": along_one_axis(ops.softmax),
    "log_softmax": along_one_axis(ops.log_softmax),
}


# -- values ------------------------------------------------------------------------------------------------------------

ORACLES: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "mean": lambda v: math.fsum(v) / len(v),
    "var": lambda v: math.fsum((a - math.fsum(v) / len(v)) ** 2 for a in v) / len(v),
    "std": lambda v: math.sqrt(math.fsum((a - math.fsum(v) / len(v)) ** 2 for a in v) / len(v)),
    "prod": math.prod,
    "all": all,
    "any": any,
    "max": lambda v: sorted(v)[-1],
    "min": lambda v: sorted(v)[0],
    "logsumexp": lambda v: math.log(math.fsum(map(math.exp, v))),
}


def reduce_by_hand(x: np.ndarray, axis: Any, keepdims: bool, oracle: Callable[[list[float]], float]) -> np.ndarray:
    """Collect the values that belong to each place of the result, then reduce each collection."""
    axes = range(x.ndim) if axis is None else [a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
    values: dict[tuple[int, ...], list[float]] = {}
    for index, value in np.ndenumerate(x):
        place = tuple(0 if i in axes else k for i, k in enumerate(index))
        values.setdefault(place, []).append(float(value))
    out = np.empty([1 if i in axes else n for i, n in enumerate(x.shape)])
    for place, collected in values.items():
        out[place] = oracle(collected)
    return out if keepdims else out.reshape([n for i, n in enumerate(x.shape) if i not in axes])


@pytest.mark.parametrize("name", ORACLES)
@given(data=st.data())
def test_a_reduction_is_computed_place_by_place(name: str, data: st.DataObject) -> None:
    shape = data.draw(shapes())
    axis, keepdims, x = data.draw(axes_of(len(shape))), data.draw(st.booleans()), data.draw(uniform(shape))
    result = getattr(ops, name)(tensor(x), axis, keepdims)
    expected = reduce_by_hand(x, axis, keepdims, ORACLES[name])
    assert result.shape == expected.shape
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(getattr(tensor(x), name)(axis=axis, keepdims=keepdims).numpy(), result.numpy())


@pytest.mark.parametrize(("name", "sign"), [("argmax", 1), ("argmin", -1)])
@given(data=st.data())
def test_the_index_of_the_largest_is_found_value_by_value(name: str, sign: int, data: st.DataObject) -> None:
    shape = data.draw(shapes(min_dims=1))
    axis, keepdims = data.draw(st.none() | axis_of(len(shape))), data.draw(st.booleans())
    x = np.round(data.draw(uniform(shape)))  # some are equal: the first counts
    first = lambda values: values.index(max(values))
    result = getattr(ops, name)(tensor(sign * x), axis, keepdims)
    np.testing.assert_array_equal(result.numpy(), reduce_by_hand(x, axis, keepdims, first))
    assert result.dtype == np.int64


@given(data=st.data())
def test_all_and_any_of_booleans(data: st.DataObject) -> None:
    x = data.draw(uniform(data.draw(shapes()))) > 0.5
    axis = data.draw(axes_of(x.ndim))
    for operation, oracle in ((ops.all, all), (ops.any, any)):
        result = operation(tensor(x), axis)
        assert result.dtype == bool
        np.testing.assert_array_equal(result.numpy(), reduce_by_hand(x, axis, False, oracle))


@given(data=st.data())
def test_cumsum_adds_one_value_after_the_other(data: st.DataObject) -> None:
    shape = data.draw(shapes(min_dims=1))
    axis, x = data.draw(axis_of(len(shape))), data.draw(uniform(shape))
    expected, total = np.zeros(shape), np.zeros(shape[:axis] + shape[axis % len(shape) + 1 :])
    for i in range(shape[axis]):
        total = total + np.take(x, i, axis)
        np.moveaxis(expected, axis, 0)[i] = total
    np.testing.assert_allclose(ops.cumsum(tensor(x), axis).numpy(), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_the_derivatives_of_a_product_with_zeros_are_exact(zeros: int, device: Device) -> None:
    """By hand: the product of all others, and of all but two."""
    values = [*[0.0] * zeros, 2.0, -3.0, 0.5, 7.0]
    x = tensor(np.array(values), requires_grad=True)
    (g,) = grad(ops.prod(x), x, create_graph=True)
    others = lambda *left_out: math.prod(v for i, v in enumerate(values) if i not in left_out)
    np.testing.assert_allclose(g.numpy(), [others(i) for i in range(x.size)])
    for i in range(x.size):
        (row,) = grad(g[i], x, create_graph=True)
        np.testing.assert_allclose(row.numpy(), [0.0 if i == j else others(i, j) for j in range(x.size)])


def test_the_product_of_many_values_needs_no_square_of_memory() -> None:
    x = tensor(np.full(100_000, 1.0), requires_grad=True)
    (g,) = grad(ops.prod(x), x)
    np.testing.assert_array_equal(g.numpy(), np.ones(x.size))


def test_the_unbiased_variance_divides_by_one_less() -> None:
    assert ops.var(tensor(np.array([1.0, 2.0, 6.0])), correction=1).item() == pytest.approx((4 + 1 + 9) / 2)
    assert ops.std(tensor(np.array([1.0, 2.0, 6.0])), correction=1).item() == pytest.approx(math.sqrt((4 + 1 + 9) / 2))


def test_the_standard_deviation_of_equal_values_has_the_gradient_0(device: Device) -> None:
    x = tensor([[1.0, 3.0], [2.0, 2.0]], requires_grad=True)
    (g,) = grad(ops.std(x, 1), x, tensor([1.0, 1.0]))
    np.testing.assert_allclose(g.numpy(), [[-0.5, 0.5], [0, 0]])


@given(data=st.data())
def test_softmax_is_exp_over_the_sum_of_exp(data: st.DataObject) -> None:
    shape = data.draw(shapes(min_dims=1))
    axis, x = data.draw(axis_of(len(shape))), data.draw(uniform(shape))
    expected = np.exp(x) / reduce_by_hand(np.exp(x), axis, True, math.fsum)
    np.testing.assert_allclose(ops.softmax(tensor(x), axis).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(ops.log_softmax(tensor(x), axis).numpy(), np.log(expected), rtol=1e-12, atol=1e-14)
    shifted = ops.softmax(tensor(x + 100.0), axis)
    np.testing.assert_allclose(shifted.numpy(), expected, rtol=1e-12)


# -- extreme values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_and_logsumexp_do_not_overflow(dtype: str, device: Device) -> None:
    x = tensor(np.array([[1e4, -1e4, 1e4], [-1e4, -1e4, -1e4 - 1]], dtype), requires_grad=True)
    p = 1 / (1 + 1 + math.exp(-1))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for operation, expected in [
            (ops.softmax, [[0.5, 0, 0.5], [p, p, 1 - 2 * p]]),
            (
                ops.log_softmax,
                [[-math.log(2), -2e4 - math.log(2), -math.log(2)], [math.log(p), math.log(p), math.log(p) - 1]],
            ),
            (ops.logsumexp, [1e4 + math.log(2), -1e4 - math.log(p)]),
        ]:
            y = operation(x, -1)
            np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-7)
            (g,) = grad(y, x, tensor(np.ones(y.shape, dtype)))
            assert np.isfinite(g.numpy()).all()


def test_logsumexp_of_infinities_is_its_limit(device: Device) -> None:
    inf = math.inf
    x = tensor([[-inf, -inf], [-inf, 1.0], [inf, 1.0], [0.0, 0.0]])
    with np.errstate(all="raise", divide="ignore"):  # log(0) is meant
        y = ops.logsumexp(x, axis=1)
    np.testing.assert_allclose(y.numpy(), [-inf, 1, inf, math.log(2)], rtol=1e-6)


def test_logsumexp_gives_minus_infinity_no_gradient(device: Device) -> None:
    x = tensor([-math.inf, 1.0, 1.0], requires_grad=True)
    with np.errstate(all="raise"):
        (g,) = grad(ops.logsumexp(x), x)
    np.testing.assert_allclose(g.numpy(), [0, 0.5, 0.5], rtol=1e-6)


# -- ties --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operation", "sign"), [(ops.max, 1), (ops.min, -1)])
def test_winners_share_the_gradient(operation: Callable[..., Any], sign: int, device: Device) -> None:
    x = tensor(sign * np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]]), requires_grad=True)
    (g,) = grad(operation(x, axis=1), x, tensor(np.array([4.0, 5.0])))
    np.testing.assert_array_equal(g.numpy(), [[0, 2, 2], [5, 0, 0]])
    (g,) = grad(operation(x * 0.0), x)
    np.testing.assert_array_equal(g.numpy(), np.zeros((2, 3)))


# -- data types --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mean", "var", "std", "logsumexp", "softmax", "log_softmax"])
@pytest.mark.parametrize("kind", ["int64", "uint8"])
def test_integers_become_the_default_dtype(name: str, kind: str, device: Device) -> None:
    """Before anything is computed: uint8 would wrap around."""
    x = np.array([1, 2, 4, 255], kind)
    for dtype in ("float32", "float64"):
        with default_dtype(dtype):
            result = getattr(ops, name)(tensor(x))
            assert result.dtype == dtype
            expected = getattr(ops, name)(tensor(x.astype("float64")))
            np.testing.assert_allclose(result.numpy(), expected.numpy(), rtol=1e-6, atol=1e-30)


def test_integers_stay_integers_where_they_can() -> None:
    x = tensor(np.array([1, 2, 4]))
    assert x.sum().dtype == x.max().dtype == x.min().dtype == x.prod().dtype == x.cumsum(0).dtype == np.int64
    assert (x > 1).sum().item() == 2


@pytest.mark.parametrize("axis", [np.int64(1), (np.int64(1),), -1])
def test_an_axis_may_be_an_integer_of_numpy(axis: Any) -> None:
    x = tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    y = ops.sum(x, axis)
    np.testing.assert_array_equal(y.numpy(), [3, 12])
    np.testing.assert_array_equal(grad(y, x, tensor(np.array([1.0, 2.0])))[0].numpy(), [[1, 1, 1], [2, 2, 2]])


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CASES, "argmax", "argmin", "all", "any"])
def test_an_axis_that_is_not_there_is_refused(name: str, device: Device) -> None:
    with pytest.raises((ValueError, IndexError)) as caught:
        getattr(ops, name)(tensor([[1.0, 2.0]]), axis=2)
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert "axis 2" in text
    assert "(1, 2)" in text


@pytest.mark.parametrize("name", ["max", "min", "logsumexp"])
def test_the_largest_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}: .*zero-size.*\(0,\)"):
        getattr(ops, name)(tensor(np.zeros(0)))


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "prod", "logsumexp", "softmax", "log_softmax"])
def test_an_array_without_axes_is_reduced_over_none(name: str, axis: int, device: Device) -> None:
    operation = getattr(ops, name)
    check_derivatives(*Case(lambda x: operation(x, axis), [np.array(0.5)]))
    x = tensor(np.array(0.5))
    np.testing.assert_array_equal(operation(x, axis).numpy(), operation(x).numpy())
    with pytest.raises((ValueError, IndexError), match=f"{name}: .*axis 1 is out of bounds"):
        operation(x, 1)
