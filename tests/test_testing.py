"""The kit: each check passes what is right, fails for each thing that it promises to find, and leaves no trace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen import nn, ops
from minigen.autograd import Tensor, primitive, raw, tensor
from minigen.backend import Device, array_module, to_numpy
from minigen.gradcheck import gradcheck
from minigen.random import random_state, separate_random
from minigen.testing import check_derivatives, check_module, check_mutants, check_same_on, mutants

X = np.array([[0.5, -1.0, 2.0], [1.5, -0.25, 0.75]])


@primitive
def cube(x: Any) -> Any:
    return x * x * x


cube.derivatives(x=lambda g, x: 3.0 * g * x * x)


def own(forward: Callable[..., Any], derivative: Callable[..., Any]) -> Any:
    """An operation of one's own."""
    operation = primitive(name="own")(forward)
    operation.derivatives(x=derivative)
    return operation


# -- functions ---------------------------------------------------------------------------------------------------------

in_memory_order = lambda x: array_module(x).cumsum(x.ravel(order="K"))  # the entries as they lie in memory
WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "the first derivative": (own(lambda x: x * x, lambda g, x: 2.001 * g * x), "the gradient of input 0"),
    "the second derivative": (
        own(lambda x: x * x, lambda g, x: g * (2.0 * raw(x))),
        "own: the derivative for x leaves the record: its gradient for x is wrong",
    ),
    "float64 values": (lambda x: cube(x).astype("float64"), "float32 does not stay float32: the values are float64"),
    "a logarithm of what is not used": (
        own(
            lambda x: np.where(x > 0, np.log(x), 0.0), lambda g, x: g * ops.where(x > 0, 1.0 / ops.maximum(x, 0.1), 0.0)
        ),
        "not a number or infinite on the way: invalid value",
    ),
    "what depends on the memory layout": (
        own(in_memory_order, lambda g, x_shape: ops.reshape(ops.flip(ops.cumsum(ops.flip(g, 0), 0), 0), x_shape)),
        "other memory layouts of the inputs give other results",
    ),
}


def test_what_is_right_passes() -> None:
    for inputs in ([X], X, X.astype("float32"), [tensor(X, requires_grad=True)], 0.5, [2], np.zeros((0, 3))):
        check_derivatives(cube, inputs)
    check_derivatives(lambda x, i, y: ops.tanh(x[i]) * y, [X, np.array([0, 1, 1]), 3])
    check_derivatives(lambda x: ops.split(cube(x), 3, 1), X)
    check_derivatives(lambda x, unused: (x, ops.argmax(x), Tensor(X > 0)), [X, 1.0])


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("every_entry", [True, False])
def test_what_is_wrong_fails(wrong: str, every_entry: bool) -> None:
    fn, message = WRONG[wrong]
    with pytest.raises(AssertionError) as caught:
        check_derivatives(fn, X, every_entry=every_entry)
    assert message in str(caught.value)


@pytest.mark.parametrize("drifts", ["gradients are", "gradients under create_graph are"])
def test_a_gradient_in_another_dtype_fails(drifts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tape casts every gradient to its argument's dtype; here it does not."""
    from minigen.autograd import tape

    def kept(g: Any, *call: Any) -> Any:
        drift = isinstance(g, Tensor) == ("create_graph" in drifts)
        return g.astype("float64") if drift else right(g, *call)

    right = tape.unbroadcast
    monkeypatch.setattr(tape, "unbroadcast", kept)
    with pytest.raises(AssertionError, match=f"float32 does not stay float32: the {drifts} float64"):
        check_derivatives(cube, X)


def test_the_same_on_another_device(gpu_standin: Device) -> None:
    check_same_on(gpu_standin, cube, X)
    check_same_on("gpu", nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout()), X)
    with pytest.raises(AssertionError, match="other results on gpu:0"):
        check_same_on(gpu_standin, lambda x: x * (1.0 if str(x.device) == "cpu" else 1.001), X)
    with pytest.raises(AssertionError, match="a result is not on gpu:0"):
        check_same_on(gpu_standin, lambda x: cube(x).to("cpu"), X)


