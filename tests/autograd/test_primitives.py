"""What an operation promises: what it keeps, which derivatives run, on what, and how bad input is reported."""

from __future__ import annotations

import copy
import math
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigen import ops
from minigen.autograd import PRIMITIVES, Tensor, grad, no_grad, primitive, tensor
from minigen.backend import Device, default_dtype, device
from minigen.gradcheck import gradcheck


def random_tensor(*shape: int, low: float = 0.5, dtype: Any = "float64", requires_grad: bool = True) -> Tensor:
    """Numbers in [low, 2), from a fixed seed."""
    values = np.random.default_rng(sum(shape)).uniform(low, 2.0, shape)
    return tensor(values, dtype=dtype, requires_grad=requires_grad)


# -- on arrays -------------------------------------------------------------------------------------------------------


def test_on_arrays_an_operation_is_its_forward_computation() -> None:
    x = np.array([0.5, -1.0])
    out = ops.tanh(x)
    assert type(out) is np.ndarray
    np.testing.assert_array_equal(out, np.tanh(x))


def test_on_arrays_what_is_kept_for_the_derivatives_is_not_returned() -> None:
    logits = np.array([[1.0, 2.0]])
    loss = ops.cross_entropy(logits, np.array([0]))
    assert float(loss) == pytest.approx(math.log(1 + math.e))


def test_arguments_by_name_and_by_position_are_the_same() -> None:
    x = random_tensor(2, 3)
    np.testing.assert_array_equal(ops.sum(x, 1, True).data, ops.sum(keepdims=True, x=x, axis=1).data)
    np.testing.assert_array_equal(ops.linear(x, weight=random_tensor(4, 3)).data, x.data @ random_tensor(4, 3).data.T)


def test_missing_and_unknown_arguments_are_named() -> None:
    x = random_tensor(2)
    with pytest.raises(TypeError, match=r"add: missing argument 'y'; expects \(x.*, y.*\)"):
        ops.add(x)
    with pytest.raises(TypeError, match=r"add: .*unexpected keyword argument 'z'"):
        ops.add(x, x, z=1)


# -- what is kept ----------------------------------------------------------------------------------------------------

KEPT: dict[str, tuple[Callable[[Tensor, Tensor], Any], set[str]]] = {
    "add": (lambda x, y: x + y, set()),
    "negative": (lambda x, y: -x, set()),
    "tanh": (lambda x, y: ops.tanh(x), {"out"}),
    "log": (lambda x, y: ops.log(x), {"x"}),
    "reshape": (lambda x, y: x.reshape(-1), {"x_shape"}),
    "sum": (lambda x, y: x.sum(axis=0), {"x_shape", "axis"}),
    "leaky_relu": (lambda x, y: ops.leaky_relu(x), {"out", "negative_slope"}),
    "concat": (lambda x, y: ops.concat([x, y]), {"arrays_shapes", "axis"}),
    "multiply both": (lambda x, y: x * y, {"x", "y"}),
    "multiply first": (lambda x, y: x * y.detach(), {"y"}),
    "multiply second": (lambda x, y: x.detach() * y, {"x"}),
    "divide first": (lambda x, y: x / y.detach(), {"y"}),
    "divide second": (lambda x, y: x.detach() / y, {"y", "out"}),
    "matmul first": (lambda x, y: ops.matmul(x, y.detach()), {"x", "y"}),
    "linear x alone": (lambda x, y: ops.linear(x, y.detach()), {"weight"}),
    "linear weight alone": (lambda x, y: ops.linear(x.detach(), y), {"x"}),
}


@pytest.mark.parametrize("case", KEPT)
def test_exactly_what_the_needed_derivatives_name_is_saved(case: str) -> None:
    build, names = KEPT[case]
    x, y = random_tensor(3, 3), random_tensor(3, 3)
    out = build(x, y)
    saved = out._node.saved
    assert set(saved) == names
    assert saved.get("out", out.data) is out.data
    assert saved.get("x_shape", (3, 3)) == (3, 3)
    assert saved.get("negative_slope", 0.01) == 0.01  # an option that was left out is saved with its default
    for name, argument in {"x": x, "y": y}.items():
        assert saved.get(name, argument.data) is argument.data


