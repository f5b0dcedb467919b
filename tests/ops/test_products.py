"""Matrix products: values against sums of products, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import strict_cupy
from hypothesis import given
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import tensor
from minigen.backend import Device
from minigen.testing import strategies
from minigen.testing.checks import Case
from minigen.testing.strategies import Cases, broadcastable_to, uniform

# -- cases -------------------------------------------------------------------------------------------------------------

LENGTHS = st.integers(1, 3)


@st.composite
def matrices(draw: st.DrawFn) -> Case:
    """(..., m, k) (..., k, n): leading axes that broadcast, or a vector on either side."""
    m, k, n = draw(LENGTHS), draw(LENGTHS), draw(LENGTHS)
    leading = tuple(draw(st.lists(st.integers(1, 2), max_size=2)))
    x_shape = draw(st.sampled_from([(k,), (*draw(broadcastable_to(leading)), m, k)]))
    y_shape = draw(st.sampled_from([(k,), (*draw(broadcastable_to(leading)), k, n)]))
    return Case(ops.matmul, [draw(uniform(x_shape)), draw(uniform(y_shape))])


@st.composite
def affine(draw: st.DrawFn) -> Case:
    features, outputs = draw(LENGTHS), draw(LENGTHS)
    leading = tuple(draw(st.lists(st.integers(1, 2), max_size=2)))
    inputs = [draw(uniform((*leading, features))), draw(uniform((outputs, features)))]
    if draw(st.booleans()):
        inputs.append(draw(uniform((outputs,))))
    return Case(ops.linear, inputs)


SUBSCRIPTS = [
    "ij->ji", "ij->", "ij->i", "i->i", "ik,kj->ij", "bij,bjk->bik", "i,j->ij", "ij,ij->", "ij,k->i", "ij,->ji",
    "ij,j->", "bhqd,bhkd->bhqk", " i j , k -> k i ",
]  # fmt: skip


@st.composite
def summed(draw: st.DrawFn) -> Case:
    """Any of the subscripts above, with axes of length 1 and 2."""
    subscripts = draw(st.sampled_from(SUBSCRIPTS))
    lengths = {letter: draw(st.integers(strategies.SHORTEST, 2)) for letter in subscripts if letter.isalpha()}
    parts = subscripts.split("->")[0].split(",")
    shapes = [tuple(lengths[letter] for letter in part.replace(" ", "")) for part in parts]
    return Case(lambda *arrays: ops.einsum(subscripts, *arrays), [draw(uniform(shape)) for shape in shapes])


CASES: Cases = {"matmul": matrices(), "linear": affine(), "einsum": summed()}


# -- values ------------------------------------------------------------------------------------------------------------


def matmul_by_hand(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows times columns, one product at a time; a vector is one row on the left and one column on the right."""
    rows, columns = np.atleast_2d(x), y[:, None] if y.ndim == 1 else y
    leading = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    rows, columns = (np.broadcast_to(a, leading + a.shape[-2:]) for a in (rows, columns))
    out = np.zeros((*leading, rows.shape[-2], columns.shape[-1]))
    for *place, i, j in np.ndindex(out.shape):
        for k in range(x.shape[-1]):
            out[*place, i, j] += rows[*place, i, k] * columns[*place, k, j]
    return out.squeeze(axis=(-2,) * (x.ndim == 1) + (-1,) * (y.ndim == 1))


@given(data=st.data())
def test_matmul_is_the_sum_of_products(data: st.DataObject) -> None:
    x_shape, y_shape = data.draw(st.sampled_from(
        [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((2, 1, 3, 2), (3, 2, 1)), ((3,), (2, 3, 2))]
    ))  # fmt: skip
    x, y = data.draw(uniform(x_shape)), data.draw(uniform(y_shape))
    for result in (ops.matmul(tensor(x), tensor(y)), tensor(x) @ tensor(y), x @ tensor(y), tensor(x) @ y):
        np.testing.assert_allclose(result.numpy(), matmul_by_hand(x, y), rtol=1e-12, atol=1e-14)


@given(data=st.data())
def test_linear_is_x_times_the_transposed_weight_plus_bias(data: st.DataObject) -> None:
    x_shape = data.draw(st.sampled_from([(3,), (2, 3), (2, 1, 3)]))
    x, weight, bias = data.draw(uniform(x_shape)), data.draw(uniform((4, 3))), data.draw(uniform((4,)))
    product = matmul_by_hand(x, weight.T)
    np.testing.assert_allclose(ops.linear(tensor(x), tensor(weight)).numpy(), product, rtol=1e-12, atol=1e-14)
    result = ops.linear(tensor(x), weight=tensor(weight), bias=tensor(bias))
    np.testing.assert_allclose(result.numpy(), product + bias, rtol=1e-12, atol=1e-14)


