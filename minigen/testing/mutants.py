"""Mutants: small faults planted on purpose, to see that a check finds them.

A test that has never failed may be unable to fail. So the tests that matter most are themselves tested: the code under
test is changed in one place, and the test must fail. Such a changed program is called a mutant, and one that no test
notices survives (DeMillo, Lipton and Sayward 1978, "Hints on test data selection"). `check_mutants` plants the usual
faults in derivatives. A fault of one's own is planted by `changed_derivative`, or by `replaced_derivative`, which puts
a whole other rule in place, inside a `with` block:

    with mutants.changed_derivative(ops.tanh, "x", lambda g: 1.001 * g), pytest.raises(GradcheckError):
        gradcheck(ops.tanh, x)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from minigen.autograd import PRIMITIVES, Primitive, raw, tape
from minigen.backend import as_array, to_numpy

Function = Callable[..., Any]
Operation = str | Primitive[..., Any]
"""An operation, or the name of one of minigen's."""
Place = tuple[str, str]
"""Where a fault is planted: the names of an operation and of the argument that its derivative is for."""

# -- every derivative, and every fault ---------------------------------------------------------------------------------


def _transposed(g: Any) -> Any:
    """Two axes of the same length swapped; if there are none, the entries in reverse order."""
    for i in range(g.ndim - 1):
        if g.shape[i] == g.shape[i + 1] > 1:
            return g.swapaxes(i, i + 1)
    return g[(slice(None, None, -1),) * g.ndim]


FAULTS: dict[str, Function] = {
    "times 1.001": lambda g: g * 1.001,
    "transposed": _transposed,
    "dropped": lambda g: g * 0.0,
}


def check_mutants(check: Callable[[], Any], *operations: Operation) -> None:
    """Check that `check` fails if a derivative is wrong: times 1.001, transposed, or dropped, one at a time.

    `check` is a function without arguments that raises an `AssertionError` if something is wrong, and passes now. The
    faults are planted in every derivative of the operations; without any, in those that `check` runs, such as those of
    a layer. A fault that changes no number, such as a transposed vector of one entry, does not count.

    `AssertionError` with the mutants that survive, and with those derivatives of the operations for which no fault
    counts, since `check` runs them nowhere, or only where they are 0.

    >>> check_mutants(lambda: check_derivatives(softsign, [np.ones((2, 3))]), softsign)
    >>> check_mutants(lambda: check_module(layer, x))
    """
    places = _run_by(check)
    if operations:
        places = [(x.name, argument) for x in map(_found, operations) for argument in x.rules]
    survivors = []
    for operation, argument in places:
        results = {fault: _survives(check, (operation, argument), change) for fault, change in FAULTS.items()}
        survivors += [f"{operation}: the derivative for {argument}, {fault}" for fault, x in results.items() if x]
        if operations and all(x is None for x in results.values()):
            survivors.append(f"{operation}: the derivative for {argument}, which it runs nowhere or only where it is 0")
    if survivors:
        raise AssertionError("the check does not notice these mutants:\n  " + "\n  ".join(survivors))


def _run_by(check: Callable[[], Any]) -> list[Place]:
    """The derivatives that `check` runs; it must pass."""
    places: dict[Place, None] = {}

    def note(place: Place, right: Any) -> Any:
        places[place] = None
        return right

    with _derivatives_changed(note):
        check()
    return list(places)


def _survives(check: Callable[[], Any], place: Place, change: Function) -> bool | None:
    """Whether `check` passes with this fault in a derivative; None if the fault changes nothing."""
    counts = False

    def wrong(here: Place, right: Any) -> Any:
        nonlocal counts
        if here != place:
            return right
        result = as_array(change(right))
        counts |= not np.array_equal(to_numpy(raw(result)), to_numpy(raw(right)))
        return result

    try:
        with _derivatives_changed(wrong):
            check()
    except AssertionError:
        return False
    return True if counts else None


@contextmanager
def _derivatives_changed(change: Callable[[Place, Any], Any]) -> Iterator[None]:
    """Inside the block, every gradient for an argument of an operation is `change((operation, argument), gradient)`."""
    right = tape.unbroadcast  # through which all of them go
    tape.unbroadcast = lambda g, edge, *place: change(place, right(g, edge, *place))
    try:
        yield
    finally:
        tape.unbroadcast = right


# -- one fault ---------------------------------------------------------------------------------------------------------


def changed_derivative(operation: Operation, argument: str, change: Function) -> AbstractContextManager[None]:
    """Inside the block, the derivative for an argument, summed to its shape, is `change` of what is right."""
    primitive = _found(operation)
    if argument not in primitive.rules:
        expected = ", ".join(primitive.rules)
        raise ValueError(f"{primitive.name}: expects an argument with a derivative ({expected}), got {argument!r}")
    place = primitive.name, argument
    return _derivatives_changed(lambda here, right: as_array(change(right)) if here == place else right)


@contextmanager
def replaced_derivative(operation: Operation, argument: str, wrong: Function) -> Iterator[None]:
    """Inside the block, `wrong` is the operation's derivative for the argument; it names the same values."""
    primitive = _found(operation)
    right = primitive.rules[argument]
    primitive.derivatives(**{argument: wrong})
    try:
        yield
    finally:
        primitive.rules[argument] = right


def _found(operation: Operation) -> Primitive[..., Any]:
    return PRIMITIVES[operation] if isinstance(operation, str) else operation