@pytest.mark.parametrize(
    ("operation", "keeps_x", "keeps_out"),
    [
        (ops.tanh, False, True),
        (ops.exp, False, True),
        (ops.relu, False, True),
        (lambda x: ops.softmax(x, axis=0), False, True),
        (ops.log, True, False),
        (ops.square, True, False),
        (lambda x: x + 1.0, False, False),
        (lambda x: x * 2.0, False, False),
        (lambda x: x * np.full(4, 2.0), False, False),
        (lambda x: x.sum(axis=0, keepdims=True), False, False),
        (lambda x: ops.pad(x, ((1, 1),)), False, False),
        (lambda x: ops.concat([x, x]), False, False),
        (ops.dropout, False, False),
    ],
)
def test_the_memory_of_what_no_derivative_names_is_freed(operation: Any, keeps_x: bool, keeps_out: bool) -> None:
    leaf = random_tensor(4)
    x = leaf + 1.0
    out = operation(x)
    x_alive, out_alive = weakref.ref(x.data), weakref.ref(out.data)
    end = out.sum()  # keeps the record alive, and nothing but a shape of its own
    del x, out
    assert (x_alive() is not None, out_alive() is not None) == (keeps_x, keeps_out)
    end.backward()
    assert leaf.grad is not None


def test_nothing_is_saved_where_no_gradient_is_needed() -> None:
    x = random_tensor(4, requires_grad=False)
    out = ops.tanh(x)
    assert out._node is None
    assert not out.requires_grad


def test_a_kept_value_is_saved_under_its_name_and_only_there() -> None:
    @primitive(saves=("half",))
    def halves(x: Any) -> Any:
        return x * 1.0, 0.5 * x

    halves.derivatives(x=lambda g, half: g * half)
    x = tensor(np.array([4.0]), requires_grad=True)
    out = halves(x)
    np.testing.assert_array_equal(out.data, [4.0])
    assert set(out._node.saved) == {"half"}
    out.backward()
    np.testing.assert_array_equal(x.grad.data, [2.0])


# -- which derivatives run, and on what ------------------------------------------------------------------------------


def counting_multiply(calls: list[tuple[str, type]]) -> Any:
    """x y, with derivatives that note for which argument they ran and on what."""

    @primitive
    def counted(x: Any, y: Any) -> Any:
        return x * y

    def for_x(g: Any, y: Any) -> Any:
        calls.append(("x", type(y)))
        assert type(g) is type(y)
        return g * y

    def for_y(g: Any, x: Any) -> Any:
        calls.append(("y", type(x)))
        assert type(g) is type(x)
        return g * x

    counted.derivatives(x=for_x, y=for_y)
    return counted


@pytest.mark.parametrize("needed", ["x", "y", "xy"])
def test_the_derivative_for_an_argument_that_needs_no_gradient_never_runs(needed: str) -> None:
    calls: list[tuple[str, type]] = []
    multiply = counting_multiply(calls)
    x = random_tensor(3, requires_grad="x" in needed)
    y = random_tensor(3, requires_grad="y" in needed)
    multiply(x, y).sum().backward()
    assert [name for name, _ in calls] == list(needed)
    multiply(x, y).sum().backward()
    assert [name for name, _ in calls] == list(needed) * 2


def test_derivatives_run_on_arrays_and_under_create_graph_on_tensors() -> None:
    calls: list[tuple[str, type]] = []
    multiply = counting_multiply(calls)
    x, y = random_tensor(3), random_tensor(3)
    multiply(x, y).sum().backward()
    assert {kind for _, kind in calls} == {np.ndarray}
    calls.clear()
    (first,) = grad(multiply(x, y).sum(), x, create_graph=True)
    assert calls == [("x", Tensor)]
    assert first.requires_grad


def test_an_ordinary_backward_pass_records_nothing() -> None:
    x = random_tensor(3)
    (ops.tanh(x) * x).sum().backward()
    assert x.grad._node is None
    assert not x.grad.requires_grad
    (first,) = grad(ops.tanh(x).sum(), x)
    assert not first.requires_grad


