"""The gradient check, held to account by mutants: a derivative that is wrong must fail, however slightly."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import Tensor, primitive, raw, tensor
from minigen.backend import Device, to_numpy
from minigen.gradcheck import GradcheckError, gradcheck
from minigen.testing import mutants


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return tensor(np.random.default_rng(seed).uniform(-1.5, 1.5, shape), requires_grad=True)


# -- mutants of the first derivative ---------------------------------------------------------------------------------


def _without_last_entry(g: np.ndarray) -> np.ndarray:
    g = g.copy()
    g[(-1,) * g.ndim] = 0
    return g


MUTANTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "times 7": lambda g: 7 * g,
    "times 0": lambda g: 0 * g,
    "times 1.001": lambda g: 1.001 * g,
    "times -1": lambda g: -g,
    "plus a thousandth": lambda g: g + 0.001,
    "one entry zero": _without_last_entry,
    "last axis reversed": lambda g: g[..., ::-1],
    "first two axes swapped": lambda g: g.swapaxes(0, 1),
    "last two axes swapped": lambda g: g.swapaxes(-1, -2),
    "shifted by one": lambda g: np.roll(g, 1, axis=-1),
    "infinite": lambda g: g * np.inf,
    "one infinity": lambda g: np.where(g == g.max(), np.inf, g),
    "not a number": lambda g: g * np.nan,
}

# what is checked, its arguments, and the operation and argument whose derivative is changed
CHECKED: dict[str, tuple[Callable[..., Any], list[Tensor], str, str]] = {
    "tanh": (ops.tanh, [leaf(3, 3)], "tanh", "x"),
    "sum": (lambda x: ops.sum(x, axis=0), [leaf(3, 3)], "sum", "x"),
    "softmax": (lambda x: ops.softmax(x, axis=1), [leaf(4, 4)], "softmax", "x"),
    "log_softmax": (lambda x: ops.log_softmax(x, axis=0), [leaf(4, 4)], "log_softmax", "x"),
    "matmul, left": (ops.matmul, [leaf(3, 3), leaf(3, 3, seed=1)], "matmul", "x"),
    "matmul, right": (ops.matmul, [leaf(3, 3), leaf(3, 3, seed=1)], "matmul", "y"),
    "convolution, x": (ops.conv2d, [leaf(2, 2, 4, 4), leaf(2, 2, 3, 3, seed=1)], "conv2d", "x"),
    "convolution, weight": (ops.conv2d, [leaf(2, 2, 4, 4), leaf(2, 2, 3, 3, seed=1)], "conv2d", "weight"),
    **{
        f"batch_norm, {argument}": (
            lambda x, weight, bias: ops.batch_norm(x, weight, bias)[0],
            [leaf(4, 4), leaf(4, seed=1), leaf(4, seed=2)],
            "batch_norm",
            argument,
        )
        for argument in ("x", "weight", "bias")
    },
}


@pytest.mark.parametrize("checked", CHECKED)
def test_the_right_derivative_passes(checked: str) -> None:
    fn, inputs, _, _ = CHECKED[checked]
    assert gradcheck(fn, inputs, order=2)


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("checked", CHECKED)
def test_a_wrong_derivative_fails(checked: str, mutant: str) -> None:
    fn, inputs, name, argument = CHECKED[checked]
    if name == "batch_norm" and argument != "x" and "two axes" in mutant:
        return  # of shape (C,)
    with (
        mutants.changed_derivative(name, argument, MUTANTS[mutant]),
        pytest.raises(GradcheckError, match="the gradient of input") as caught,
    ):
        gradcheck(fn, inputs)
    assert "not differentiable" not in str(caught.value)
    gradcheck(fn, inputs)  # right again


@given(st.sampled_from(sorted(CHECKED)), st.one_of(st.floats(-3, 0.999), st.floats(1.001, 3)), st.integers(0, 1000))
def test_any_wrong_factor_fails_along_any_direction(checked: str, factor: float, seed: int) -> None:
    fn, inputs, name, argument = CHECKED[checked]
    gradcheck(fn, inputs, seed=seed)
    with mutants.changed_derivative(name, argument, lambda g: factor * g), pytest.raises(GradcheckError):
        gradcheck(fn, inputs, seed=seed)


@pytest.mark.parametrize(
    ("name", "fn"), [("softmax", lambda x: ops.softmax(x, axis=1)), ("batch_norm", lambda x: ops.batch_norm(x)[0])]
)
def test_summing_the_outputs_would_have_missed_it(name: str, fn: Callable[[Any], Any]) -> None:
    """The outputs sum to a constant: along a cotangent of ones the gradient is 0, and so is 7 times it."""
    x = leaf(4, 4)
    with mutants.changed_derivative(name, "x", lambda g: 7 * g):
        assert gradcheck(lambda x: fn(x).sum(), x)
        with pytest.raises(GradcheckError):
            gradcheck(fn, x)


def test_the_derivative_of_a_new_operation_is_checked() -> None:
    @primitive
    def cube(x: Any) -> Any:
        return x * x * x

    cube.derivatives(x=lambda g, x: 3.0 * g * x * x)
    assert gradcheck(cube, leaf(3), order=3)
    cube.derivatives(x=lambda g, x: 3.0 * g * x)
    with pytest.raises(GradcheckError):
        gradcheck(cube, leaf(3))


def test_a_value_that_is_used_without_its_gradient_fails() -> None:
    with pytest.raises(GradcheckError, match="the gradient of input 0 is wrong"):
        gradcheck(lambda x: x * x.detach(), leaf(3))
    with pytest.raises(GradcheckError, match=r"the gradient of input 1 is wrong, .* the backward pass gives 0,"):
        gradcheck(lambda x, y: x * y.detach(), [leaf(3), leaf(3, seed=1)])
    with pytest.raises(GradcheckError, match="the gradient of input 0 is wrong"):
        gradcheck(lambda x: x.detach() * 2.0, leaf(3))


def test_one_wrong_output_of_several_fails() -> None:
    def two(x: Any) -> tuple[Any, Any]:
        return ops.tanh(x), ops.softmax(x, axis=0)

    assert gradcheck(two, leaf(3), order=2)
    for name in ("tanh", "softmax"):
        with mutants.changed_derivative(name, "x", lambda g: 1.001 * g), pytest.raises(GradcheckError):
            gradcheck(two, leaf(3))


# -- mutants of the second derivative --------------------------------------------------------------------------------


def cut(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


# a function, the operation in it, a derivative of that which has the right values and another derivative, and by what
SECOND: dict[str, tuple[Callable[..., Any], str, Callable[..., Any], list[str]]] = {
    "the output, twice": (ops.tanh, "tanh", lambda g, out: g * (1.0 - cut(out) * cut(out)), ["out"]),
    "the output, once": (ops.tanh, "tanh", lambda g, out: g * (1.0 - cut(out) * out), ["out"]),
    "the gradient": (ops.tanh, "tanh", lambda g, out: cut(g) * (1.0 - out * out), ["g"]),
    "everything": (ops.tanh, "tanh", lambda g, out: cut(g) * (1.0 - cut(out) * cut(out)), ["g", "out"]),
    "everything, as an array": (ops.tanh, "tanh", lambda g, out: raw(g) * (1.0 - raw(out) ** 2), ["g", "out"]),
    "an argument": (ops.square, "square", lambda g, x: g * (2.0 * cut(x)), ["x"]),
    "a sum": (
        lambda x: ops.softmax(x, axis=1),
        "softmax",
        lambda g, out, axis: out * (g - cut(ops.sum(g * out, axis, True))),
        ["g", "out"],
    ),
}


@pytest.mark.parametrize("cut_off", SECOND)
def test_a_wrong_second_derivative_fails_at_order_2_and_not_at_order_1(cut_off: str) -> None:
    """The error names the operation, and no other, by whose derivative the record was left."""
    fn, operation, wrong, names = SECOND[cut_off]
    within = lambda x: ops.concat([ops.split(-fn(ops.sin(x)), 3, 0)[1], ops.sign(x) * ops.relu(x)], 0)
    with mutants.replaced_derivative(operation, "x", wrong):
        for checked in (fn, within):
            assert gradcheck(checked, leaf(3, 3))
            for every_entry in (True, False):
                with pytest.raises(GradcheckError) as caught:
                    gradcheck(checked, leaf(3, 3), order=2, every_entry=every_entry)
                report = str(caught.value)
                assert re.match(r"in the derivative of the derivative: the gradient of (input|cotangent) 0", report)
                lines = [line.split(" is wrong; ")[0] for line in report.splitlines() if "leaves the record" in line]
                blamed = f"  {operation}: the derivative for x leaves the record: its gradient for "
                assert lines == [blamed + name for name in names]
    assert gradcheck(within, leaf(3, 3), order=2)


def test_a_gradient_by_the_cotangent_is_called_so() -> None:
    with (
        mutants.replaced_derivative("tanh", "x", SECOND["the gradient"][2]),
        pytest.raises(
            GradcheckError, match=r"the gradient of cotangent 0 is wrong(.|\n)* input 0 = (.|\n)* cotangent 0 = "
        ),
    ):
        gradcheck(ops.tanh, leaf(3), order=2)


def test_a_derivative_of_several_arguments_or_outputs_that_leaves_the_record_is_named() -> None:
    @primitive(several=True)
    def both(*xs: Any) -> Any:
        return xs[0] * xs[1], xs[0] + xs[1]

    @primitive
    def times(x: Any, y: Any) -> Any:
        return x * y

    x, y = leaf(3), leaf(3, seed=1)
    both.derivatives(xs=lambda g, out: [g[0] * raw(out[0]) * 0.0 + g[1], cut(g[1])])
    times.derivatives_together("x", "y")(lambda g, x, y: {"x": g * y, "y": g * cut(x)})
    with pytest.raises(
        GradcheckError, match="times: the derivative for y leaves the record: its gradient for x"
    ) as caught:
        gradcheck(lambda x, y: times(x, y) * 2.0, [x, y], order=2)
    assert "derivative for x" not in str(caught.value)
    with pytest.raises(GradcheckError, match="both: the derivative for xs leaves the record: its gradient for g"):
        gradcheck(lambda x, y: both([ops.tanh(x), y])[1], [x, y], order=2)


@pytest.mark.parametrize("wrong", [lambda x: 1.001 * x * x, lambda x: x * cut(x) * 2.0])
def test_a_reference_formula_of_another_function_fails_at_order_2(wrong: Callable[[Any], Any]) -> None:
    @primitive(reference=wrong)
    def fused(x: Any) -> Any:
        return x * x

    fused.derivatives(x=lambda g, x: 2 * g * x)
    assert gradcheck(fused, leaf(3))
    with pytest.raises(GradcheckError):
        gradcheck(fused, leaf(3), order=2)


def test_a_wrong_reference_formula_is_found_where_gradients_are_small() -> None:
    """The largest entry is 3e-3: the 3e-6 that are missing are over `rtol` times that, but under `rtol` itself."""

    @primitive(reference=lambda x: 1.001e-3 * x * x)
    def small(x: Any) -> Any:
        return 1e-3 * x * x

    small.derivatives(x=lambda g, x: 2e-3 * g * x)
    assert gradcheck(small, leaf(4))
    with pytest.raises(GradcheckError):
        gradcheck(small, leaf(4), order=2)


# -- the report ------------------------------------------------------------------------------------------------------


def test_the_report_holds_the_worst_entry_both_values_and_the_inputs() -> None:
    x = tensor(np.array([[1.0, 2.0, 3.0], [0.5, 4.0, 0.25]]), requires_grad=True)
    scale = tensor(np.array(2.0))

    def wrong_at_1_2(g: np.ndarray) -> np.ndarray:
        g = g.copy()
        g[1, 2] += 10.0
        g[0, 1] += 0.5
        return g

    with mutants.changed_derivative("square", "x", wrong_at_1_2), pytest.raises(GradcheckError) as caught:
        gradcheck(lambda scale, x: scale * ops.square(x), [scale, x])
    report = str(caught.value)
    numbers = re.search(
        r"the gradient of input 1 is wrong, most at \[1, 2\]: the backward pass gives (\S+), "
        r"central differences give (\S+) \(2 of 6 entries are off by more than (\S+)\)",
        report,
    )
    assert numbers is not None, report
    cotangent = np.random.default_rng(0).standard_normal((2, 3))[1, 2]
    right = 2.0 * 2.0 * 0.25 * cotangent
    assert float(numbers[1]) == pytest.approx(right + 10, rel=1e-8)
    assert float(numbers[2]) == pytest.approx(right, rel=1e-6)
    assert 0 < float(numbers[3]) < 1e-3
    assert "input 0 = array(2.)" in report
    assert f"input 1 = {x.data!r}" in report


def test_the_report_shows_a_gradient_that_is_not_a_number() -> None:
    for value in (np.nan, np.inf, -np.inf):

        def broken(g: np.ndarray, value: float = value) -> np.ndarray:
            return np.where(np.arange(3) == 1, value, g)

        with mutants.changed_derivative("tanh", "x", broken), pytest.raises(GradcheckError) as caught:
            gradcheck(ops.tanh, leaf(3))
        assert f"most at [1]: the backward pass gives {value:g}, central" in str(caught.value)
        assert "(1 of 3 entries are off by more than " in str(caught.value)


@pytest.mark.parametrize("order", [1, 2])
def test_a_gradient_that_is_not_a_number_is_traced_to_its_operation(order: int) -> None:
    """sqrt(0) = 0 has no finite slope; under `create_graph` the derivative is computed by other operations."""
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: ops.tanh(ops.sqrt(x) * 2.0), np.array([1.0, 0.0]), order=order)
    assert re.search(
        r"most at \[1\]: the backward pass gives -?inf, central differences give nan .*; backward of sqrt: the "
        r"gradient for x has 1 of 2 values that are NaN or infinite; the operation was called at .*ops.sqrt",
        str(caught.value),
    )


def test_an_output_that_is_not_a_number_is_called_so() -> None:
    """It differs from itself, but that is no sign of random numbers in the function."""
    with pytest.raises(ValueError, match=r"^gradcheck: the function gives nan .*; log: its output has 1 of 2 values"):
        gradcheck(lambda x: ops.log(x) + 1.0, np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match=r"^gradcheck: the function gives -?inf for these inputs; exp: its output"):
        gradcheck(ops.exp, 1e3)
    with pytest.raises(
        ValueError, match=r"^gradcheck: the function gives nan for these inputs$"
    ):  # no operation did it
        gradcheck(lambda x: Tensor(x.data * np.nan), np.ones(2))


KINKS: dict[str, tuple[Callable[..., Any], Any]] = {
    "abs": (ops.abs, np.array([1.0, 0.0])),
    "relu": (ops.relu, np.array([-1.0, 0.0])),
    "relu, beside its kink": (ops.relu, np.array([-1.0, 3e-6])),
    "a small slope": (lambda x: 1e-4 * ops.relu(x), np.array([-1.0, 0.0])),
    "the end of the domain": (lambda x: ops.where(x > 1.0, 0.0, ops.log(x)), np.array([0.5, 1e-6])),
}


@pytest.mark.parametrize("kink", KINKS)
def test_at_a_kink_the_report_says_so(kink: str) -> None:
    fn, inputs = KINKS[kink]
    one_sided = lambda g, x: g * ops.where(x < 0, -1.0, 1.0)  # at 0 in place of 0, which is the central difference
    with mutants.replaced_derivative("abs", "x", one_sided), pytest.raises(GradcheckError) as caught:
        gradcheck(fn, inputs)
    assert re.search(
        r"most at \[1\]: .*; perhaps not differentiable there: the slope is \S+ on the left and \S+ on the right\n",
        str(caught.value),
    )


def test_a_wrong_derivative_at_an_extremum_is_no_kink() -> None:
    """The slopes at both sides have opposite signs there, but come to the same."""
    wrong = lambda g: g + 0.001
    with mutants.changed_derivative("square", "x", wrong), pytest.raises(GradcheckError) as caught:
        gradcheck(ops.square, np.zeros(2))
    assert "not differentiable" not in str(caught.value)


def test_inputs_without_axes_and_without_elements_are_checked() -> None:
    assert gradcheck(ops.tanh, leaf(), order=2)
    assert gradcheck(ops.tanh, leaf(0, 3), order=2)
    with (
        mutants.changed_derivative("tanh", "x", lambda g: np.asarray(7 * g)),
        pytest.raises(GradcheckError, match=r"most at \[\]: "),
    ):
        gradcheck(ops.tanh, leaf())


# -- what it refuses, and what it leaves alone -----------------------------------------------------------------------


def test_only_float64_is_checked() -> None:
    with pytest.raises(TypeError, match="gradcheck: input 1 is float32; central differences need float64"):
        gradcheck(lambda x, y: x, [leaf(2), tensor([1.0, 2.0], requires_grad=True)])
    index = tensor([1, 0])
    assert gradcheck(lambda x, index: x[index] * 2.0, [leaf(3), index], order=2)


def test_arrays_and_numbers_become_tensors(device: Device) -> None:
    seen: list[Tensor] = []

    def fn(*inputs: Tensor) -> Tensor:
        seen[:] = inputs
        x, index, scale, offset = inputs
        return x[index] * scale + offset

    x, index = device.asarray(np.array([0.5, -1.0, 2.0], "float32")), device.asarray(np.array([2, 0]))
    assert gradcheck(fn, (x, index, 3, np.float32(0.5)), order=2)
    assert [(t.dtype.name, t.requires_grad, t.shape) for t in seen] == [
        ("float64", True, (3,)),
        ("int64", False, (2,)),
        ("float64", True, ()),
        ("float64", True, ()),
    ]
    assert all(t.device == device for t in seen) and x.dtype == "float32"
    assert gradcheck(ops.tanh, x) and gradcheck(ops.tanh, 0.5)
    with mutants.changed_derivative("tanh", "x", lambda g: 1.001 * g), pytest.raises(GradcheckError):
        gradcheck(ops.tanh, x)
    with pytest.raises(
        TypeError, match="gradcheck: expects tensors, arrays and numbers as inputs, got 'sum' as input 1"
    ):
        gradcheck(fn, [x, "sum"])


def test_a_truth_value_is_no_number() -> None:
    seen = []
    gradcheck(lambda x, yes, no: seen.append((yes, no)) or ops.where(yes, x, -x), [leaf(3), True, np.bool_(False)])
    assert all((yes.dtype, no.dtype) == (bool, bool) and not yes.requires_grad for yes, no in seen)


@pytest.mark.parametrize("order", [1, 2])
def test_outputs_that_need_no_gradient_are_left_out(order: int) -> None:
    assert gradcheck(lambda x: (ops.argmax(x), ops.tanh(x), tensor(1.5)), leaf(3), order=order)
    assert gradcheck(lambda x: ops.argmax(x), leaf(3), order=order)


def test_inputs_can_be_moved_along_directions() -> None:
    """However many entries they have, the function is called as often."""
    calls = []

    def fn(x: Any, index: Any, y: Any) -> tuple[Any, Any]:
        calls.append(x.shape)
        return ops.tanh(x[index]) * y, ops.softmax(x, 0)

    counts = []
    for size in (10, 1000):
        calls.clear()
        inputs = [leaf(size), np.array([0, 3]), leaf(2, seed=1)]
        assert gradcheck(fn, inputs, order=2, every_entry=False)
        counts.append(len(calls))
        with (
            mutants.changed_derivative("getitem", "x", lambda g: 1.001 * g),
            pytest.raises(GradcheckError, match="the gradient of input 0 along a direction is wrong"),
        ):
            gradcheck(fn, inputs, every_entry=False)
        with pytest.raises(GradcheckError, match="the gradient of input 2 along a direction is wrong"):
            gradcheck(lambda x, index, y: x[index] * y.detach(), inputs, every_entry=False)
    assert counts[0] == counts[1]


def test_inputs_of_which_none_requires_gradients_are_refused() -> None:
    for inputs in ([], [leaf(2).detach()], np.arange(3)):
        with pytest.raises(ValueError, match="gradcheck: no input requires gradients"):
            gradcheck(ops.tanh, inputs)


def test_a_function_that_is_not_deterministic_is_refused() -> None:
    with pytest.raises(ValueError, match="gradcheck: two calls of the function with the same inputs disagree"):
        gradcheck(lambda x: ops.dropout(x, 0.5), leaf(10))


def test_only_inputs_that_require_gradients_are_moved() -> None:
    x, constant = leaf(2), tensor(np.array([3.0, 4.0]))
    seen = []

    def fn(x: Any, constant: Any) -> Any:
        seen.append((x.data.copy(), constant.data.copy()))
        return x * constant

    gradcheck(fn, [x, constant], order=2)
    assert all(np.array_equal(c, [3.0, 4.0]) for _, c in seen)
    moved = max(np.abs(a - x.data).max() for a, _ in seen)
    assert moved == pytest.approx(1e-5)


@pytest.mark.parametrize("fails", [False, True])
def test_the_inputs_are_left_as_they_were(fails: bool) -> None:
    x, y = leaf(3), leaf(3, seed=1)
    arrays = [x.data, y.data]
    before = [a.copy() for a in arrays]
    x.data.flags.writeable = False
    if fails:
        with mutants.changed_derivative("multiply", "x", lambda g: 7 * g), pytest.raises(GradcheckError):
            gradcheck(lambda x, y: x * y, [x, y], order=2)
    else:
        gradcheck(lambda x, y: x * y, [x, y], order=2)
    for tensor_, array, values in zip((x, y), arrays, before, strict=True):
        assert tensor_.data is array
        np.testing.assert_array_equal(array, values)
        assert tensor_.grad is None
        assert tensor_.requires_grad


def test_the_tolerance_is_relative_to_the_largest_entry() -> None:
    def almost(error: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda g: g * (1 + error)

    with mutants.changed_derivative("square", "x", almost(1e-4)):
        assert gradcheck(ops.square, leaf(3), rtol=1e-3)
        with pytest.raises(GradcheckError):
            gradcheck(ops.square, leaf(3))
    with mutants.changed_derivative("square", "x", almost(1e-7)):
        assert gradcheck(ops.square, leaf(3))


def test_it_checks_on_every_device(device: Device) -> None:
    x = tensor(np.array([[0.5, -1.0], [2.0, 0.25]]), requires_grad=True)
    assert x.device == device
    assert gradcheck(lambda x: ops.softmax(x @ x, axis=1), x, order=2)
    with (
        mutants.changed_derivative("tanh", "x", lambda g: 7 * g),
        pytest.raises(GradcheckError, match="input 0 = array"),
    ):
        gradcheck(ops.tanh, x)
    np.testing.assert_array_equal(to_numpy(x.data), [[0.5, -1.0], [2.0, 0.25]])
