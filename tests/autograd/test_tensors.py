"""What one can do with a tensor: operators, indexing, conversions, the raw array under it."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen import nn, ops
from minigen.autograd import Tensor, grad, no_grad, tensor
from minigen.autograd.operators import OTHER_NAMES
from minigen.backend import Device, default_dtype
from minigen.backend import device as find_device
from minigen.nn import Parameter


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).uniform(0.5, 2.0, shape)


# -- operators -------------------------------------------------------------------------------------------------------

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("op", [*ARITHMETIC, *COMPARISONS, operator.matmul])
def test_binary_operators_with_tensors_and_arrays_on_either_side(op: Callable[[Any, Any], Any]) -> None:
    x, y = values(3, 3), values(3, 3)
    y[0] = x[0]
    for left, right in ((tensor(x), tensor(y)), (tensor(x), y), (x, tensor(y))):
        out = op(left, right)
        assert isinstance(out, Tensor)
        np.testing.assert_array_equal(out.data, op(x, y))


@pytest.mark.parametrize("op", [*ARITHMETIC, *COMPARISONS])
@pytest.mark.parametrize("scalar", [3, 1.5, np.float64(1.5), np.float32(1.5), np.array([1.5, 1.5, 1.5])])
def test_binary_operators_with_scalars_on_either_side(op: Callable[[Any, Any], Any], scalar: Any) -> None:
    x = values(3)
    for out, expected in ((op(tensor(x), scalar), op(x, scalar)), (op(scalar, tensor(x)), op(scalar, x))):
        assert isinstance(out, Tensor)
        np.testing.assert_array_equal(out.data, expected)


@pytest.mark.parametrize("op", ARITHMETIC)
def test_gradients_of_reflected_operators(op: Callable[[Any, Any], Any]) -> None:
    x, step = values(3), 1e-6
    for left in (1.5, np.array([1.5, 2.0, 3.0])):
        t = tensor(x, requires_grad=True)
        op(left, t).sum().backward()
        numeric = (op(left, x + step) - op(left, x - step)) / (2 * step)
        np.testing.assert_allclose(t.grad.data, numeric, rtol=1e-7)


def test_unary_operators() -> None:
    x = values(3) - 1.0
    np.testing.assert_array_equal((-tensor(x)).data, -x)
    np.testing.assert_array_equal(abs(tensor(x)).data, np.abs(x))


IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.iadd,
    "-": operator.isub,
    "*": operator.imul,
    "/": operator.itruediv,
    "**": operator.ipow,
}


@pytest.mark.parametrize("sign", IN_PLACE)
def test_in_place_operators_write_into_the_memory(sign: str, device: Device) -> None:
    """`p -= 0.1 * p.grad` under `no_grad` trains p, as everybody writes it."""
    p = tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = ops.square(p).sum()
    memory, other = p.data, tensor([0.5, 2.0, 1.0])
    expected = getattr(operator, IN_PLACE[sign].__name__[1:])(p.detach(), other).numpy()
    with no_grad():
        assert IN_PLACE[sign](p, other) is p
    assert p.data is memory
    assert p.requires_grad
    np.testing.assert_array_equal(p.numpy(), expected)
    with pytest.raises(RuntimeError, match="square: x was changed in place"):
        y.backward()


def test_in_place_operators_do_not_leave_the_record() -> None:
    p, total = tensor([1.0], requires_grad=True), tensor([0.0])
    message = r"x -= y changes a tensor in place, which cannot be recorded: write x = x - y, or .*`with no_grad\(\):`"
    with pytest.raises(RuntimeError, match=message):
        p -= 0.1
    with pytest.raises(RuntimeError, match=message.replace("-", r"\+")):
        total += p
    with pytest.raises(RuntimeError, match="an in-place write to a tensor that requires gradients, or of one"):
        total[0] = p[0]
    total += 1.0  # which needs no gradient
    assert total.item() == 1.0
    with pytest.raises(ValueError, match=r"x \+= y: x is \(1,\) float32 but the result \(2, 1\) float32"):
        total += tensor([[1.0], [2.0]])
    counts = tensor([3])
    with pytest.raises(ValueError, match=r"x is .* int64 but the result .* float32"):
        counts /= 2
    array = values(3)
    with pytest.raises(TypeError):  # an array cannot hold the record
        array += p


# -- NumPy's functions -------------------------------------------------------------------------------------------------


def test_numpys_elementwise_functions_are_the_operations_of_that_name() -> None:
    x = tensor(values(3), requires_grad=True)
    for y in (np.tanh(x), np.power(x, 2.0), np.absolute(x), np.multiply(values(3), x), values(3) * x):
        assert y.requires_grad
    with pytest.raises(
        TypeError, match=r"np.arctan: cannot be recorded; use `minigen.ops`, or `x.detach\(\).numpy\(\)`"
    ):
        np.arctan(x)


def test_numpys_functions_do_not_leave_the_record_silently() -> None:
    x = tensor(values(3), requires_grad=True)
    for call, instead in (
        (
            lambda: np.concatenate([x, x]),
            "np.concatenate: cannot be recorded .* use `minigen.ops.concat`, or `x.detach",
        ),
        (lambda: np.stack([values(3), x]), "np.stack: .* use `minigen.ops.stack`"),
        (lambda: np.dot(x, values(3)), "np.dot: .* use `minigen.ops.matmul`"),
        (lambda: np.fft.fft(x), "np.fft: .* use `minigen.ops`, or"),
    ):
        with pytest.raises(TypeError, match=instead):
            call()
    assert np.shape(x) == (3,)
    np.testing.assert_array_equal(np.concatenate([x.detach(), x.detach()]), np.concatenate([values(3)] * 2))
    np.testing.assert_array_equal(np.asarray(x), values(3))  # says what it does


# -- what cannot be meant ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nonsense", ["abc", None, [None], {"a": 1}, [[1.0], "b"], 1j])
def test_a_tensor_is_made_of_numbers(nonsense: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"tensor: expects numbers|inhomogeneous"):
        tensor(nonsense)


def test_a_gradient_is_a_tensor_like_its_own() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match="grad: expects a tensor or None, got 0"):
        x.grad = 0  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"grad: expects \(2,\) on cpu, as the tensor is, got \(3,\) on cpu"):
        x.grad = tensor(values(3))
    x.grad = tensor([3.0, 4.0])
    x.grad = None


def test_words_of_other_libraries_are_answered_with_ours() -> None:
    x = tensor(values(2, 3))
    with pytest.raises(TypeError, match=r"sum: .*'dim'.*; expects \(x.*axis.*keepdims"):
        x.sum(dim=1)
    with pytest.raises(TypeError, match=r"softmax: .*'dim'.*; expects \(x.*axis"):
        x.softmax(dim=1)
    with pytest.raises(TypeError, match="multiply: expects a tensor, an array or a number, got a list"):
        x * [1, 2, 3]
    with pytest.raises(
        TypeError, match=r"linear: expects x to be a tensor or an array, not a list \(got \[1.0, 2.0\]\)"
    ):
        nn.Linear(2, 3)([1.0, 2.0])
    with pytest.raises(ValueError, match=r"pad: expects a pair .* for each of 2 axes, got 1"):
        ops.pad(x, 1)  # type: ignore[arg-type]


def test_comparisons_are_elementwise_and_hashes_are_by_identity() -> None:
    x, y = tensor([1.0, 2.0]), tensor([1.0, 3.0])
    assert (x == y).dtype == bool
    np.testing.assert_array_equal((x == y).data, [True, False])
    assert hash(x) != hash(y)
    assert len({x, y, x}) == 2
    assert {x: "x", y: "y"}[x] == "x"


METHODS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sum": (lambda x: x.sum(), lambda x: ops.sum(x)),
    "sum axis": (lambda x: x.sum(axis=1, keepdims=True), lambda x: ops.sum(x, 1, True)),
    "mean": (lambda x: x.mean(0), lambda x: ops.mean(x, 0)),
    "max": (lambda x: x.max(axis=1), lambda x: ops.max(x, 1)),
    "min": (lambda x: x.min(axis=1), lambda x: ops.min(x, 1)),
    "var": (lambda x: x.var(axis=0, correction=1), lambda x: ops.var(x, 0, correction=1)),
    "logsumexp": (lambda x: x.logsumexp(axis=1), lambda x: ops.logsumexp(x, 1)),
    "softmax": (lambda x: x.softmax(axis=0), lambda x: ops.softmax(x, 0)),
    "log_softmax": (lambda x: x.log_softmax(), lambda x: ops.log_softmax(x)),
    "exp": (lambda x: x.exp(), ops.exp),
    "log": (lambda x: x.log(), ops.log),
    "log1p": (lambda x: x.log1p(), ops.log1p),
    "sqrt": (lambda x: x.sqrt(), ops.sqrt),
    "square": (lambda x: x.square(), ops.square),
    "abs": (lambda x: x.abs(), ops.abs),
    "tanh": (lambda x: x.tanh(), ops.tanh),
    "sigmoid": (lambda x: x.sigmoid(), ops.sigmoid),
    "relu": (lambda x: x.relu(), ops.relu),
    "softplus": (lambda x: x.softplus(), ops.softplus),
    "clip": (lambda x: x.clip(0.7, 1.0), lambda x: ops.clip(x, 0.7, 1.0)),
    "clip above": (lambda x: x.clip(max=1.0), lambda x: ops.clip(x, None, 1.0)),
    "astype": (lambda x: x.astype("float32"), lambda x: ops.astype(x, "float32")),
    "matmul": (lambda x: x.matmul(np.ones((3, 2))), lambda x: ops.matmul(x, np.ones((3, 2)))),
    "reshape": (lambda x: x.reshape(3, 2), lambda x: ops.reshape(x, (3, 2))),
    "reshape tuple": (lambda x: x.reshape((3, -1)), lambda x: ops.reshape(x, (3, -1))),
    "reshape list": (lambda x: x.reshape([6]), lambda x: ops.reshape(x, (6,))),
    "reshape number": (lambda x: x.reshape(-1), lambda x: ops.reshape(x, (-1,))),
    "permute_dims": (lambda x: x.permute_dims(1, 0), lambda x: ops.permute_dims(x, (1, 0))),
    "permute_dims tuple": (lambda x: x.permute_dims((1, 0)), lambda x: ops.permute_dims(x, (1, 0))),
    "T": (lambda x: x.T, lambda x: ops.permute_dims(x)),
    "squeeze": (lambda x: x[:1].squeeze(0), lambda x: ops.squeeze(x[:1], 0)),
    "expand_dims": (lambda x: x.expand_dims(1), lambda x: ops.expand_dims(x, 1)),
    "broadcast_to": (lambda x: x.broadcast_to((4, 2, 3)), lambda x: ops.broadcast_to(x, (4, 2, 3))),
    "flip": (lambda x: x.flip(1), lambda x: ops.flip(x, 1)),
    "getitem": (lambda x: x[1], lambda x: ops.getitem(x, 1)),
    "neg": (lambda x: -x, ops.negative),
    "std": (lambda x: x.std(axis=0, correction=1), lambda x: ops.std(x, 0, correction=1)),
    "prod": (lambda x: x.prod(axis=1, keepdims=True), lambda x: ops.prod(x, 1, True)),
    "cumsum": (lambda x: x.cumsum(1), lambda x: ops.cumsum(x, 1)),
    "sin": (lambda x: x.sin(), ops.sin),
    "cos": (lambda x: x.cos(), ops.cos),
    "floor": (lambda x: x.floor(), ops.floor),
    "round": (lambda x: x.round(), ops.round),
    "copy": (lambda x: x.copy(), ops.copy),
    "flatten": (lambda x: x.flatten(), ops.flatten),
    "swapaxes": (lambda x: x.swapaxes(0, -1), lambda x: ops.swapaxes(x, 0, 1)),
    "repeat": (lambda x: x.repeat(2, axis=1), lambda x: ops.repeat(x, 2, 1)),
    "take_along_axis": (lambda x: x.take_along_axis(ROWS, 0), lambda x: ops.take_along_axis(x, ROWS, 0)),
}
ROWS = np.array([[1, 0, 1]])
WITHOUT_DERIVATIVES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "argmax": (lambda x: x.argmax(axis=1), lambda x: ops.argmax(x, 1)),
    "argmin": (lambda x: x.argmin(), ops.argmin),
    "all": (lambda x: x.all(axis=0, keepdims=True), lambda x: ops.all(x, 0, True)),
    "any": (lambda x: (x > 1.0).any(1), lambda x: ops.any(x > 1.0, 1)),
    "logical_and": (lambda x: (x > 1.0) & (x < 2.0), lambda x: ops.logical_and(x > 1.0, x < 2.0)),
    "logical_and, reflected": (lambda x: True & (x < 2.0), lambda x: ops.logical_and(True, x < 2.0)),
    "logical_or": (lambda x: (x < 1.0) | (x > 2.0), lambda x: ops.logical_or(x < 1.0, x > 2.0)),
    "logical_not": (lambda x: ~(x < 1.0), lambda x: ops.logical_not(x < 1.0)),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_the_operations_of_the_same_name(name: str) -> None:
    method, operation = METHODS[name]
    x = tensor(values(2, 3), requires_grad=True)
    ours, theirs = method(x), operation(x)
    assert isinstance(ours, Tensor)
    np.testing.assert_array_equal(ours.data, theirs.data)
    np.testing.assert_array_equal(ours.data, operation(x.data))
    assert repr(ours._node.primitive) == repr(theirs._node.primitive)
    seed = np.ones(ours.shape, dtype=ours.dtype)
    np.testing.assert_array_equal(grad(ours, x, seed)[0].data, grad(theirs, x, seed)[0].data)


@pytest.mark.parametrize("name", WITHOUT_DERIVATIVES)
def test_so_are_those_without_derivatives(name: str) -> None:
    method, operation = WITHOUT_DERIVATIVES[name]
    x = tensor(values(2, 3), requires_grad=True)
    assert not method(x).requires_grad
    np.testing.assert_array_equal(method(x).data, operation(x).data)
    np.testing.assert_array_equal(method(x).data, operation(x.data))


def test_every_public_operation_method_is_tested_above() -> None:
    operations = {name for name in ops.__all__ if hasattr(Tensor, name)}
    assert operations <= {name.split()[0] for name in METHODS | WITHOUT_DERIVATIVES}


def test_logic_is_of_booleans() -> None:
    x = tensor([1, 2])
    with pytest.raises(TypeError, match=r"^logical_and: expects booleans, such as x > 0, got int64"):
        (x > 1) & x
    with pytest.raises(TypeError, match=r"^logical_or: expects booleans, such as x > 0, got 1"):
        1 | (x > 1)
    with pytest.raises(TypeError, match=r"^logical_not: expects booleans"):
        _ = ~x
    kept = np.array([True, False]) & (x > 1)  # NumPy leaves it to the tensor
    assert isinstance(kept, Tensor) and kept.tolist() == [False, False]


# -- names of NumPy and PyTorch --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("view", "reshape"),
        ("unsqueeze", "expand_dims"),
        ("clamp", "clip"),
        ("permute", "permute_dims"),
        ("cat", "concat"),
    ],
)
def test_a_name_of_pytorch_is_told_ours(name: str, here: str) -> None:
    x = tensor([1.0])
    with pytest.raises(AttributeError, match=f"^a tensor has no attribute '{name}'; in minigen: `{here}`$"):
        getattr(x, name)
    with pytest.raises(AttributeError, match=f"^module 'minigen.ops' has no attribute '{name}'; in minigen: `{here}`$"):
        getattr(ops, name)


def test_every_name_that_is_told_is_one_here_and_there_is_no_second_one() -> None:
    assert set(OTHER_NAMES.values()) <= {*ops.__all__}
    assert not [name for name in OTHER_NAMES if hasattr(ops, name) or hasattr(Tensor, name)]


def test_a_name_that_is_nobodys_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"^a tensor has no attribute 'shap'$"):
        _ = tensor([1.0]).shap
    with pytest.raises(AttributeError, match=r"^module 'minigen.ops' has no attribute 'conv3d'$"):
        _ = ops.conv3d


# -- indexing and iteration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(1, None),
        (1, 2),
        (slice(None), 0),
        (Ellipsis, slice(None, None, -1)),
        (None, 1),
        np.array([1, 1, 0]),
        [1, 1, 0],
        (np.array([0, 1]), np.array([2, 2])),
        values(2, 3) > 1.0,
        (),
    ],
    ids=repr,
)
def test_indexing(index: Any) -> None:
    x = values(2, 3)
    t = tensor(x, requires_grad=True)
    out = t[index]
    np.testing.assert_array_equal(out.data, x[index])
    g = np.random.default_rng(0).standard_normal(x[index].shape)
    expected = np.zeros_like(x)
    np.add.at(expected, index, g)
    out.backward(np.asarray(g))
    np.testing.assert_allclose(t.grad.data, expected)


def test_indexing_with_tensors() -> None:
    x = tensor(values(2, 3))
    np.testing.assert_array_equal(x[tensor([1, 0])].data, x.data[[1, 0]])
    np.testing.assert_array_equal(x[x > 1.0].data, x.data[x.data > 1.0])
    np.testing.assert_array_equal(x[tensor([0, 1]), tensor([2, 1])].data, x.data[[0, 1], [2, 1]])


def test_writing_to_an_index() -> None:
    x = tensor(values(2, 3))
    x[0] = 7
    x[1, 1:] = tensor([8.0, 9.0])
    x[tensor([False, True]), 0] = np.array(6.0)
    np.testing.assert_array_equal(x.data, [[7, 7, 7], [6, 8, 9]])
    parameter = tensor([1.0, 2.0], requires_grad=True)
    with no_grad():
        parameter[0] = 5.0
    np.testing.assert_array_equal(parameter.data, [5, 2])


def test_iteration_and_length() -> None:
    x = tensor(values(2, 3), requires_grad=True)
    rows = list(x)
    assert len(x) == len(rows) == 2
    np.testing.assert_array_equal(rows[1].data, x.data[1])
    first, second = x
    (first * second).sum().backward()
    np.testing.assert_array_equal(x.grad.data, x.data[::-1])
    assert list(tensor(np.zeros((0, 3)))) == []
    for compute in (len, list):
        with pytest.raises(TypeError, match="len: a tensor without axes has no length"):
            compute(tensor(1.0))


# -- conversions -----------------------------------------------------------------------------------------------------


def test_values_as_lists_and_as_text() -> None:
    x = tensor([[1.0, 2.0], [3.0, 4.5]])
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.5]] and type(x.tolist()[0][0]) is float
    assert tensor(3).tolist() == 3
    assert f"{x.max():.3f} {tensor([2]):>3} {tensor(2.0)}" == f"4.500   2 {tensor(2.0)!r}"
    with pytest.raises(TypeError, match=r"^format: expects a tensor of one element for '.2f', got \(2, 2\)"):
        f"{x:.2f}"


def test_numbers_and_truth() -> None:
    x = tensor(2.5)
    assert (float(x), int(x), x.item(), bool(x)) == (2.5, 2, 2.5, True)
    assert type(x.item()) is float
    assert tensor([[3]]).item() == 3
    assert not tensor(0.0)
    assert (tensor(1.0) < 2) and not (tensor(1.0) > 2)
    for convert in (bool, float, Tensor.item):
        with pytest.raises((ValueError, TypeError)):
            convert(tensor([1.0, 2.0]))


def test_numpy_is_the_memory_itself() -> None:
    x = tensor(values(3), requires_grad=True)
    assert x.numpy() is x.data
    assert np.asarray(x) is x.data
    copied = np.array(x)
    np.testing.assert_array_equal(copied, x.data)
    assert not np.shares_memory(copied, x.data)
    assert np.asarray(x, dtype="float32").dtype == np.float32


def test_shape_and_kind() -> None:
    x = tensor(np.zeros((2, 3)))
    assert (x.shape, x.ndim, x.size, x.dtype, x.device) == ((2, 3), 2, 6, np.float64, find_device("cpu"))
    assert not x.requires_grad
    assert x.grad is None


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (lambda: tensor([1, 2]), "tensor([1, 2], dtype=int64)"),
        (lambda: tensor([1 / 3], requires_grad=True), "tensor([0.3333], requires_grad=True)"),
        (lambda: tensor([1.0], requires_grad=True) * 2, "tensor([2.], made by multiply)"),
        (lambda: tensor(1.0, dtype="float64"), "tensor(1., dtype=float64)"),
    ],
)
def test_repr(build: Callable[[], Tensor], expected: str) -> None:
    assert repr(build()) == expected


def test_repr_of_many_values_is_short() -> None:
    assert len(repr(tensor(np.zeros((100, 100))))) < 500


# -- making tensors --------------------------------------------------------------------------------------------------


def test_tensor_copies() -> None:
    array = values(3)
    for source in (array, Tensor(array), array[::-1]):
        x = tensor(source)
        assert not np.shares_memory(x.data, array)
        assert x.dtype == np.float64
    x = tensor(tensor(array, requires_grad=True) * 2)
    assert not x.requires_grad
    assert Tensor(array).data is array


@pytest.mark.parametrize(
    ("source", "dtype"),
    [
        (1.5, "float32"),
        ([1.0, 2.0], "float32"),
        ([[1.0], [2.0]], "float32"),
        (np.float64(1.5), "float32"),
        (np.array([1.5]), "float64"),
        (np.array([1.5], dtype="float32"), "float32"),
        (1, "int64"),
        ([True, False], "bool"),
        (np.array([1], dtype="uint8"), "uint8"),
    ],
    ids=repr,
)
def test_the_dtype_of_a_tensor(source: Any, dtype: str) -> None:
    assert tensor(source).dtype == dtype
    assert tensor(source, dtype="float64").dtype == np.float64
    with default_dtype("float64"):
        assert tensor(source).dtype == ("float64" if dtype == "float32" and type(source) is not np.ndarray else dtype)


def test_only_floating_point_tensors_require_gradients() -> None:
    for source in (1, [1, 2], True):
        with pytest.raises(TypeError, match=r"requires_grad: only floating-point tensors .* this one is (int64|bool)"):
            tensor(source, requires_grad=True)
    x = tensor([1, 2])
    with pytest.raises(TypeError, match="only floating-point"):
        x.requires_grad = True
    y = tensor([1.0], requires_grad=True)
    assert not y.astype("int64").requires_grad
    assert not (y > 0).requires_grad


def test_requires_grad_is_switched_on_leaves() -> None:
    x = tensor([1.0])
    x.requires_grad = True
    y = x * 2
    with pytest.raises(RuntimeError, match="requires_grad: only a leaf can switch it off"):
        y.requires_grad = False
    x.requires_grad = False
    assert not (x * 2).requires_grad


def test_a_tensor_takes_an_array() -> None:
    for source in (1.0, [1.0], np.float64(1.0), tensor([1.0])):
        with pytest.raises(TypeError, match=r"Tensor: expects an array, got .*; `tensor"):
            Tensor(source)


# -- the raw array, and cutting off ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.zeros(4), np.zeros((3, 1)), np.zeros(3, dtype="float32"), [0.0] * 3, 0.0])
def test_data_keeps_shape_and_dtype(value: Any) -> None:
    x = tensor(values(3))
    with pytest.raises(ValueError, match=r"data: expects an array \(3,\) float64 on cpu, got "):
        x.data = value
    np.testing.assert_array_equal(x.data, values(3))


def test_data_is_replaced_and_changed_in_place() -> None:
    x = tensor(values(3), requires_grad=True)
    new = np.zeros(3)
    x.data = new
    assert x.data is new
    x.data += 2.0
    assert x.data is new
    np.testing.assert_array_equal(new, [2, 2, 2])
    assert x.requires_grad


def test_detach_shares_the_array_and_nothing_else() -> None:
    x = tensor(values(3), requires_grad=True)
    for source in (x, x * 2):
        cut = source.detach()
        assert cut.data is source.data
        assert not cut.requires_grad
        assert cut._node is None
    (x.detach() * x).sum().backward()
    np.testing.assert_array_equal(x.grad.data, x.data)


# -- copy and pickle -------------------------------------------------------------------------------------------------

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_of_a_leaf_has_its_values_and_shares_nothing(way: str, device: Device) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    parameter = Parameter(tensor(np.ones((2, 3)).T).data, requires_grad=False)
    for source in (x, parameter, tensor([1, 2]), x.detach()):
        twin = COPIES[way](source)
        assert type(twin) is type(source) and twin.requires_grad == source.requires_grad
        assert (twin.dtype, twin.device) == (source.dtype, device)
        np.testing.assert_array_equal(twin.numpy(), source.numpy())
    twin = COPIES[way](x)
    np.testing.assert_array_equal(twin.grad.numpy(), [2, 4])
    (twin * twin).sum().backward()  # added to its own gradient
    np.testing.assert_array_equal(twin.grad.numpy(), [4, 8])
    np.testing.assert_array_equal(x.grad.numpy(), [2, 4])
    twin.data += 1
    np.testing.assert_array_equal(x.numpy(), [1, 2])


def test_a_tensor_that_occurs_twice_is_copied_once() -> None:
    x = tensor([1.0], requires_grad=True)
    for way in ("deepcopy", "pickle"):
        a, b = COPIES[way]([x, x])
        assert a is b and a is not x


@pytest.mark.parametrize("way", COPIES)
def test_a_result_is_not_copied_with_its_record(way: str) -> None:
    x = tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"^a result of multiply cannot be copied or pickled .*: use `x\.detach\(\)`$"):
        COPIES[way](x * 2)
    assert COPIES[way]((x * 2).detach()).item() == 2


# -- devices ---------------------------------------------------------------------------------------------------------


def test_to_moves(gpu_standin: Device) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    assert x.to("cpu") is x
    far = x.to("gpu")
    assert str(far.device) == "gpu:0"
    assert far.requires_grad
    assert far.to(gpu_standin) is far
    np.testing.assert_array_equal(far.numpy(), x.data)
    (far * far).to("cpu").sum().backward()
    np.testing.assert_array_equal(x.grad.data, [2, 4])


def test_on_every_device(device: Device) -> None:
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.device == device
    assert type(x.numpy()) is np.ndarray
    assert (float(x.sum()), x[1, 0].item(), bool(x.min() > 0)) == (10.0, 3.0, True)
    np.testing.assert_array_equal([row.numpy() for row in x], [[1, 2], [3, 4]])
    np.testing.assert_array_equal((2 - x @ x.T).numpy(), 2 - x.numpy() @ x.numpy().T)
    suffix = "" if device == find_device("cpu") else ", device='gpu:0'"
    assert repr(x).replace("\n", "").replace(" ", "") == f"tensor([[1.,2.],[3.,4.]]{suffix})".replace(" ", "")
    x[0] = tensor([7.0, 8.0])
    x.data *= 2
    np.testing.assert_array_equal(x.numpy(), [[14, 16], [6, 8]])
    assert tensor(x).device == device
    assert tensor(x).data is not x.data


def test_data_stays_on_its_device(gpu_standin: Device) -> None:
    x = tensor([1.0], device="gpu")
    with pytest.raises(ValueError) as caught:
        x.data = np.array([1.0], dtype="float32")
    assert str(caught.value) == "data: expects an array (1,) float32 on gpu:0, got (1,) float32 on cpu"