def test_a_variadic_operation_has_one_derivative_which_returns_one_gradient_an_array() -> None:
    @primitive
    def joined(first: Any, *rest: Any, scale: float = 2.0) -> Any:
        return scale * np.concatenate([first, *rest])

    seen = []

    def for_rest(g: Any, rest_shapes: Any, scale: float) -> Any:
        seen.append((rest_shapes, scale))
        return [scale * part for part in np.split(g[2:], [rest_shapes[0][0]])]

    joined.derivatives(first=lambda g, scale: scale * g[:2], rest=for_rest)
    a, b, c = (tensor(np.zeros(n), requires_grad=True) for n in (2, 3, 1))
    joined(a, b, c).backward(np.arange(6.0))
    assert seen == [([(3,), (1,)], 2.0)]
    for x, expected in ((a, [0, 2]), (b, [4, 6, 8]), (c, [10])):
        np.testing.assert_array_equal(x.grad.data, expected)


@pytest.mark.parametrize(
    "rules",
    [{"x": lambda g, nothing: g}, {"z": lambda g: g}, {"x": lambda g, z_shape: g}, {"x": lambda g, rest_shapes: g}],
)
def test_a_derivative_of_or_with_an_unknown_name_is_refused_at_once(rules: dict[str, Any]) -> None:
    @primitive
    def known(x: Any, y: Any, *, option: int = 1) -> Any:
        return x

    with pytest.raises(TypeError, match=r"known\.derivatives: no such names: [xz]=lambda g, "):
        known.derivatives(**rules)
    assert known.rules == {}
    known.derivatives(x=lambda g, x, y, out, option, x_shape, y_shape: g)


def test_an_argument_without_derivative_must_not_require_gradients() -> None:
    x = random_tensor(3)
    with pytest.raises(TypeError, match="where: has no derivative for condition; `detach"):
        ops.where(x, x, x)
    ops.where(x.detach(), x, x)
    with no_grad():
        ops.where(x, x, x)
    assert not ops.greater(x, 0.0).requires_grad  # its values are no floating-point numbers, so nothing is lost


def test_derivatives_given_together_run_once_and_only_where_one_of_them_is_needed() -> None:
    calls = []

    @primitive
    def product(x: Any, y: Any, z: Any) -> Any:
        return x * y * z

    @product.derivatives_together("x", "y")
    def _(g: Any, x: Any, y: Any, z: Any) -> dict[str, Any]:
        calls.append(type(g))
        return {"x": g * y * z, "y": g * x * z}

    product.derivatives(z=lambda g, x, y: g * x * y)
    x, y, z = random_tensor(3), random_tensor(3), random_tensor(3)
    gradcheck(product, [x, y, z], order=2)
    calls.clear()
    product(x, y, z).sum().backward()
    assert calls == [np.ndarray]
    product(x.detach(), y, z).sum().backward()
    assert calls == [np.ndarray] * 2
    product(x.detach(), y.detach(), z).sum().backward()
    assert calls == [np.ndarray] * 2


def test_no_gradient_flows_through_a_byproduct() -> None:
    @primitive(several=True, byproducts=1)
    def doubled(x: Any) -> Any:
        return 2.0 * x, x.mean(axis=0)

    doubled.derivatives(x=lambda g: 2.0 * g)
    x = random_tensor(3)
    y, mean = doubled(x)
    assert y.requires_grad
    assert not mean.requires_grad
    (y + mean).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [2, 2, 2])


# -- the registry ----------------------------------------------------------------------------------------------------


def test_the_name_of_an_operation_of_the_engine_is_taken() -> None:
    """`@primitive def add` of a user would change `+` for all tensors."""
    add = PRIMITIVES["add"]

    def add_of_a_user(x: Any, y: Any) -> Any:
        return x

    add_of_a_user.__name__ = "add"
    with pytest.raises(ValueError, match=r"primitive: minigen\.ops has an operation 'add'; .*name=\"my_add\""):
        primitive(add_of_a_user)
    assert PRIMITIVES["add"] is add
    mine = primitive(name="my_add")(add_of_a_user)
    mine.derivatives(x=lambda g: g, y=lambda g: 0.0 * g)
    assert mine.name == "my_add"
    assert "my_add" not in PRIMITIVES
    assert "made by my_add" in repr(mine(random_tensor(1), random_tensor(1)))
    primitive(name="my_add")(add_of_a_user)  # one's own may be defined again, as a notebook's cell does


@primitive
def doubled(x: Any) -> Any:
    return 2 * x


def test_operations_are_copied_and_pickled_by_name() -> None:
    """So a module that holds one is copied with the operation itself, not with a twin outside of the registry."""
    for operation in (*PRIMITIVES.values(), doubled):
        assert copy.deepcopy(operation) is copy.copy(operation) is operation
        assert pickle.loads(pickle.dumps(operation)) is operation
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(primitive(name="nameless")(lambda x: x))


