"""The blackboard shows the numbers of a closed form, the derivatives as they stand in the source, and the sums."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable

import numpy as np
import pytest

import backward
from common.expressions import FUNCTIONS, SIGNS, written
from minigen import ops

Page = Callable[..., list[str]]


@pytest.fixture
def page(run_demo: Callable, capsys: pytest.CaptureFixture) -> Page:
    """The lines that the demo prints, without their alignment."""

    def printed(*flags: object) -> list[str]:
        run_demo("backward", *flags)
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return printed


def test_every_number_of_the_default(page: Page) -> None:
    """tanh(w a + b) a, as it would be differentiated by hand."""
    w, a, b = 0.5, 2.0, -0.8
    v2 = w * a + b
    v3 = math.tanh(v2)
    slope = a * (1 - v3**2)  # of the result with respect to v2
    assert page() == [
        "tanh(w * a + b) * a at w = 0.5000, a = 2.0000, b = -0.8000",
        "",
        "Forward: the operations as they are recorded",
        f"v1 = w * a {w * a:.4f}",
        f"v2 = v1 + b {v2:.4f}",
        f"v3 = tanh(v2) {v3:.4f}",
        f"v4 = v3 * a {v3 * a:.4f}",
        "",
        "Backward, from the last result to the first: g is the gradient of v4 with respect to it.",
        "In a derivative, x and y are the arguments of the operation, and out is its result.",
        "",
        "v4 = v3 * a g = 1.0000",
        f"for v3 x=lambda g, y: g * y y = {a:.4f} {a:.4f}",
        f"for a y=lambda g, x: g * x x = {v3:.4f} {v3:.4f}",
        "",
        f"v3 = tanh(v2) g = {a:.4f}",
        f"for v2 x=lambda g, out: g * (1.0 - out * out) out = {v3:.4f} {slope:.4f}",
        "",
        f"v2 = v1 + b g = {slope:.4f}",
        f"for v1 x=lambda g: g {slope:.4f}",
        f"for b y=lambda g: g {slope:.4f}",
        "",
        f"v1 = w * a g = {slope:.4f}",
        f"for w x=lambda g, y: g * y y = {a:.4f} {slope * a:.4f}",
        f"for a y=lambda g, x: g * x x = {w:.4f} {slope * w:.4f}",
        "",
        "The gradients of the variables",
        "minigen.grad central difference",
        f"w = {slope * a:.4f} {slope * a:.4f} {slope * a:.4f}",
        f"a = {v3:.4f} + {slope * w:.4f} = {v3 + slope * w:.4f} {v3 + slope * w:.4f} {v3 + slope * w:.4f}",
        f"b = {slope:.4f} {slope:.4f} {slope:.4f}",
    ]


def test_gradients_meet_in_a_sum(page: Page) -> None:
    """Where a variable is used more than once, and where one number was broadcast to several."""
    assert "a = 3.0000 - 1.0000 + 4.0000 = 6.0000 6.0000 6.0000" in page("a * 4 + b - a + 3 * a")
    lines = page("sum(w * a) * 1e-6", "--at", "w=1,-2.5", "a=3")
    assert "for a y=lambda g, x: g * x x = [1.0000, -2.5000] [1.000e-06, -2.500e-06], with the sum -1.500e-06" in lines
    assert "w = [3.000e-06, 3.000e-06] [3.000e-06, 3.000e-06] [3.000e-06, 3.000e-06]" in lines


def test_what_a_helper_of_a_derivative_does(page: Page) -> None:
    lines = page("a ** 3")
    assert "for a x=lambda g, x, y: _power_rule(g, x, y) x = 0.5000, y = 3.0000 0.7500" in lines
    assert "_power_rule: g y x^(y - 1), which is 0 for y = 0 also at x = 0." in lines
    assert "_relu_gradient: g * greater(out, 0)" in page("relu(a)")


@pytest.mark.parametrize("name", [*FUNCTIONS, "negative", *SIGNS])
def test_every_operation(name: str, page: Page) -> None:
    """The derivatives that it shows are those that run, and the gradients are near the central differences."""
    operation = getattr(ops, name)
    for argument, rule in operation.rules.items():
        text, _ = backward.source(operation, argument)
        shown = eval(f"dict({text})", vars(sys.modules[operation.forward.__module__]))[argument].__code__
        runs = rule.function.__code__
        assert (shown.co_code, shown.co_names, shown.co_consts) == (runs.co_code, runs.co_names, runs.co_consts)
    names = ["w", "a"][: len(operation.rules)]
    values = ["w=0.7,1.9,0.4", "a=0.3,2.2,1.4"][: len(names)]
    lines = page(f"sum({written(name, names)})", "--at", *values)
    for line in lines[-len(names) :]:
        gradient, difference = re.findall(r"\[.*?\]", line)[-2:]
        np.testing.assert_allclose(eval(gradient), eval(difference), atol=2e-4)


WRONG = [
    (["a +"], "expects an expression, got 'a +'"),
    (["a[0]"], "expects numbers, variables, + - * / **, and the functions abs, cos"),
    (["__import__('os').system('ls')"], "got __import__('os').system('ls')"),
    (["floor(a)"], "got floor(a)"),
    (["sum(x=a)"], "got sum(x=a)"),
    (["a * 'b'"], "got 'b'"),
    (["maximum(a)"], "maximum: expects 2 arguments, got 1"),
    (["tanh(a, a)"], "tanh: expects 1 argument, got 2"),
    (["a"], "expects an expression with an operation on a variable"),
    (["2 * 3"], "expects an expression with an operation on a variable"),
    (["v1 * 2"], "expects other names for variables than v1"),
    (["log(a - 1)"], "log: its output has 1 of 1 values that are NaN or infinite"),
    (["a * 10 ** 10 ** 10"], "pow: its output has 1 of 1 values that are NaN or infinite"),
    (["a * 1" + 400 * "0"], "int too large to convert to float"),
    (["--at", "q=1"], "--at expects a variable of the expression (w, a, b), got q"),
    (["--at", "a=1,2"], "expects an expression whose value is one number, got [-0.2913, 0.3948]"),
    (["--at", "a=1,2", "b=1,2,3"], "add: operands could not be broadcast together with shapes (2,) (3,)"),
]


@pytest.mark.parametrize(("flags", "message"), WRONG)
def test_mistakes_are_told_in_one_line(flags: list[str], message: str, error_of: Callable) -> None:
    assert message in error_of("backward", *flags)


@pytest.mark.parametrize("given", ["a", "a=", "a=1,,2", "=1", "1=1", "a=nan", "a=inf"])
def test_values_that_make_no_sense(given: str, run_demo: Callable, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        run_demo("backward", "--at", given)
    assert f"--at: expects a variable and its value, such as x=0.5 or w=1,2,3, got {given} (" in capsys.readouterr().err
