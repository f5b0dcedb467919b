"""Hints: what may be the reason that a derivative is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigen.autograd import Node, Tensor, detect_anomaly
from minigen.autograd.tape import nodes_behind
from minigen.backend import Device, as_array, is_array
from minigen.gradcheck.projection import Fault, Precision, Projection, along_directions, as_tuple


def kink(projection: Projection, fault: Fault) -> str:
    """A hint for the error if the function seems to have a kink, as |x| has at 0.

    At a kink, the slopes on both sides differ by the error or more. If only the derivative is wrong, they nearly agree.
    """
    value, step = projection.value(), projection.precision.step
    left = (value - projection.moved(fault.i, fault.worst, -step)) / step
    right = (projection.moved(fault.i, fault.worst, step) - value) / step
    if abs(right - left) < abs(fault.analytic - fault.numeric):
        return ""
    return f"; perhaps not differentiable there: the slope is {left:.4g} on the left and {right:.4g} on the right"


def origin(compute: Callable[[], Any]) -> str:
    """A hint for the error: the operation that gives the first NaN or infinity in a computation, if one does."""
    try:
        with detect_anomaly():
            compute()
    except FloatingPointError as error:
        return f"; {error}"
    return ""


def off_record(projection: Projection) -> str:
    """A hint for the error: the derivatives that are computed off the record, so that their own gradients are wrong.

    A derivative is a function of `g` and of the values that it names, and is checked as one. (In place of the
    derivatives of a fused operation, its reference formula is differentiated.)
    """
    outputs = projection.outputs(*projection.leaves)
    lines = {
        f"\n  {node.primitive.name}: the derivative for {argument} leaves the record: its gradient for {name} "
        "is wrong; it may use operations, but neither `.data` nor NumPy"
        for node in nodes_behind(outputs)
        if node.primitive.reference is None
        for argument in {node.primitive.argument_at(edge.position) for edge in node.edges}
        for name in _wrong_gradients(*_rule(node, argument, outputs[0].device), projection.precision)
    }
    return "".join(sorted(lines))


def _rule(node: Node, argument: str, on: Device) -> tuple[Callable[..., Any], list[Tensor], list[str]]:
    """A node's derivative for an argument, as a function of `g` and of the floats that it names; these; their names."""
    operation, values = node.primitive, node.values()
    rule = operation.rules[argument]
    named = [name for name in rule.names if is_array(values[name]) and values[name].dtype.kind == "f"]
    random = np.random.default_rng(0)
    gs = [on.asarray(random.standard_normal(shape)) for shape, _ in node.outputs]

    def fn(*tensors: Tensor) -> tuple[Tensor, ...]:
        g = tensors[: len(gs)] if operation.several and not operation.byproducts else tensors[0]
        saved = values | dict(zip(named, tensors[len(gs) :], strict=True))
        result = rule.function(g, *[saved[name] for name in rule.names])
        result = result[argument] if rule.together else result
        results = result if isinstance(result, list) else as_tuple(result)
        return tuple(x if isinstance(x, Tensor) else Tensor(as_array(x)) for x in results)

    leaves = [Tensor(x, requires_grad=True) for x in (*gs, *(values[name] for name in named))]
    return fn, leaves, [*("g" for _ in gs), *named]


def _wrong_gradients(fn: Callable[..., Any], leaves: list[Tensor], names: list[str], precision: Precision) -> list[str]:
    """The names of the leaves for which the gradient of `fn` is wrong, other than at a kink."""
    projection = Projection(*along_directions(fn, leaves, 0), names, precision, seed=0)
    return [names[fault.i] for fault in projection.faults(create_graph=False) if not kink(projection, fault)]