# -- fused operations and the plain formula --------------------------------------------------------------------------


def test_the_plain_formula_runs_for_higher_derivatives_alone() -> None:
    calls = []

    def plain(x: Any, *, power: float) -> Any:
        calls.append("plain")
        return x**power

    @primitive(reference=plain)
    def fused(x: Any, *, power: float) -> Any:
        return x**power

    def for_x(g: Any, x: Any, power: float) -> Any:
        calls.append("fused")
        return power * g * x ** (power - 1)

    fused.derivatives(x=for_x)
    x = tensor(np.array([2.0, 3.0]), requires_grad=True)
    fused(x, power=3.0).sum().backward()
    assert calls == ["fused"]
    (first,) = grad(fused(x, power=3.0).sum(), x, create_graph=True)
    assert calls == ["fused", "plain"]
    (second,) = grad(first.sum(), x)
    np.testing.assert_allclose(first.data, 3 * x.data**2)
    np.testing.assert_allclose(second.data, 6 * x.data)


def batch_norm(x: Any, weight: Any, bias: Any) -> Any:
    return ops.batch_norm(x, weight, bias)[0]


def test_arguments_of_a_fused_operation_may_be_computed_from_one_another() -> None:
    """Each argument's gradient is its own: what flows from weight = f(x) into x is counted once."""
    x = random_tensor(5, 2, low=-2.0)
    gradcheck(lambda x: batch_norm(x, x.square().mean(axis=0), ops.tanh(x[0])), x, order=2)
    gradcheck(lambda gates: ops.lstm_cell(gates, ops.tanh(gates[:, :1])), random_tensor(2, 4, low=-2.0), order=2)


def test_first_derivatives_of_a_fused_operation_agree_with_and_without_a_graph() -> None:
    x = random_tensor(5, 2, low=-2.0)
    weights = random_tensor(5, 2, low=-1.0, requires_grad=False)

    def loss() -> Tensor:
        weight = x.square().mean(axis=0)
        return (batch_norm(x, weight, weight) * weights).sum()

    (fused,), (through_plain,) = grad(loss(), x), grad(loss(), x, create_graph=True)
    np.testing.assert_allclose(through_plain.data, fused.data, rtol=1e-12)


def test_a_fused_operation_whose_arguments_are_one_tensor() -> None:
    logits = random_tensor(3, low=0.1)

    def twice(x: Any) -> Any:  # x both as the logits and as the target
        return ops.binary_cross_entropy_with_logits(x, x, reduction="none")

    gradcheck(twice, logits, order=2)


# -- a derivative's result is fitted to the argument -----------------------------------------------------------------


