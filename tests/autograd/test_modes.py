"""Recording switched off, and the search for NaN."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minigen import ops
from minigen.autograd import Tensor, detect_anomaly, grad, no_grad, primitive, tensor

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, about the same NaN


def leaf(*values: float) -> Tensor:
    return tensor(list(values), requires_grad=True)


def recording() -> bool:
    return (leaf(1.0) * 2).requires_grad


# -- no_grad ---------------------------------------------------------------------------------------------------------


def test_nothing_is_recorded_under_no_grad() -> None:
    x = leaf(1.0)
    with no_grad():
        y = ops.tanh(x) * x
        assert not y.requires_grad
        assert y._node is None
        assert x.requires_grad
    assert recording()
    assert not (y * 2).requires_grad
    assert (y * x).requires_grad


def test_no_grad_as_a_decorator() -> None:
    @no_grad()
    def double(x: Tensor) -> Tensor:
        """Twice x."""
        return x * 2

    for _ in range(2):  # it can be called again
        assert not double(leaf(1.0)).requires_grad
        assert recording()
    assert (double.__name__, double.__doc__) == ("double", "Twice x.")


def test_no_grad_is_nested_and_left_by_exceptions() -> None:
    with no_grad():
        with no_grad():
            assert not recording()
        assert not recording()
        with pytest.raises(ValueError), no_grad():
            raise ValueError
        assert not recording()
    with pytest.raises(ValueError), no_grad():
        tensor([1.0, 2.0]) + tensor([1.0, 2.0, 3.0])
    assert recording()


def test_no_grad_is_each_threads_own() -> None:
    inside, checked = threading.Event(), threading.Event()
    seen = {}

    def without() -> None:
        with no_grad():
            inside.set()
            checked.wait(10)
            seen["without"] = recording()

    def fresh() -> None:
        seen["fresh"] = recording()

    thread = threading.Thread(target=without)
    thread.start()
    assert inside.wait(10)
    seen["main"] = recording()
    with no_grad():
        other = threading.Thread(target=fresh)
        other.start()
        other.join()
    checked.set()
    thread.join()
    assert seen == {"main": True, "without": False, "fresh": True}


def test_threads_differentiate_at_the_same_time() -> None:
    results: dict[int, float] = {}

    def work(k: int) -> None:
        x = leaf(float(k))
        for _ in range(100):
            x.grad = None
            if k % 2:
                with no_grad():
                    ops.tanh(x)
            (x * x * x).backward()
        results[k] = x.grad.item()  # type: ignore[union-attr]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: 3.0 * k * k for k in range(4)}


def test_no_grad_is_each_tasks_own() -> None:
    async def without(entered: asyncio.Event, leave: asyncio.Event) -> bool:
        with no_grad():
            entered.set()
            await leave.wait()
            return recording()

    async def main() -> tuple[bool, bool]:
        entered, leave = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(without(entered, leave))
        await entered.wait()
        here = recording()
        leave.set()
        return here, await task

    assert asyncio.run(main()) == (True, False)


def test_a_graph_recorded_before_is_differentiated_inside_no_grad() -> None:
    x = leaf(3.0)
    y = x * x
    with no_grad():
        (g,) = grad(y, x, create_graph=True)
        y.backward()
    assert g.item() == x.grad.item() == 6.0
    assert g.requires_grad  # create_graph asks for it


# -- detect_anomaly --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "compute"),
    [
        ("log", lambda x: ops.log(x - 2.0)),
        ("divide", lambda x: x / 0.0),
        ("exp", lambda x: ops.exp(x * 1000.0)),
        ("multiply", lambda x: x * np.inf),
        ("sqrt", lambda x: ops.tanh(ops.sqrt(-x))),
    ],
)
def test_the_forward_pass_names_the_operation(name: str, compute: Any) -> None:
    x = leaf(1.0, 1.0)
    compute(x)  # says nothing
    for context in (detect_anomaly(), no_grad()):
        with pytest.raises(FloatingPointError) as caught, context, detect_anomaly():
            compute(x)
        assert str(caught.value) == f"{name}: its output has 2 of 2 values that are NaN or infinite"
    compute(x)


def test_only_the_values_that_are_wrong_are_counted() -> None:
    with pytest.raises(FloatingPointError, match="log: its output has 1 of 3 values"), detect_anomaly():
        ops.log(tensor([1.0, -1.0, 2.0]))


def test_integers_and_booleans_are_no_anomaly() -> None:
    with detect_anomaly():
        assert (tensor([1, 2]) + 1).dtype == np.int64
        assert bool(tensor([1.0]) > 0)


def test_the_backward_pass_names_the_operation_and_the_line_that_called_it() -> None:
    x = leaf(0.0, 1.0)
    with detect_anomaly():
        line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
        y = ops.sqrt(x)  # the culprit
        z = (y * 2.0).sum()
        with pytest.raises(FloatingPointError) as caught:
            z.backward()
    assert str(caught.value) == (
        "backward of sqrt: the gradient for x has 1 of 2 values that are NaN or infinite; the operation was called at "
        f"{__file__}:{line}, in test_the_backward_pass_names_the_operation_and_the_line_that_called_it: "
        "y = ops.sqrt(x)  # the culprit"
    )
    assert x.grad is None


def test_zero_times_infinity() -> None:
    """The gradient that arrives is infinite already: the first operation to make it is named, not the second."""
    x = leaf(0.0)
    with detect_anomaly(), pytest.raises(FloatingPointError, match="backward of sqrt: the gradient for x"):
        (ops.sqrt(x * 0.0) * 1.0).backward()
    assert np.isnan(grad(ops.sqrt(x * 0.0), x)[0].item())


def test_an_operator_on_a_tensor_names_the_line_too() -> None:
    x = leaf(0.0)
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"backward of pow: .*: y = x\*\*0\.5"):
        y = x**0.5
        y.backward()


def test_an_anomaly_of_second_order_is_found() -> None:
    @primitive
    def bent(x: Any) -> Any:
        return x * 1.0

    bent.derivatives(x=lambda g, x: g * ops.sqrt(x))
    x = leaf(0.0)
    with detect_anomaly():
        (first,) = grad(bent(x), x, create_graph=True)
        with pytest.raises(FloatingPointError, match="backward of sqrt: the gradient for x"):
            first.backward()


def test_a_backward_pass_inside_detects_what_was_recorded_outside() -> None:
    x = leaf(0.0)
    y = ops.sqrt(x)
    with pytest.raises(FloatingPointError) as caught, detect_anomaly():
        y.backward()
    assert str(caught.value) == "backward of sqrt: the gradient for x has 1 of 1 values that are NaN or infinite"


def test_without_detection_nothing_is_searched() -> None:
    x = leaf(0.0)
    ops.sqrt(x).backward()
    assert np.isinf(x.grad.item())


def test_detect_anomaly_as_a_decorator_and_left_by_its_own_error() -> None:
    @detect_anomaly()
    def loss(x: Tensor) -> Tensor:
        return ops.log(x)

    with pytest.raises(FloatingPointError):
        loss(leaf(-1.0))
    assert np.isnan(ops.log(leaf(-1.0)).item())
    with detect_anomaly(), no_grad():
        assert not loss(leaf(1.0)).requires_grad


def test_on_every_device(device: Any) -> None:
    with detect_anomaly(), pytest.raises(FloatingPointError, match="log: its output has 1 of 2"):
        ops.log(leaf(-1.0, 1.0))


@pytest.fixture(autouse=True)
def _left_as_found() -> Iterator[None]:
    yield
    assert recording()