def test_linear_is_one_product_on_a_gpu(gpu_standin: Device) -> None:
    """Also with several leading axes: CuPy would copy the transposed weight and multiply one matrix after the other."""
    with gpu_standin:
        x, weight = tensor(np.ones((2, 5, 3)), requires_grad=True), tensor(np.ones((4, 3)), requires_grad=True)
        with strict_cupy.count() as forward:
            y = ops.linear(x, weight)
        g = tensor(np.ones((2, 5, 4)))
        with strict_cupy.count() as backward:
            y.backward(g)
    assert (y.shape, forward.launches, x.grad.tolist()) == ((2, 5, 4), 1, np.full((2, 5, 3), 4.0).tolist())
    assert backward.launches <= 4  # a copy of g, two products, and a leaf's own copy of a view


def einsum_by_hand(subscripts: str, *arrays: np.ndarray) -> np.ndarray:
    """A loop over all letters: the product of the numbers at these places is added where the result's letters say."""
    *inputs, output = subscripts.replace(" ", "").replace("->", ",").split(",")
    lengths = dict(zip("".join(inputs), [n for x in arrays for n in x.shape], strict=True))
    out = np.zeros([lengths[letter] for letter in output])
    for numbers in np.ndindex(*lengths.values()):
        place = dict(zip(lengths, numbers, strict=True))
        factors = [x[tuple(place[a] for a in letters)] for letters, x in zip(inputs, arrays, strict=True)]
        out[tuple(place[a] for a in output)] += math.prod(factors)
    return out


@pytest.mark.parametrize("subscripts", SUBSCRIPTS)
def test_einsum_is_a_loop_over_its_letters(subscripts: str, device: Device) -> None:
    lengths = dict(zip("ijkbhqd", (2, 3, 4, 2, 1, 3, 2), strict=True))
    parts = subscripts.replace(" ", "").split("->")[0].split(",")
    random = np.random.default_rng(0)
    arrays = [random.normal(size=[lengths[letter] for letter in part]) for part in parts]
    result = ops.einsum(subscripts, *map(tensor, arrays))
    np.testing.assert_allclose(result.numpy(), einsum_by_hand(subscripts, *arrays), rtol=1e-12, atol=1e-14)


def test_einsum_of_one_array_is_no_view(device: Device) -> None:
    x = tensor([[1.0, 2.0]])
    y = ops.einsum("ij->ji", x)
    x[0, 0] = 5.0
    assert y.tolist() == [[1.0], [2.0]]


# -- errors ------------------------------------------------------------------------------------------------------------


def test_matmul_refuses_shapes_that_do_not_fit(device: Device) -> None:
    with pytest.raises(ValueError, match=r"matmul: .*\(2, 3\).*\(2, 3\)"):
        tensor(np.zeros((2, 3))) @ tensor(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"matmul: "):
        tensor(np.zeros(())) @ tensor(np.zeros((2, 3)))


def test_linear_refuses_shapes_that_do_not_fit(device: Device) -> None:
    x, weight = tensor(np.zeros((8, 5))), tensor(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"linear: x has .*5.* features \(8, 5\) but weight \(out, in\) is \(4, 3\)"):
        ops.linear(x, weight)
    with pytest.raises(ValueError, match=r"linear: expects a bias \(4,\) for weight \(4, 3\), got \(3,\)"):
        ops.linear(tensor(np.zeros((8, 3))), weight, tensor(np.zeros(3)))
    with pytest.raises(ValueError, match=r"linear: .*\(3,\)"):
        ops.linear(x, tensor(np.zeros(3)))


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_linear_refuses_different_dtypes(odd: int) -> None:
    inputs = [tensor(np.zeros(shape, "float32")) for shape in [(2, 3), (4, 3), (4,)]]
    inputs[odd] = inputs[odd].astype("float64")
    with pytest.raises(TypeError, match=r"linear: .*float32.*float64|linear: .*float64.*float32"):
        ops.linear(*inputs)


def test_both_refuse_different_devices(gpu_standin: Device) -> None:
    x, weight = tensor(np.zeros((2, 3))), tensor(np.zeros((3, 3)))
    for operation in (ops.matmul, ops.linear):
        with pytest.raises(ValueError, match=rf"{operation.__name__}: .*x is on cpu.*(y|weight) is on gpu:0"):
            operation(x, weight.to(gpu_standin))


@pytest.mark.parametrize(
    "subscripts", ["ij,jk", "...i->i", "ii->i", "ij->ii", "ij->k", "i,j,k->", "i2->i", "", "->->", "ij->ij->i"]
)
def test_einsum_says_how_subscripts_are_written(subscripts: str) -> None:
    with pytest.raises(ValueError, match=r'^einsum: expects subscripts such as "ik,kj->ij", .*, got '):
        ops.einsum(subscripts, tensor(np.zeros((2, 2))), tensor(np.zeros((2, 2))))


def test_einsum_refuses_shapes_that_do_not_fit(device: Device) -> None:
    x, y = tensor(np.zeros((2, 3))), tensor(np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"^einsum: axis j of 'ij,jk->ik' has the lengths 3 and 1 \(got x \(2, 3\)"):
        ops.einsum("ij,jk->ik", x, y)
    for subscripts, arrays in (("ijk->i", [x]), ("ij,jk->ik", [x]), ("ij->i", [x, y])):
        with pytest.raises(ValueError, match=rf"^einsum: '{subscripts}' does not fit \(2, 3\)"):
            ops.einsum(subscripts, *arrays)
