"""Mutants: small faults planted on purpose, to see that a test finds them.

A test that has never failed may be unable to fail. So the tests that matter most are themselves tested: the code under
test is changed in one place, and the test must fail. Such a changed program is called a mutant, and one that no test
notices survives (DeMillo, Lipton and Sayward 1978, "Hints on test data selection"). Three places to plant a fault:

    changed_derivative     what an operation's derivative for one argument returns
    changed_reference      what the reference formula of a fused operation returns
    changed_source         a piece of a module's source text

The first two (and `replaced_derivative`, which puts a whole other rule in place) hold inside a `with` block; the last
returns a changed copy of the module.

    with mutants.changed_derivative("tanh", "x", lambda g: 1.001 * g), pytest.raises(GradcheckError):
        gradcheck(ops.tanh, x)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import ModuleType
from typing import Any

from minigen.autograd import PRIMITIVES

Function = Callable[..., Any]


def changed_derivative(operation: str, argument: str, change: Function) -> Any:
    """Inside the block, the operation's derivative for the argument is `change` of what is right."""

    def changed(result: Any) -> Any:  # a function that gives the derivatives for several arguments returns a dict
        return change(result[argument] if isinstance(result, dict) else result)

    return replaced_derivative(operation, argument, _changed(PRIMITIVES[operation].rules[argument].function, changed))


@contextmanager
def replaced_derivative(operation: str, argument: str, wrong: Function) -> Iterator[None]:
    """Inside the block, `wrong` is the operation's derivative for the argument; it names the same values."""
    primitive = PRIMITIVES[operation]
    right = primitive.rules[argument]
    primitive.derivatives(**{argument: wrong})
    try:
        yield
    finally:
        primitive.rules[argument] = right


@contextmanager
def changed_reference(operation: str, change: Function) -> Iterator[None]:
    """Inside the block, the reference formula of a fused operation gives `change` of what is right."""
    primitive = PRIMITIVES[operation]
    right = primitive.reference
    assert right is not None, f"{operation} has no reference formula"
    primitive.reference = _changed(right, change)
    try:
        yield
    finally:
        primitive.reference = right


def changed_source(module: ModuleType, right: str, wrong: str) -> ModuleType:
    """A copy of the module with one piece of its source text, which is there exactly once, replaced."""
    text = inspect.getsource(module)
    assert text.count(right) == 1, f"{right!r} is {text.count(right)} times in {module.__name__}"
    mutant = ModuleType(f"{module.__name__}_mutant")
    exec(text.replace(right, wrong), vars(mutant))
    return mutant


def _changed(function: Function, change: Function) -> Function:
    """`change` of what `function` returns, with the signature of `function`: by its names the engine saves values."""
    return wraps(function)(lambda *args, **kwargs: change(function(*args, **kwargs)))
