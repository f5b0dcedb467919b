"""The chain rule and its bookkeeping: orders, graphs, memory, aliasing, in-place changes, error texts."""

from __future__ import annotations

import gc
import math
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import PRIMITIVES, Tensor, grad, no_grad, primitive, tensor
from minigen.backend import Device
from minigen.gradcheck import gradcheck


@pytest.fixture
def traced() -> Iterator[None]:
    """tracemalloc, which NumPy tells of its arrays, is on."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


def leaf(*values: Any) -> Tensor:
    return tensor(np.array(values, dtype="float64"), requires_grad=True)


def counting(name: str, calls: list[str]) -> Any:
    """2 x, with a derivative that notes when it runs."""

    def forward(x: Any) -> Any:
        return 2 * x

    forward.__name__ = name
    operation = primitive(forward)

    def for_x(g: Any) -> Any:
        calls.append(name)
        return 2 * g

    operation.derivatives(x=for_x)
    return operation


# -- derivatives of every order --------------------------------------------------------------------------------------


def _tanh_derivatives(x: float) -> tuple[float, float, float]:
    t = math.tanh(x)
    s = 1 - t * t
    return s, -2 * t * s, -2 * s * s + 4 * t * t * s


def _sigmoid_derivatives(x: float) -> tuple[float, float, float]:
    p = 1 / (1 + math.exp(-x))
    s = p * (1 - p)
    return s, s * (1 - 2 * p), s * (1 - 6 * p + 6 * p * p)


ORDERS: dict[str, tuple[Callable[[Any], Any], Callable[[float], tuple[float, float, float]]]] = {
    "exp": (ops.exp, lambda x: (math.exp(x),) * 3),
    "log": (ops.log, lambda x: (1 / x, -1 / x**2, 2 / x**3)),
    "log1p": (ops.log1p, lambda x: (1 / (1 + x), -1 / (1 + x) ** 2, 2 / (1 + x) ** 3)),
    "sqrt": (ops.sqrt, lambda x: (0.5 * x**-0.5, -0.25 * x**-1.5, 0.375 * x**-2.5)),
    "tanh": (ops.tanh, _tanh_derivatives),
    "sigmoid": (ops.sigmoid, _sigmoid_derivatives),
    "softplus": (ops.softplus, lambda x: (1 / (1 + math.exp(-x)), *_sigmoid_derivatives(x)[:2])),
    "x^4": (lambda x: x**4, lambda x: (4 * x**3, 12 * x**2, 24 * x)),
    "x^x": (
        lambda x: x**x,
        lambda x: (
            x**x * (math.log(x) + 1),
            x**x * ((math.log(x) + 1) ** 2 + 1 / x),
            x**x * ((math.log(x) + 1) ** 3 + 3 * (math.log(x) + 1) / x - 1 / x**2),
        ),
    ),
    "1/x": (lambda x: 1 / x, lambda x: (-1 / x**2, 2 / x**3, -6 / x**4)),
    "x x x": (lambda x: x * x * x, lambda x: (3 * x**2, 6 * x, 6)),
    "square": (ops.square, lambda x: (2 * x, 2, 0)),
    "matmul": (lambda x: ops.matmul(ops.reshape(x, (1, -1)) * x, x).sum(), lambda x: (3 * x**2, 6 * x, 6)),
}


@pytest.mark.parametrize("name", ORDERS)
def test_first_second_and_third_derivatives(name: str) -> None:
    fn, closed_form = ORDERS[name]
    for value in (0.3, 1.7):
        x = leaf(value)
        y = fn(x)
        for expected in closed_form(value):
            if not y.requires_grad:  # a constant, so its derivative is 0
                assert expected == 0
                break
            (y,) = grad(y, x, np.ones(y.shape), create_graph=True)
            assert y.data[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_create_graph_leaves_grad_alone_and_keeps_the_graph() -> None:
    x = leaf(2.0)
    y = x**3
    (first,) = grad(y, x, create_graph=True)
    assert x.grad is None
    y.backward(retain_graph=True)
    (first * first).backward()  # d (3 x^2)^2 / dx = 36 x^3
    assert x.grad.data[0] == pytest.approx(12 + 36 * 8)


def test_a_gradient_penalty_trains_what_the_gradient_depends_on() -> None:
    """(|grad_x <w, x>^2| - 1)^2, as in WGAN-GP; its gradient for w in closed form."""
    w, x = leaf(0.5, -2.0), leaf(1.0, 3.0)
    (g,) = grad((w * x).sum().square(), x, create_graph=True)  # 2 <w, x> w
    (ops.sqrt(g.square().sum()) - 1).square().backward()
    wd, xd = w.data, x.data
    s, n = wd @ xd, np.sqrt(wd @ wd)
    norm = 2 * abs(s) * n
    np.testing.assert_allclose(w.grad.data, 2 * (norm - 1) * 2 * np.sign(s) * (xd * n + s * wd / n))
    np.testing.assert_allclose(x.grad.data, 2 * (norm - 1) * 2 * np.sign(s) * n * wd)


# -- graphs ----------------------------------------------------------------------------------------------------------


def test_diamonds() -> None:
    x = leaf(3.0)
    a, b = x * 2, x * x
    c = a * b  # 2 x^3
    (c * c + a).sum().backward()  # 4 x^6 + 2 x
    assert x.grad.data[0] == 24 * 3**5 + 2


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda x: x * x, lambda x: 2 * x),
        (lambda x: x + x, lambda x: np.full_like(x, 2)),
        (lambda x: x - x, np.zeros_like),
        (lambda x: x / x, np.zeros_like),
        (lambda x: ops.concat([x, x, x]), lambda x: np.full_like(x, 3)),
        (lambda x: ops.stack([x, x], axis=1), lambda x: np.full_like(x, 2)),
        (lambda x: ops.matmul(x, x), lambda x: np.ones((2, 2)) @ x.T + x.T @ np.ones((2, 2))),
        (lambda x: ops.where(np.array([True, False]), x, x), np.ones_like),
        (lambda x: ops.maximum(x, x), np.ones_like),
    ],
)
def test_one_tensor_as_several_arguments(fn: Any, expected: Any) -> None:
    x = leaf([1.0, 2.0], [3.0, 5.0])
    fn(x).sum().backward()
    np.testing.assert_allclose(x.grad.data, expected(x.data), atol=1e-12)


def test_a_tensor_used_a_thousand_times() -> None:
    x = leaf(1.0, 2.0)
    total = x * 0.0
    for i in range(1000):
        total = total + x * float(i)
    total.sum().backward()
    np.testing.assert_allclose(x.grad.data, [499500, 499500])
    y = leaf(1.0)
    (y * x).sum().backward()
    ops.concat([y] * 1000).sum().backward()
    assert y.grad.data[0] == 3 + 1000


def test_the_order_of_backward_is_that_of_the_record_reversed() -> None:
    """A node runs once, after everything that was computed from it."""
    calls: list[str] = []
    a, b, c, d = (counting(name, calls) for name in "abcd")
    x = leaf(1.0)
    first = a(x)
    left, right = b(first), c(first)
    (d(left) + left + right).sum().backward()
    assert calls == ["d", "c", "b", "a"]
    assert x.grad.data[0] == 2 * (2 * 2 + 2 + 2)


def test_grad_computes_only_what_leads_to_its_inputs() -> None:
    calls: list[str] = []
    a, b, c = (counting(name, calls) for name in "abc")
    x, y = leaf(1.0), leaf(1.0)
    middle = b(x)
    out = c(middle) + a(y)
    (g,) = grad(out, middle, create_graph=True)
    assert calls == ["c"]
    assert g.data[0] == 2
    calls.clear()
    (g,) = grad(out, x, create_graph=True)
    assert calls == ["c", "b"]
    calls.clear()
    assert [g.data[0] for g in grad(out, [y, x])] == [2, 4]
    assert sorted(calls) == ["a", "b", "c"]


def test_grad_with_respect_to_results_and_to_an_output_itself() -> None:
    x = leaf(2.0)
    y = x * x
    z = y * y
    of_x, of_y, of_z = grad(z, [x, y, z], create_graph=True)
    assert (of_x.data[0], of_y.data[0], of_z.data[0]) == (32, 8, 1)
    (second,) = grad(of_y, x)  # d 2 x^2 / dx
    assert second.data[0] == 8
    assert grad(x, x, np.array([3.0]))[0].data[0] == 3


def test_grad_of_several_outputs() -> None:
    x = leaf(2.0, 3.0)
    (g,) = grad([x * x, x.sum()], [x], [np.array([1.0, 10.0]), np.array(100.0)])
    np.testing.assert_array_equal(g.data, [104, 160])
    y = x * x
    (g,) = grad([y, y], x, [np.ones(2), np.ones(2)])
    np.testing.assert_array_equal(g.data, [8, 12])


# -- operations with several outputs ---------------------------------------------------------------------------------


def test_unused_outputs_contribute_zeros() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    _, second = ops.split(x, 2)
    (second * second).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [0, 0, 6, 8])
    (g,) = grad(ops.split(x, [1, 2])[1].sum(), x, create_graph=True)
    np.testing.assert_array_equal(g.data, [0, 1, 0, 0])


@pytest.mark.parametrize("used", ["h", "c", "both"])
def test_an_lstm_step_with_only_some_of_its_outputs_used(used: str) -> None:
    gates = tensor(np.linspace(-1, 1, 8).reshape(1, 8), requires_grad=True)
    c = leaf([0.5, -0.5])

    def fn(gates: Any, c: Any) -> Any:
        h, c_next = ops.lstm_cell(gates, c)
        return {"h": h, "c": c_next, "both": (h, c_next)}[used]

    gradcheck(fn, [gates, c], order=2)


def test_gradients_with_respect_to_one_of_several_outputs() -> None:
    x = leaf(1.0, 2.0, 3.0)
    a, b = ops.split(x, [1])
    of_a, of_b = grad((a * b).sum(), [a, b])
    np.testing.assert_array_equal(of_a.data, [5])
    np.testing.assert_array_equal(of_b.data, [1, 1])


# -- depth and memory ------------------------------------------------------------------------------------------------


def test_a_chain_of_ten_thousand_operations(no_garbage_collector: None) -> None:
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y + x
    y.backward()
    assert x.grad.data[0] == 10_001
    (g,) = grad(_chain(x, 2_000), x, create_graph=True)
    assert g.data[0] == 1
    del y, g


def _chain(x: Tensor, length: int) -> Tensor:
    for _ in range(length):
        x = x * 1.0
    return x


def test_a_chain_of_a_hundred_thousand_operations_is_freed(no_garbage_collector: None) -> None:
    x = leaf(1.0)
    y = x * 1.0
    first = weakref.ref(y.data)
    y = (y * y) * x  # keeps the array that is watched
    y = _chain(y, 100_000)
    assert first() is not None
    del y
    assert first() is None


def training_step(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    loss = ops.tanh(ops.linear(x, weight, bias)).square().mean()
    loss.backward()
    for parameter in (weight, bias):
        parameter.data -= 0.01 * parameter.grad.data
        parameter.grad = None
    return loss


def test_a_graph_is_freed_as_soon_as_its_last_name_is_gone(no_garbage_collector: None) -> None:
    x = leaf(1.0, 2.0)
    for backward in (False, True):
        middle = ops.tanh(x * 2.0)
        end = (middle * middle).sum()
        alive = [weakref.ref(t) for t in (middle, middle.data, end)]
        if backward:
            end.backward(retain_graph=True)
        del middle, end
        assert [reference() for reference in alive] == [None] * 3
    first = grad((ops.tanh(x) ** 3).sum(), x, create_graph=True)[0]
    second = grad(first.sum(), x, create_graph=True)[0]
    alive = [weakref.ref(t) for t in (first, first.data, second, second.data)]
    del first, second
    assert [reference() for reference in alive] == [None] * 4


def test_the_garbage_collector_finds_nothing(no_garbage_collector: None) -> None:
    weight, bias = tensor(np.eye(2), requires_grad=True), leaf(0.0, 0.0)
    x = tensor(np.ones((3, 2)))
    for _ in range(3):
        training_step(weight, bias, x)
        y = ops.batch_norm(ops.linear(x * weight[0], weight, bias), bias + 1, bias)[0]
        h, c = ops.lstm_cell(ops.concat([y, y, y, y], axis=1), y)
        (g,) = grad((h * c + ops.softmax(y)).sum(), weight, create_graph=True)
        g.square().sum().backward()
        weight.grad = bias.grad = None
        with no_grad():
            ops.tanh(x)
        del y, h, c, g
    assert gc.collect() == 0


def test_memory_is_constant_over_ten_thousand_steps(no_garbage_collector: None) -> None:
    weight, bias = tensor(np.eye(2), requires_grad=True), leaf(0.0, 0.0)
    x = tensor(np.ones((3, 2)))
    blocks = {}
    for step in range(10_001):  # the first steps fill the interpreter's own caches
        training_step(weight, bias, x)
        if step in (4000, 10_000):
            blocks[step] = sys.getallocatedblocks()
    assert blocks[10_000] - blocks[4000] < 100
    tracemalloc.start()  # slow, but it also sees NumPy's arrays
    for step in range(501):
        training_step(weight, bias, x)
        if step == 100:
            before = tracemalloc.get_traced_memory()[0]
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 1000  # bytes


SIZE = 1 << 20  # bytes of one array


def big_chain(length: int, first: Callable[[Tensor], Tensor] = lambda x: x) -> tuple[Tensor, Tensor]:
    """A tanh of a tanh of ... `first` of a leaf; each keeps SIZE bytes."""
    x = tensor(np.linspace(-1, 1, SIZE // 8), requires_grad=True)
    y = first(x)
    for _ in range(length):
        y = ops.tanh(y)
    return x, y


@pytest.mark.parametrize("retain_graph", [False, True])
def test_the_peak_of_a_backward_pass_does_not_grow_with_its_depth(traced: None, retain_graph: bool) -> None:
    x, y = big_chain(30)
    seed = np.ones(x.shape)
    before = tracemalloc.get_traced_memory()[0]
    assert before > 30 * SIZE  # the saved ones
    tracemalloc.reset_peak()
    y.backward(seed, retain_graph=retain_graph)
    after, peak = tracemalloc.get_traced_memory()
    assert peak - before < 4.5 * SIZE  # the seed, a gradient, and what the derivative makes of it
    if retain_graph:
        assert after - before < 1.5 * SIZE  # x.grad
    else:
        assert after < 5 * SIZE  # x, x.grad, y, the seed; the record is gone although y is alive


def test_saved_arrays_are_freed_while_the_backward_pass_goes_on(traced: None) -> None:
    sizes = []

    @primitive
    def measured(x: Any) -> Any:
        return x * 1.0

    def for_x(g: Any) -> Any:
        sizes.append(tracemalloc.get_traced_memory()[0])
        return g

    measured.derivatives(x=for_x)
    x, y = big_chain(30, first=measured)
    y.backward(np.ones(x.shape))
    assert sizes[0] < 6 * SIZE


def test_gradients_that_meet_are_added_in_place(traced: None) -> None:
    x = tensor(np.ones(SIZE // 8), requires_grad=True)
    y = sum(x * float(i) for i in range(40))
    seed = np.ones(x.shape)
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    y.backward(seed)
    assert tracemalloc.get_traced_memory()[1] - before < 3.5 * SIZE
    np.testing.assert_array_equal(x.grad.data, np.full(x.shape, 780.0))


# -- a second backward pass ------------------------------------------------------------------------------------------


def test_a_second_backward_pass_through_a_freed_graph_says_so() -> None:
    x = leaf(1.0)
    y = ops.exp(x) * 2.0
    y.backward()
    with pytest.raises(RuntimeError, match=r"multiply: backward a second time.*retain_graph=True"):
        y.backward()
    middle = ops.exp(x)
    (middle * middle).backward()
    with pytest.raises(RuntimeError, match=r"exp: backward a second time.*retain_graph=True"):
        (middle + 1.0).backward()
    assert x.grad.data[0] == pytest.approx(2 * math.e + 2 * math.e**2)  # what came before is untouched


def test_retain_graph_keeps_it_and_gradients_accumulate() -> None:
    x = leaf(2.0)
    y = ops.exp(x) * x
    for times in (1, 2, 3):
        y.backward(retain_graph=True)
        assert x.grad.data[0] == pytest.approx(times * 3 * math.exp(2))
    y.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()


def test_a_fused_operation_under_a_retained_graph_takes_each_gradient_anew() -> None:
    x, bias = tensor(np.arange(6.0).reshape(3, 2) ** 2, requires_grad=True), leaf(0.0, 0.0)
    y, _, _ = ops.batch_norm(x, None, bias)
    seed = np.ones((3, 2))
    y.backward(seed, retain_graph=True)
    seed *= 10.0
    y.backward(seed)
    np.testing.assert_array_equal(bias.grad.data, [33, 33])


def test_grad_frees_the_graph_unless_create_graph() -> None:
    x = leaf(1.0)
    y = ops.exp(x)
    grad(y, x, create_graph=True)
    grad(y, x)
    with pytest.raises(RuntimeError, match="exp: backward a second time"):
        grad(y, x)


# -- gradients are nobody else's memory ------------------------------------------------------------------------------

SHARING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda a, b: a + b,
    "add of views": lambda a, b: a.reshape(4).reshape(2, 2) + b.T.T,
    "add twice": lambda a, b: (a + b) + b,
    "identity": lambda a, b: PRIMITIVES["identity"](a) + b,
    "concat": lambda a, b: ops.concat([a[:1], b[1:]]),
    "split": lambda a, b: ops.concat(ops.split(a, 2)) + b,
    "astype": lambda a, b: a.astype("float64") + b,
    "linear": lambda a, b: ops.linear(a, np.eye(2), b[0]) + b,
    "broadcast": lambda a, b: a + b[:1],
}


@pytest.mark.parametrize("name", SHARING)
def test_gradients_share_no_memory(name: str) -> None:
    a, b = leaf([1.0, 2.0], [3.0, 4.0]), leaf([5.0, 6.0], [7.0, 8.0])
    seed = np.array([[1.0, 2.0], [3.0, 4.0]])
    out = SHARING[name](a, b)
    out.backward(seed, retain_graph=True)
    of_a, of_b = (x.data for x in grad(out, [a, b], seed))
    arrays = [a.grad.data, b.grad.data, of_a, of_b, seed, a.data, b.data]
    np.testing.assert_array_equal(of_a, a.grad.data)
    np.testing.assert_array_equal(of_b, b.grad.data)
    for i, x in enumerate(arrays):
        assert x.flags.writeable
        for y in arrays[:i]:
            assert not np.shares_memory(x, y)
    kept = [x.copy() for x in arrays]
    for i, x in enumerate(arrays):
        x[...] = -100.0 - i
        for later, expected in zip(arrays[i + 1 :], kept[i + 1 :], strict=True):
            np.testing.assert_array_equal(later, expected)


def test_accumulation_writes_into_grad_and_nowhere_else() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = np.array([1.0, 10.0])
    out = a + b
    out.backward(seed, retain_graph=True)
    buffer = a.grad.data
    (a * 5.0).sum().backward()
    assert a.grad.data is buffer
    np.testing.assert_array_equal(a.grad.data, [6, 15])
    np.testing.assert_array_equal(b.grad.data, [1, 10])
    np.testing.assert_array_equal(seed, [1, 10])
    out.backward(seed)
    np.testing.assert_array_equal(b.grad.data, [2, 20])


def test_gradients_of_results_on_the_way_are_not_written_to_afterwards() -> None:
    x = leaf(1.0, 2.0)
    middle = x + 0.0
    out = middle + middle * 3.0
    of_out, of_middle, of_x = grad(out, [out, middle, x], np.ones(2))
    np.testing.assert_array_equal(of_out.data, [1, 1])
    np.testing.assert_array_equal(of_middle.data, [4, 4])
    of_x.data[0] = -1.0
    np.testing.assert_array_equal(of_middle.data, [4, 4])
    middle = x + 0.0
    out = middle + 1.0
    of_out, of_middle, of_x = grad(out, [out, middle, x], np.ones(2))
    assert not any(
        np.shares_memory(a.data, b.data) for a, b in ((of_out, of_middle), (of_middle, of_x), (of_out, of_x))
    )


def test_gradients_without_axes_accumulate() -> None:
    x = tensor(np.array(2.0), requires_grad=True)
    for times in (1, 2):
        (x * x + x + x).backward()
        assert type(x.grad.data) is np.ndarray
        assert x.grad.shape == ()
        assert x.grad.item() == 6 * times


# -- in-place changes ------------------------------------------------------------------------------------------------


def _write(x: Tensor) -> None:
    with no_grad():
        x[0] = 9.0


def _update(x: Tensor) -> None:
    x.data -= 0.5


def _replace(x: Tensor) -> None:
    x.data = x.data + 1.0


CHANGES: dict[str, Callable[[Tensor], None]] = {
    "x[0] = y": _write,
    "x.data -= y": _update,
    "x.data = y": _replace,
    "through a reshape": lambda x: _write(x.reshape(3, 1)),
    "through a slice": lambda x: _write(x[1:]),
    "through a permutation": lambda x: _write(x.T),
    "through a part of a split": lambda x: _write(ops.split(x, 3)[2]),
    "through detach": lambda x: _write(x.detach()),
    "through a view of a view of detach": lambda x: _update(x.detach()[None].reshape(-1)[:2]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("create_graph", [False, True])
def test_an_in_place_change_of_what_backward_needs_is_named(change: str, create_graph: bool) -> None:
    x, w = leaf(1.0, 2.0, 3.0), leaf(1.0, 1.0, 1.0)
    out = (x * w).sum()
    CHANGES[change](x)
    with pytest.raises(RuntimeError) as caught:
        grad(out, w, create_graph=create_graph)
    assert str(caught.value) == (
        "multiply: x was changed in place after the forward pass, and the backward pass needs it as it was "
        "(version 0, now 1)"
    )


def test_a_change_of_the_output_and_of_a_constant_is_named_too() -> None:
    x = leaf(1.0, 2.0)
    out = ops.exp(x)
    _update(out)
    with pytest.raises(RuntimeError, match="exp: its output was changed in place"):
        out.sum().backward()
    constant = tensor(np.ones(2))
    product = x * constant
    constant[1] = 3.0
    with pytest.raises(RuntimeError, match="multiply: y was changed in place"):
        product.sum().backward()
    index = tensor(np.array([0]))
    for chosen in (x[index], x[None][:, index]):
        index[0] = 1
        with pytest.raises(RuntimeError, match="getitem: index was changed in place"):
            chosen.sum().backward()


def test_a_view_made_before_is_watched_with_the_memory_it_shares() -> None:
    base = tensor(np.ones(4))
    view = base[:2]
    w = leaf(1.0, 1.0)
    out = (w * view).sum()
    base[0] = 5.0
    with pytest.raises(RuntimeError, match="multiply: y was changed in place"):
        out.backward()


@pytest.mark.parametrize("same", [lambda x: ops.squeeze(x), PRIMITIVES["identity"], lambda x: ops.split(x, 1)[0]])
def test_an_operation_that_returns_its_argument_shares_its_memory(
    same: Callable[[Tensor], Tensor], device: Device
) -> None:
    """As squeezing nothing and splitting into one part do in CuPy."""
    x = leaf(1.0, 2.0)
    middle = x * 1.0
    other = same(middle)
    y = ops.square(middle).sum()
    with no_grad():
        other[0] = 100.0
    with pytest.raises(RuntimeError, match="square: x was changed in place"):
        y.backward()


def test_what_a_fused_operation_needs_is_watched() -> None:
    x, weight = leaf([1.0, 2.0], [3.0, 5.0]), leaf(1.0, 1.0)
    out, _, _ = ops.batch_norm(x, weight)
    _update(weight)
    with pytest.raises(RuntimeError, match="batch_norm: weight was changed in place"):
        out.sum().backward()


def test_a_gradient_that_a_later_backward_pass_adds_to_is_watched() -> None:
    x, w = leaf(1.0, 2.0), leaf(1.0, 1.0)
    (x * 2.0).sum().backward()
    out = (w * x.grad).sum()
    (x * 3.0).sum().backward()
    with pytest.raises(RuntimeError, match="multiply: y was changed in place"):
        out.backward()


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x + 1.0,
        lambda x: x * 3.0,
        lambda x: ops.tanh(x),
        lambda x: x.sum(axis=0),
        lambda x: ops.concat([x, x]),
        lambda x: x[1:],
        lambda x: x.reshape(3, 1) * 2.0,
        lambda x: x - x,
    ],
)
@pytest.mark.parametrize("change", [_write, _update, _replace])
def test_a_change_of_what_backward_does_not_need_is_allowed(operation: Any, change: Any) -> None:
    x, unchanged = leaf(0.1, 0.2, 0.3), leaf(0.1, 0.2, 0.3)
    out = operation(x).sum()
    change(x)
    out.backward()
    operation(unchanged).sum().backward()
    np.testing.assert_array_equal(x.grad.data, unchanged.grad.data)


def test_a_write_to_a_tensor_that_requires_gradients_is_refused_while_recording() -> None:
    x = leaf(1.0, 2.0)
    for y in (x, x * 2.0):
        with pytest.raises(RuntimeError, match=r"in-place write .* requires gradients.*no_grad\(\)"):
            y[0] = 5.0
    np.testing.assert_array_equal(x.data, [1, 2])


# -- errors ----------------------------------------------------------------------------------------------------------


def test_backward_on_more_than_a_number_takes_a_gradient() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError) as caught:
        (x * 2).backward()
    assert str(caught.value) == "backward: the output has shape (2,); only a single number needs no `grad`"
    with pytest.raises(ValueError, match=r"grad: the output has shape \(2,\)"):
        grad(x * 2, x)
    (x * 2)[:1].backward()  # one number in a shape of its own
    np.testing.assert_array_equal(x.grad.data, [2, 0])


@pytest.mark.parametrize("g", [np.ones(3), np.ones((1, 2)), np.array(1.0), tensor(np.ones(3))])
def test_a_gradient_of_another_shape_is_refused(g: Any) -> None:
    x = leaf(1.0, 2.0)
    message = rf"expects a gradient of the output's shape \(2,\), got \({', '.join(map(str, g.shape))}"
    with pytest.raises(ValueError, match="backward: " + message):
        (x * 2).backward(g)
    with pytest.raises(ValueError, match="grad: " + message):
        grad(x * 2, x, g)
    with pytest.raises(ValueError, match=r"backward: expects .* shape .*, got float"):
        (x * 2).backward(1.0)


def test_a_gradient_of_another_dtype_is_cast() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    seed = np.array([1.0, 3.0])  # float64
    for create_graph in (False, True):
        (g,) = grad(x * x, x, seed, create_graph=create_graph)
        assert g.dtype == np.float32
        np.testing.assert_array_equal(g.data, [2, 12])


def test_a_gradient_on_another_device_is_refused(gpu_standin: Any) -> None:
    x = leaf(1.0)
    with pytest.raises(ValueError, match="backward: the output is on cpu, its gradient on gpu:0"):
        (x * 2).backward(tensor([1.0], device="gpu"))


def test_backward_on_a_leaf_and_on_a_constant() -> None:
    with pytest.raises(RuntimeError, match="backward: this tensor is a leaf"):
        leaf(1.0).backward()
    with pytest.raises(RuntimeError, match=r"backward: .* not computed from anything that requires gradients"):
        tensor([1.0]).backward()
    with pytest.raises(RuntimeError, match=r"backward: .* not computed from anything that requires gradients"):
        (leaf(1.0).detach() * 2).backward()
    with no_grad():
        y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match="not computed from anything that requires gradients"):
        y.backward()
    with pytest.raises(RuntimeError, match="grad: the output was not computed from anything"):
        grad(tensor([1.0]), leaf(1.0))


def test_grad_refuses_inputs_that_cannot_have_one() -> None:
    x, unused = leaf(1.0), leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=r"grad: input 1 \(1,\) does not require gradients"):
        grad(x * 2, [x, x.detach()])
    with pytest.raises(ValueError, match=r"grad: the outputs do not depend on input 1 \(1, 2\); allow_unused=True"):
        grad(x * 2, [x, unused])
    g, nothing = grad(x * 2, [x, unused], allow_unused=True)
    assert g.data[0] == 2
    assert nothing is None
    with pytest.raises(ValueError, match="grad: got 2 outputs but 1 grad_outputs"):
        grad([x * 2, x * 3], x, [np.ones(1)])


def test_an_error_in_a_derivative_leaves_recording_on() -> None:
    @primitive
    def broken(x: Any) -> Any:
        return x * 1.0

    def for_x(g: Any) -> Any:
        raise KeyError("broken")

    broken.derivatives(x=for_x)
    with pytest.raises(KeyError):
        broken(leaf(1.0)).backward()
    assert (leaf(1.0) * 2).requires_grad


# -- any graph -------------------------------------------------------------------------------------------------------

Expression = list[tuple[str, int, int]]

SMOOTH: dict[str, Callable[[Any, Any], Any]] = {
    "tanh": lambda x, y: ops.tanh(x),
    "sigmoid": lambda x, y: ops.sigmoid(x),
    "exp": lambda x, y: ops.exp(-x.square()),
    "log": lambda x, y: ops.log(2.0 + ops.tanh(x)),
    "sqrt": lambda x, y: ops.sqrt(1.0 + x * x),
    "softplus": lambda x, y: ops.softplus(x - 1.0),
    "add": lambda x, y: (x + y) / 2,
    "subtract": lambda x, y: 0.5 * (x - y),
    "multiply": lambda x, y: ops.tanh(x) * ops.tanh(y),
    "divide": lambda x, y: x / (2.0 + y * y),
    "mean": lambda x, y: x.mean(axis=-1, keepdims=True) - y,
    "softmax": lambda x, y: ops.softmax(x, axis=-1) * y,
    "logsumexp": lambda x, y: x - ops.logsumexp(y, axis=-1, keepdims=True),
    "shuffle": lambda x, y: ops.concat([ops.flip(x + 0 * y, -1), y + 0 * x], axis=-1)[..., 1::2].mean(-1, True) - x,
    "matmul": lambda x, y: x * ops.tanh(x @ ops.broadcast_to(y, (2, 3)).T).mean(),
}


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    """Operations, each on two of the values before it: three leaves and what came out so far."""
    count = draw(st.integers(1, 8))
    names = st.sampled_from(sorted(SMOOTH))
    return [(draw(names), draw(st.integers(0, 2 + i)), draw(st.integers(0, 2 + i))) for i in range(count)]


def evaluate(expression: Expression, leaves: Any) -> tuple[Tensor, ...]:
    values = list(leaves)
    for name, i, j in expression:
        values.append(SMOOTH[name](ops.broadcast_to(values[i], (2, 3)) if name == "matmul" else values[i], values[j]))
    used = {k for _, i, j in expression for k in (i, j)}
    return tuple(v for k, v in enumerate(values) if k >= len(leaves) and k not in used)


@given(expressions(), st.integers(0, 2**32 - 1))
def test_any_graph(expression: Expression, seed: int) -> None:
    random = np.random.default_rng(seed)
    shapes = [(2, 3), (3,), (2, 1)]
    leaves = [tensor(random.uniform(-1, 1, shape), requires_grad=True) for shape in shapes]
    gradcheck(lambda *xs: evaluate(expression, xs), leaves, order=2, rtol=1e-5, atol=1e-6)
    outputs = evaluate(expression, leaves)
    seeds = [np.asarray(random.standard_normal(o.shape)) for o in outputs]
    with_graph = grad(outputs, leaves, seeds, create_graph=True, allow_unused=True)
    without = grad(evaluate(expression, leaves), leaves, seeds, allow_unused=True)
    sum((o * s).sum() for o, s in zip(outputs, seeds, strict=True)).backward()
    for x, g, h in zip(leaves, with_graph, without, strict=True):
        assert (x.grad is None) == (g is None) == (h is None)
        if x.grad is not None:
            np.testing.assert_allclose(g.data, x.grad.data, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(h.data, x.grad.data, rtol=1e-10, atol=1e-12)