def summed_to(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`values` summed entry by entry over the places to which an array of `shape` was broadcast."""
    out = np.zeros(shape)
    for index in np.ndindex(values.shape):
        place = index[len(index) - len(shape) :]
        out[tuple(i if n > 1 else 0 for i, n in zip(place, shape, strict=True))] += values[index]
    return out


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3), st.integers(0, 2**32 - 1))
def test_broadcasting_is_undone(shapes: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = (tensor(random.standard_normal(shape), requires_grad=True) for shape in shapes.input_shapes)
    g = np.asarray(random.standard_normal(shapes.result_shape))
    (x * y).backward(g)
    np.testing.assert_allclose(x.grad.data, summed_to(g * y.data, x.shape), atol=1e-12)
    np.testing.assert_allclose(y.grad.data, summed_to(g * x.data, y.shape), atol=1e-12)
    again = grad(x * y, [x, y], g, create_graph=True)
    for first, other in zip(again, (x, y), strict=True):
        assert first.shape == other.shape
        np.testing.assert_allclose(first.data, other.grad.data, atol=1e-12)


def test_gradients_of_arguments_without_elements() -> None:
    x, y = random_tensor(0, 3), random_tensor(3)
    (x * y).sum().backward()
    assert x.grad.shape == (0, 3)
    np.testing.assert_array_equal(y.grad.data, np.zeros(3))


@pytest.mark.parametrize("shape", [(2,), (4, 3), (3, 4), (1, 4), (4,), ()])
def test_a_derivative_of_the_wrong_shape_is_reported(shape: tuple[int, ...]) -> None:
    @primitive
    def crooked(x: Any, y: Any) -> Any:
        return x + y

    crooked.derivatives(x=lambda g: g, y=lambda g: np.ones(shape))
    out = crooked(random_tensor(4, 4), random_tensor(4, 4))
    with pytest.raises(RuntimeError) as caught:
        out.sum().backward()
    assert str(caught.value) == f"crooked: the derivative for y has shape {shape}, but y has (4, 4)"


def test_a_gradient_has_the_dtype_of_its_argument() -> None:
    @primitive
    def wide(x: Any) -> Any:
        return 2 * x

    wide.derivatives(x=lambda g: g.astype("float64") * 2)
    x = random_tensor(3, dtype="float32")
    wide(x).sum().backward()
    assert x.grad.dtype == np.float32
    y = random_tensor(3, dtype="float32")
    y.astype("float64").backward(np.full(3, 0.1))
    assert y.grad.dtype == np.float32
    np.testing.assert_array_equal(y.grad.data, np.full(3, 0.1, dtype="float32"))
    (first,) = grad(y.astype("float64").sum(), y, create_graph=True)
    assert first.dtype == np.float32


# -- dtypes ----------------------------------------------------------------------------------------------------------

SCALARS = [2, 2.5, True, np.float64(2.5), np.float32(2.5), np.int64(2), np.bool_(True)]
BINARY: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    lambda x, y: x / y,
    lambda x, y: x**y,
    ops.maximum,
    ops.minimum,
    lambda x, y: ops.where(ops.equal(x, y), x, y),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
@pytest.mark.parametrize("operation", BINARY)
def test_a_scalar_takes_the_tensors_dtype(operation: Any, scalar: Any, dtype: str) -> None:
    for flipped in (False, True):
        x = random_tensor(3, dtype=dtype)
        out = operation(scalar, x) if flipped else operation(x, scalar)
        value = scalar.item() if isinstance(scalar, np.generic) else scalar
        expected = operation(value, x.data) if flipped else operation(x.data, value)
        assert out.dtype == dtype
        np.testing.assert_allclose(out.data, expected, rtol=1e-6)
        (first,) = grad(out.sum(), x, create_graph=True, allow_unused=True)
        assert first is None or first.dtype == dtype


@pytest.mark.parametrize("operation", [*BINARY, ops.matmul, lambda x, y: ops.concat([x, y])])
def test_mixing_float32_and_float64_is_an_error_that_names_both(operation: Any) -> None:
    single, double = random_tensor(3, dtype="float32"), random_tensor(3)
    for x, y in ((single, double), (double, single), (double, single.data), (single.data, double)):
        with pytest.raises(TypeError) as caught:
            operation(x, y)
        assert "float32" in str(caught.value)
        assert "float64" in str(caught.value)
        assert "`.astype`" in str(caught.value)


def test_what_is_made_of_integers_has_the_default_dtype() -> None:
    whole = tensor([1, 2, 4])
    assert (whole + 1).dtype == whole.dtype == np.int64
    for compute in (lambda: whole / 2, lambda: whole * 0.5, lambda: whole.mean(), lambda: ops.exp(whole)):
        assert compute().dtype == np.float32
        with default_dtype("float64"):
            assert compute().dtype == np.float64
    assert (random_tensor(3, dtype="float32") * (whole > 1)).dtype == np.float32


def test_float64_never_appears_in_a_float32_computation() -> None:
    x = random_tensor(4, 3, dtype="float32")
    weight, bias = random_tensor(2, 3, dtype="float32"), random_tensor(2, dtype="float32")
    out = batch_norm(ops.linear(x, weight, bias) * 0.3 + np.float64(2), bias**2, bias / 3)
    loss = ops.softplus(out.var(axis=0, correction=1)).mean() ** 1.5 - np.pi
    assert loss.dtype == np.float32
    first = grad(loss, [x, weight, bias], create_graph=True)
    loss.backward(retain_graph=True)
    second = grad(first[0].square().sum(), [x, weight, bias])
    for g in (*first, *second, x.grad, weight.grad, bias.grad):
        assert g.dtype == np.float32


# -- devices ---------------------------------------------------------------------------------------------------------


def test_tensors_on_two_devices_are_refused(gpu_standin: Device) -> None:
    x = random_tensor(3)
    y = x.detach().to("gpu")
    with pytest.raises(ValueError) as caught:
        x * y
    assert str(caught.value) == (
        "multiply: the arguments are on different devices: x is on cpu, y is on gpu:0; move them with `.to`"
    )
    with pytest.raises(ValueError, match=r"linear: .*x is on gpu:0, weight is on cpu, bias is on gpu:0"):
        ops.linear(y, random_tensor(2, 3), tensor(np.zeros(2), device="gpu"))
    with pytest.raises(ValueError, match=r"concat: .*arrays is on cpu, arrays is on gpu:0"):
        ops.concat([x, y])


def test_two_cards_are_two_devices(gpu_standin: Device) -> None:
    x, y = tensor([1.0], device="gpu:0"), tensor([1.0], device="gpu:1")
    with pytest.raises(ValueError, match=r"add: .*x is on gpu:0, y is on gpu:1; move them"):
        x + y
    assert str((x.to("gpu:1").data.device.id, y.to("gpu:0").device)) == "(1, device('gpu:0'))"


def test_a_numpy_array_does_not_meet_a_tensor_on_a_gpu(gpu_standin: Device) -> None:
    x = tensor([1.0], device="gpu")
    for compute in (lambda: x * np.ones(1), lambda: np.ones(1) * x, lambda: ops.matmul(np.ones(1), x)):
        with pytest.raises(ValueError, match=r"(multiply|matmul): .*(x|y) is on (cpu|gpu:0).*(cpu|gpu:0); move"):
            compute()
    np.testing.assert_array_equal((x * np.float64(2.0)).numpy(), [2.0])  # a scalar is on no device


def test_kinds_of_numpy_arrays_are_one_device(tmp_path: Any) -> None:
    mapped = np.memmap(tmp_path / "values", dtype="float32", mode="w+", shape=(3,))
    mapped[:] = [1, 2, 3]
    x = tensor([2.0, 2.0, 2.0], requires_grad=True)
    out = x * mapped
    out.sum().backward()
    np.testing.assert_array_equal(out.data, [2, 4, 6])
    np.testing.assert_array_equal(x.grad.data, [1, 2, 3])


def test_gradients_flow_on_every_device(device: Device) -> None:
    x = tensor([[0.5, -1.0], [2.0, 0.25]], requires_grad=True)
    y = (ops.tanh(x) @ x).sum() / 2
    y.backward()
    assert x.grad.device == device
    t = np.tanh(x.numpy())
    ones = np.ones((2, 2))
    np.testing.assert_allclose(
        x.grad.numpy(), 0.5 * ((ones @ x.numpy().T) * (1 - t * t) + t.T @ ones), rtol=1e-5, atol=1e-6
    )


def test_gradients_flow_through_a_move(gpu_standin: Device) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    far = x.to("gpu")
    (far * far).sum().backward()
    assert x.grad.device == device("cpu")
    np.testing.assert_array_equal(x.grad.data, [2, 4])
    (first,) = grad(((x * x).to("gpu") * 3.0).sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x)
    np.testing.assert_array_equal(second.data, [6, 6])


# -- errors of the forward computation -------------------------------------------------------------------------------


def test_an_error_names_the_operation_and_what_it_got() -> None:
    with pytest.raises(ValueError, match=r"add: .*\(got x \(3,\) float64, y \(4,\) float64\)"):
        ops.add(random_tensor(3), random_tensor(4))
    with pytest.raises(ValueError, match=r"matmul: .*x \(2, 3\) float64, y \(2, 3\) float64"):
        ops.matmul(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(IndexError, match=r"getitem: .*x \(3,\) float64"):
        random_tensor(3)[5]
    with pytest.raises(ValueError, match=r"sum: axis 2 is out of bounds"):
        random_tensor(3, 3).sum(axis=2)


def test_an_error_inside_an_operation_inside_an_operation_is_named_once() -> None:
    @primitive
    def outer(x: Any) -> Any:
        return ops.reshape(x, (7,))

    with pytest.raises(ValueError) as caught:
        outer(random_tensor(3))
    assert str(caught.value).startswith("reshape: ")
    assert "outer" not in str(caught.value)


def test_an_operation_shows_its_signature() -> None:
    assert repr(ops.tanh) == "<operation tanh(x: 'Array') -> 'Array'>"
    assert ops.tanh.__name__ == "tanh"
    assert ops.tanh.__doc__ == "Hyperbolic tangent."
    assert PRIMITIVES["tanh"] is ops.tanh