# -- layers ------------------------------------------------------------------------------------------------------------


class Layer(nn.Module):
    """A layer whose `forward` is given; it has a weight, and buffers of both kinds in a list."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.function = forward
        self.weight = nn.Parameter(np.array([0.5, -1.0, 1.5], "float32"))
        self.buffers = [tensor([1.0, 1.0, 1.0]), tensor(0)]

    def forward(self, x: Any) -> Any:
        self.buffers[0].data += 1
        self.buffers[1].data += 1
        return self.function(self, x)


FIVE = np.random.default_rng(0).normal(size=(5, 3))
with separate_random(0):  # the same weights in every run
    LAYERS: dict[str, tuple[nn.Module, Any]] = {
        "a network": (
            nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.Tanh(), nn.Dropout(0.3))),
            FIVE,
        ),
        "integers": (nn.Embedding(4, 2), np.array([[0, 3], [3, 1]])),
        "nested results": (nn.LSTM(3, 2), X[:, None]),
        "no parameters": (nn.Softmax(), X),
        "buffers that change": (Layer(lambda self, x: cube(x) * self.weight * self.buffers[0]), X),
        "a new constant": (Layer(lambda self, x: x * self.weight * tensor(0.5)), X),
        "the parameters' dtype": (Layer(lambda self, x: x.astype(next(self.parameters()).dtype) * self.weight), X > 0),
    }


@pytest.mark.parametrize("name", LAYERS)
def test_a_right_layer_passes_and_stays_as_it_was(name: str) -> None:
    layer, x = LAYERS[name]
    layer.train()
    given = tensor(x, requires_grad=x.dtype.kind == "f")
    tensors = [*layer.named_tensors(), ("x", given)]
    before = [(x, x.data, x.data.tobytes(), x.requires_grad) for _, x in tensors], random_state()
    check_module(layer, given)
    check_module(layer, given)
    after = [(x, x.data, x.data.tobytes(), x.requires_grad) for _, x in tensors], random_state()
    for (*objects, values, required), (*others, values_after, required_after) in zip(before[0], after[0], strict=True):
        assert all(map(lambda x, y: x is y, objects, others))
        assert (values, required) == (values_after, required_after)
    assert before[1] == after[1]
    assert all(x.grad is None for _, x in tensors) and all(part.training for part in layer.modules())


WRONG_LAYERS: dict[str, tuple[Callable[..., Any], str]] = {
    "the weight": (
        lambda self, x: x * self.weight.detach(),
        r"^Layer in training mode, by \[weight, \*inputs\]: .*input 0",
    ),
    "the input": (lambda self, x: x.detach() * self.weight, "Layer in training mode.* the gradient of input 1"),
    "when trained": (lambda self, x: x * (self.weight.detach() if self.training else self.weight), "in training mode"),
    "when evaluated": (lambda self, x: x * (self.weight if self.training else self.weight.detach()), "in evaluation"),
    "float64": (lambda self, x: (x * self.weight).astype("float64"), "float32 does not stay float32"),
    "NumPy": (lambda self, x: x * self.weight * Tensor(raw(self.weight)), "the gradient of input 0"),
}


@pytest.mark.parametrize("wrong", WRONG_LAYERS)
def test_a_wrong_layer_fails(wrong: str) -> None:
    forward, message = WRONG_LAYERS[wrong]
    with pytest.raises(AssertionError, match=message):
        check_module(Layer(forward), X)


def test_a_wrong_entry_of_a_large_weight_fails() -> None:
    layer = nn.Linear(200, 100)
    x = np.random.default_rng(0).normal(size=(3, 200))

    def one_entry_wrong(g: Any) -> Any:
        return ops.concat([g[:50], ops.concat([g[50:51, :100], 1.5 * g[50:51, 100:101], g[50:51, 101:]], 1), g[51:]], 0)

    check_module(layer, x)
    with mutants.changed_derivative("linear", "weight", one_entry_wrong), pytest.raises(AssertionError):
        check_module(layer, x)


# -- mutants -----------------------------------------------------------------------------------------------------------


def test_a_good_check_notices_every_mutant() -> None:
    check_mutants(lambda: check_derivatives(cube, X), cube)
    check_mutants(lambda: check_derivatives(ops.matmul, [X, X.T]), ops.matmul)
    check_mutants(lambda: check_derivatives(lambda x, y: ops.concat([x, y], 0), [X, X]), "concat")
    layer, x = LAYERS["a network"]
    check_mutants(lambda: check_module(layer, x))


def softmax_slope() -> np.ndarray:
    x = tensor(X, requires_grad=True)
    (ops.softmax(x, 1) * Tensor(X)).sum().backward()
    return to_numpy(x.grad.data)


RIGHT = softmax_slope()
BLIND: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "nothing is compared": (softmax_slope, ["times 1.001", "transposed", "dropped"]),
    "a loose tolerance": (lambda: np.testing.assert_allclose(softmax_slope(), RIGHT, rtol=0.01), ["times 1.001"]),
    "the norm alone": (lambda: np.testing.assert_allclose(np.var(softmax_slope()), np.var(RIGHT)), ["transposed"]),
    "another operation": (lambda: gradcheck(ops.tanh, X), ["which it runs nowhere or only where it is 0"]),
}  # fmt: skip


@pytest.mark.parametrize("blind", BLIND)
def test_a_blind_check_is_told_what_it_does_not_notice(blind: str) -> None:
    check, survivors = BLIND[blind]
    with pytest.raises(AssertionError) as caught:
        check_mutants(check, ops.softmax)
    first, *lines = str(caught.value).splitlines()
    assert first == "the check does not notice these mutants:"
    assert lines == [f"  softmax: the derivative for x, {survivor}" for survivor in survivors]


def test_a_check_of_the_sum_of_the_output_is_blind() -> None:
    """The sum is 1: its gradient is 0 but for rounding, and so is any wrong one."""
    with pytest.raises(AssertionError, match="softmax: the derivative for x"):
        check_mutants(lambda: gradcheck(lambda x: ops.softmax(x, 1).sum(), X), ops.softmax)


def test_without_operations_the_mutants_are_in_what_the_check_runs() -> None:
    layer, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), tensor(X.astype("float32"))
    with pytest.raises(AssertionError) as caught:
        check_mutants(lambda: layer(x).sum().backward())
    for place in ("linear: the derivative for weight", "tanh: the derivative for x"):
        assert f"{place}, times 1.001" in str(caught.value)


def test_a_check_that_fails_already_says_nothing_about_mutants() -> None:
    with pytest.raises(AssertionError, match="the gradient of input 0 is wrong"):
        check_mutants(lambda: check_derivatives(WRONG["the first derivative"][0], X), "tanh")


def test_a_fault_needs_a_derivative() -> None:
    with pytest.raises(ValueError, match=r"linear: expects an argument with a derivative \(x, weight, bias\), got 'w'"):
        mutants.changed_derivative("linear", "w", lambda g: 7 * g)


def test_the_derivatives_are_right_again() -> None:
    with pytest.raises(AssertionError):
        check_mutants(softmax_slope, "softmax")
    np.testing.assert_array_equal(softmax_slope(), RIGHT)


# -- without hypothesis ------------------------------------------------------------------------------------------------


def test_the_strategies_alone_need_hypothesis() -> None:
    code = """
import sys
sys.modules["hypothesis"] = None  # as if it were not installed
from minigen.testing import check_derivatives, check_module, check_mutants, check_same_on
from minigen import ops, testing
check_derivatives(ops.tanh, 0.5)
try:
    from minigen.testing.strategies import shapes
except ModuleNotFoundError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    expected = 'minigen.testing: the strategies need hypothesis: pip install "minigen[testing]"\n'
    assert (result.stdout, result.stderr) == (expected, "")
