"""Elementwise operations: values against `math`, extreme values, slopes at kinks, data types, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import PRIMITIVES, Tensor, grad, tensor
from minigen.backend import Device, current_dtype, default_dtype
from minigen.ops import elementwise
from minigen.testing.checks import Case
from minigen.testing.strategies import SEEDS, Cases, broadcastable_to, shapes, uniform, well_separated

# -- cases -------------------------------------------------------------------------------------------------------------


@st.composite
def unary(draw: st.DrawFn, operation: Callable[..., Any], low: float = -2.0, high: float = 2.0) -> Case:
    return Case(operation, [draw(uniform(draw(shapes()), low, high))])


@st.composite
def kinked(draw: st.DrawFn, operation: Callable[..., Any], **options: st.SearchStrategy) -> Case:
    """An operation with a kink at 0 or at its limits, away from it."""
    chosen = {name: draw(strategy) for name, strategy in options.items()}
    return Case(lambda x: operation(x, **chosen), draw(well_separated(draw(shapes()))))


@st.composite
def pair_of_shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = draw(shapes())
    pair = [shape, draw(broadcastable_to(shape))]
    return tuple(draw(st.permutations(pair)))


@st.composite
def binary(
    draw: st.DrawFn,
    operation: Callable[..., Any],
    x_range: tuple[float, float] = (-2.0, 2.0),
    y_range: tuple[float, float] = (-2.0, 2.0),
) -> Case:
    """Two tensors that broadcast, or a tensor and a number of Python or NumPy on either side."""
    x_shape, y_shape = draw(pair_of_shapes())
    x, y = draw(uniform(x_shape, *x_range)), draw(uniform(y_shape, *y_range))
    number = draw(st.sampled_from([float, np.float64, np.float32]))
    kind = draw(st.sampled_from(["tensors", "tensors", "x is a number", "y is a number"]))
    if kind == "x is a number" and x.size:
        first = number(x.flat[0])
        return Case(lambda y: operation(first, y), [y])
    if kind == "y is a number" and y.size:
        second = number(y.flat[0])
        return Case(lambda x: operation(x, second), [x])
    return Case(operation, [x, y])


@st.composite
def larger_or_smaller(draw: st.DrawFn, operation: Callable[..., Any]) -> Case:
    number = draw(st.sampled_from([None, None, 0.0, np.float64(0.4)]))
    x, y = draw(well_separated(*draw(pair_of_shapes())))
    if number is None:
        return Case(operation, [x, y])
    swapped = draw(st.booleans())
    return Case(lambda x: operation(number, x) if swapped else operation(x, number), [x])


@st.composite
def chosen_by_condition(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    condition_shape, x_shape, y_shape = (draw(broadcastable_to(shape)) for _ in range(3))
    condition = np.random.default_rng(draw(SEEDS)).random(condition_shape) < 0.5
    x, y = draw(uniform(x_shape)), draw(uniform(y_shape))
    kind = draw(st.sampled_from(["tensors", "x is a number", "y is a number"]))
    if kind == "x is a number":
        return Case(lambda condition, y: ops.where(condition, 1.5, y), [condition, y])
    if kind == "y is a number":
        return Case(lambda condition, x: ops.where(condition, x, np.float64(1.5)), [condition, x])
    return Case(ops.where, [condition, x, y])


POSITIVE = (0.3, 2.0)
CASES: Cases = {
    "add": binary(ops.add),
    "subtract": binary(ops.subtract),
    "multiply": binary(ops.multiply),
    "divide": binary(ops.divide, y_range=POSITIVE) | binary(ops.divide, y_range=(-2.0, -0.3)),
    "negative": unary(ops.negative),
    "pow": binary(ops.pow, x_range=POSITIVE),
    "abs": kinked(ops.abs),
    "sign": kinked(ops.sign),
    "floor": unary(ops.floor, 0.1, 0.9) | unary(ops.floor, -1.9, -1.1),
    "round": unary(ops.round, -0.4, 0.4) | unary(ops.round, 0.6, 1.4),
    "sin": unary(ops.sin),
    "cos": unary(ops.cos),
    "square": unary(ops.square),
    "sqrt": unary(ops.sqrt, *POSITIVE),
    "exp": unary(ops.exp),
    "log": unary(ops.log, *POSITIVE),
    "log1p": unary(ops.log1p, -0.7, 2.0),
    "maximum": larger_or_smaller(ops.maximum),
    "minimum": larger_or_smaller(ops.minimum),
    "clip": kinked(ops.clip, min=st.sampled_from([None, -0.4]), max=st.just(0.4)) | kinked(ops.clip, min=st.just(-0.4)),
    "where": chosen_by_condition(),
    "tanh": unary(ops.tanh),
    "sigmoid": unary(ops.sigmoid),
    "relu": kinked(ops.relu),
    "leaky_relu": kinked(ops.leaky_relu, negative_slope=st.sampled_from([0.0, 0.01, 0.2, 0.9])),
    "softplus": unary(ops.softplus),
    "copy": unary(ops.copy),
    "astype": unary(lambda x: ops.astype(x, x.dtype)),
    "to_device": unary(lambda x: PRIMITIVES["to_device"](x, target=x.device, source=x.device)),
    "identity": unary(PRIMITIVES["identity"]),
}


# -- values ------------------------------------------------------------------------------------------------------------

UNARY_ORACLES: dict[str, Callable[[float], float]] = {
    "negative": lambda x: -x,
    "abs": math.fabs,
    "sign": lambda x: 0.0 if x == 0 else math.copysign(1.0, x),
    "floor": math.floor,
    "round": round,
    "sin": math.sin,
    "cos": math.cos,
    "square": lambda x: math.pow(x, 2),
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "log1p": math.log1p,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "relu": lambda x: x if x > 0 else 0.0,
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "softplus": lambda x: math.log(1 + math.exp(x)),
}
BINARY_ORACLES: dict[str, Callable[[float, float], Any]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "pow": math.pow,
    "maximum": lambda x, y: x if x > y else y,
    "minimum": lambda x, y: x if x < y else y,
    "equal": lambda x, y: x == y,
    "not_equal": lambda x, y: x != y,
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
}


@pytest.mark.parametrize("name", UNARY_ORACLES)
def test_operations_of_one_number_are_those_of_math(name: str, device: Device) -> None:
    x = np.array([0.25, 1.0, 3.0] if name in ("log", "sqrt", "log1p") else [-3.0, -0.5, 0.0, 0.25, 1.0, 3.0])
    y = getattr(ops, name)(tensor(x)).numpy()
    np.testing.assert_allclose(y, [UNARY_ORACLES[name](v) for v in x], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", BINARY_ORACLES)
def test_operations_of_two_numbers_are_those_of_math(name: str, device: Device) -> None:
    x, y = np.array([0.5, 1.0, 2.0]), np.array([[0.5], [2.0]])
    expected = [[BINARY_ORACLES[name](float(a), float(b)) for a in x] for b in y[:, 0]]
    result = getattr(ops, name)(tensor(x), tensor(y))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-14)
    assert result.dtype == np.asarray(expected).dtype


def test_round_goes_to_the_even_one_of_two(device: Device) -> None:
    assert ops.round(tensor([-1.5, -0.5, 0.5, 1.5, 2.5])).tolist() == [-2, 0, 0, 2, 2]


def test_where_chooses_and_clip_limits(device: Device) -> None:
    x = tensor([-2.0, -0.5, 0.5, 2.0])
    np.testing.assert_array_equal(ops.where(x > 0, x, 10.0).numpy(), [10, 10, 0.5, 2])
    np.testing.assert_array_equal(ops.clip(x, -1, 1).numpy(), [-1, -0.5, 0.5, 1])
    np.testing.assert_array_equal(ops.clip(x, max=1).numpy(), [-2, -0.5, 0.5, 1])


def test_operators_and_methods_are_the_operations() -> None:
    x, y = tensor([1.0, -2.0]), tensor([4.0, 0.5])
    for result, expected in [
        (x + y, [5, -1.5]), (x - y, [-3, -2.5]), (x * y, [4, -1]), (x / y, [0.25, -4]), (y**2, [16, 0.25]),
        (3 + x, [4, 1]), (3 - x, [2, 5]), (3 * x, [3, -6]), (3 / x, [3, -1.5]), (2**x, [2, 0.25]),
        (-x, [-1, 2]), (abs(x), [1, 2]), (np.array([1.0, 2.0], "float32") * x, [1, -4]),
        (x < y, [True, True]), (x <= y, [True, True]), (x > y, [False, False]), (x >= y, [False, False]),
        (x == 1, [True, False]), (x != 1, [False, True]), (x.clip(0, 1), [1, 0]), (y.sqrt().square(), [4, 0.5]),
    ]:  # fmt: skip
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)


# -- extreme values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_and_softplus_do_not_overflow(dtype: str, device: Device) -> None:
    x = tensor(np.array([-1e4, -800.0, 0.0, 800.0, 1e4], dtype), requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        for operation, values, slopes in [
            (ops.sigmoid, [0, 0, 0.5, 1, 1], [0, 0, 0.25, 0, 0]),
            (ops.softplus, [0, 0, math.log(2), 800, 1e4], [0, 0, 0.5, 1, 1]),
            (ops.tanh, [-1, -1, 0, 1, 1], [0, 0, 1, 0, 0]),
        ]:
            y = operation(x)
            (g,) = grad(y.sum(), x)
            np.testing.assert_allclose(y.numpy(), values, rtol=1e-6)
            np.testing.assert_allclose(g.numpy(), slopes, rtol=1e-6)


def test_softplus_and_log1p_keep_small_values() -> None:
    np.testing.assert_allclose(ops.softplus(tensor([-50.0])).numpy(), [math.exp(-50)], rtol=1e-5)
    np.testing.assert_allclose(ops.log1p(tensor([1e-12])).numpy(), [1e-12], rtol=1e-5)


def test_powers_of_zero_and_of_negative_numbers_have_their_gradients() -> None:
    x = tensor(np.array([0.0, -2.0, 3.0]), requires_grad=True)
    with np.errstate(all="raise"):
        for exponent, slopes in [(1, [1, 1, 1]), (2, [0, -4, 6]), (3, [0, 12, 27]), (0, [0, 0, 0])]:
            (g,) = grad((x**exponent).sum(), x)
            np.testing.assert_allclose(g.numpy(), slopes)
    base, exponent = tensor(np.zeros(3)), tensor(np.array([0.5, 1.0, 2.0]), requires_grad=True)
    (g,) = grad((base**exponent).sum(), exponent)
    np.testing.assert_array_equal(g.numpy(), [0, 0, 0])
    base, zero = tensor(np.array([2.0]), requires_grad=True), tensor(np.zeros(1), requires_grad=True)
    for first, second in [(base, zero), (zero, base)]:  # x^y has the mixed derivative 1 / x at y = 0
        (g,) = grad((base**zero).sum(), first, create_graph=True)
        assert grad(g.sum(), second)[0].item() == 0.5


# -- ties and kinks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [ops.maximum, ops.minimum])
def test_equal_values_share_the_gradient(operation: Callable[..., Tensor], device: Device) -> None:
    x, y = tensor([1.0, 2.0], requires_grad=True), tensor([1.0, 2.0], requires_grad=True)
    for g in grad(operation(x, y), [x, y], tensor([1.0, 3.0])):
        np.testing.assert_array_equal(g.numpy(), [0.5, 1.5])


@pytest.mark.parametrize(
    ("operation", "slope"),
    [
        (ops.abs, 0.0),
        (ops.sign, 0.0),
        (ops.floor, 0.0),
        (lambda x: ops.round(x + 0.5), 0.0),
        (ops.relu, 0.0),
        (ops.leaky_relu, 0.01),
        (lambda x: ops.clip(x, 0, 1), 1.0),
        (lambda x: ops.maximum(x, 0), 0.5),
    ],
)
def test_the_slope_at_a_kink_is_fixed(operation: Callable[..., Tensor], slope: float, device: Device) -> None:
    x = tensor([0.0], requires_grad=True)
    (g,) = grad(operation(x), x)
    np.testing.assert_allclose(g.numpy(), [slope])


def test_a_copy_has_its_own_memory(device: Device) -> None:
    x = tensor([1.0, 2.0])
    y = x.copy()
    x[0] = 5.0
    assert y.tolist() == [1.0, 2.0] and y.device == device


@pytest.mark.parametrize(
    "gradient", [elementwise._relu_gradient, lambda g, out: elementwise._leaky_relu_gradient(g, out, 0.1)]
)
def test_a_gradient_comes_in_the_memory_order_of_the_output(gradient: Callable[..., np.ndarray]) -> None:
    """Here with channels last, although the gradient of a flattened image comes with channels first."""
    out = np.zeros((2, 4, 5, 3)).transpose(0, 3, 1, 2)
    assert gradient(np.ones(out.shape), out).strides == out.strides


# -- data types --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2)])
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "pow", "maximum", "minimum"])
def test_numbers_take_the_dtype_of_the_tensor(name: str, number: Any, device: Device) -> None:
    operation = getattr(ops, name)
    for dtype in ("float16", "float32", "float64"):
        x = tensor(np.array([0.5, 1.5], dtype), requires_grad=True)
        for result in (operation(x, number), operation(number, x)):
            (g,) = grad(result.sum(), x)
            assert result.dtype == g.dtype == dtype


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "log1p", "sin", "cos", "tanh", "sigmoid", "softplus"])
@pytest.mark.parametrize("kind", ["int64", "uint8"])
def test_integers_become_the_default_dtype(name: str, kind: str, device: Device) -> None:
    """Before anything is computed: float16, which NumPy makes of uint8, has no exp(20)."""
    x = np.array([1, 2, 20], kind)
    for dtype in ("float32", "float64"):
        with default_dtype(dtype):
            result = getattr(ops, name)(tensor(x))
            assert result.dtype == current_dtype() == dtype
            np.testing.assert_allclose(result.numpy(), [UNARY_ORACLES[name](float(v)) for v in x], rtol=1e-6)


def test_integers_with_a_python_float_become_the_default_dtype() -> None:
    x = tensor(np.array([1, 2]))
    assert (x / 2).dtype == (x * 0.5).dtype == (0.5 + x).dtype == np.float32
    assert (x + 1).dtype == (2 * x).dtype == np.int64


def test_numpy_numbers_as_options_do_not_change_the_dtype() -> None:
    x = tensor([0.5, -1.5], requires_grad=True)
    for y in (ops.leaky_relu(x, negative_slope=np.float64(0.2)), ops.clip(x, np.float64(-1), max=np.float64(1))):
        (g,) = grad(y.sum(), x)
        assert y.dtype == g.dtype == np.float32


def test_astype_brings_the_gradient_back_in_its_own_dtype(device: Device) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x.astype("float64")
    (g,) = grad(y, x, tensor(np.array([0.1, 0.2])))
    assert (y.dtype, g.dtype) == (np.float64, np.float32)
    np.testing.assert_array_equal(g.numpy(), np.array([0.1, 0.2], "float32"))


def test_gradients_flow_to_another_device_and_back(gpu_standin: Device) -> None:
    x = tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = (x.to(gpu_standin) ** 3).to("cpu")
    (g,) = grad(y.sum(), x, create_graph=True)
    (gg,) = grad(g.sum(), x)
    assert str(g.device) == str(gg.device) == "cpu"
    np.testing.assert_allclose(g.numpy(), [3, 12])
    np.testing.assert_allclose(gg.numpy(), [6, 12])


# -- errors ------------------------------------------------------------------------------------------------------------


def message(error: type[Exception], call: Callable[[], Any]) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("name", BINARY_ORACLES)
def test_shapes_that_do_not_broadcast_are_refused(name: str, device: Device) -> None:
    text = message(ValueError, lambda: getattr(ops, name)(tensor([1.0, 2.0]), tensor([1.0, 2.0, 3.0])))
    assert text.startswith(f"{name}: ")
    assert "(2,)" in text
    assert "(3,)" in text


@pytest.mark.parametrize("order", [("float32", "float64"), ("float64", "float32"), ("float32", "int64")])
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "pow", "maximum", "minimum"])
def test_dtypes_that_do_not_agree_are_refused(name: str, order: tuple[str, str], device: Device) -> None:
    x, y = (tensor(np.array([1, 2], dtype)) for dtype in order)
    text = message(TypeError, lambda: getattr(ops, name)(x, y))
    assert text.startswith(f"{name}: ")
    assert order[0] in text
    assert order[1] in text
    assert "astype" in text


@pytest.mark.parametrize("name", BINARY_ORACLES)
def test_devices_that_do_not_agree_are_refused(name: str, gpu_standin: Device) -> None:
    x, y = tensor([1.0]), tensor([1.0], device=gpu_standin)
    for pair in [(x, y), (y, x), (x.numpy(), y), (y, x.numpy())]:
        text = message(ValueError, lambda pair=pair: getattr(ops, name)(*pair))
        assert text.startswith(f"{name}: ")
        assert "cpu" in text
        assert "gpu:0" in text


@pytest.mark.parametrize("slope", [-0.1, 1.0, 3])
def test_a_negative_slope_outside_its_range_is_refused(slope: float) -> None:
    text = message(ValueError, lambda: ops.leaky_relu(tensor([1.0]), negative_slope=slope))
    assert text.startswith("leaky_relu: expects 0 <= negative_slope < 1")
    assert str(slope) in text


def test_a_missing_argument_is_named() -> None:
    assert message(TypeError, lambda: ops.add(tensor([1.0]))).startswith("add: missing argument 'y'")
