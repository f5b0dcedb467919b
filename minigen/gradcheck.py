"""Gradient checking: compare derivatives with central differences, along random directions of the output.

For a function f with Jacobian J and a random cotangent v, the number L(x) = <f(x), v> has the gradient J(x)^T v, which
the backward pass computes. Its entries are approximately the central differences (L(x + h e_i) - L(x - h e_i)) / 2h,
which need the forward pass only. The direction must be random: summing the output (v = 1) hides every error in a
function whose outputs sum to a constant, such as softmax or batch normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigen.autograd import Node, Tensor, detect_anomaly, grad, tensor
from minigen.autograd.tape import nodes_behind
from minigen.backend import Device, array_module, as_array, device_of, is_array, to_numpy


class GradcheckError(AssertionError):
    """A derivative and its central difference do not agree."""


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    order: int = 1,
    every_entry: bool = True,
    step: float = 1e-5,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> bool:
    """Check the derivatives of `fn(*inputs)` with respect to every float64 input that requires gradients.

    `fn` returns a tensor or a tuple of tensors, the same values for the same inputs. `inputs` is one input or a
    sequence of them. Tensors are copied as they are; arrays of floats and numbers become float64 tensors that require
    gradients; arrays of integers (labels, indices) become tensors that do not.

    `order=2` checks the first derivatives and then the derivatives of those. An entry passes if the two values differ
    by at most `atol + rtol * s`, with `s` the largest entry of that gradient. `every_entry=False` is for functions of
    many numbers: it moves each input along one random direction, instead of each entry by itself.

    Returns True. Raises `GradcheckError` with the worst entry, its index, both values and the inputs, and the operation
    whose derivative leaves the record (computes with `.data` or NumPy, so that it cannot be differentiated again);
    `TypeError` for an input that is not float64; `ValueError` if no input requires gradients, if two calls of `fn`
    disagree, or if it gives NaN or infinity.

    >>> gradcheck(lambda x, y: ops.tanh(x) * y, [np.ones((2, 3)), 0.5], order=2)
    True
    """
    leaves = as_leaves(inputs)
    names = [f"input {i}" for i in range(len(leaves))]
    if not any(x.requires_grad for x in leaves):
        raise ValueError("gradcheck: no input requires gradients")
    with np.errstate(all="ignore"):  # NaN and infinity are reported by the errors below
        if not every_entry:
            names = [f"{name} along a direction" for name, x in zip(names, leaves, strict=True) if x.requires_grad]
            fn, leaves = _along_directions(fn, leaves, np.random.default_rng(seed))
        _check(fn, leaves, names, order, Precision(step, rtol, atol), seed)
    return True


def as_leaves(inputs: Any) -> list[Tensor]:
    """One input, or a sequence of them, as new leaves, as `gradcheck` takes them; `TypeError` for what it does not."""
    return [_leaf(i, x) for i, x in enumerate(inputs if isinstance(inputs, list | tuple) else [inputs])]


class Precision(NamedTuple):
    """The step h of the central differences, and the relative and absolute tolerance of a derivative."""

    step: float
    rtol: float
    atol: float


def _check(
    fn: Callable[..., Any], leaves: list[Tensor], names: list[str], order: int, precision: Precision, seed: int
) -> None:
    """`gradcheck` for inputs that are leaves."""
    projection = Projection(fn, leaves, names, np.random.default_rng(seed))
    projection.check()
    _compare(projection, precision, create_graph=False)
    if order == 1:
        return
    # Under create_graph the backward pass goes through other code: fused operations take their reference formulas.
    _compare(projection, precision, create_graph=True)
    seeds = [Tensor(v.data, requires_grad=True) for v in projection.cotangents]
    if not projection.first_derivatives(*leaves, *seeds):
        return
    names = [*names, *(f"cotangent {i}" for i in range(len(seeds)))]
    try:
        _check(projection.first_derivatives, [*leaves, *seeds], names, order - 1, precision, seed + 1)
    except GradcheckError as error:
        hint = _off_record(projection.outputs(*leaves), precision)
        raise GradcheckError(f"in the derivative of the derivative: {error}{hint}") from None


def _along_directions(
    fn: Callable[..., Any], leaves: list[Tensor], random: np.random.Generator
) -> tuple[Callable[..., Any], list[Tensor]]:
    """The same function of one number for each input that requires gradients, and these numbers, which are 0.

    The input moves by this number along a random direction. Each output becomes its inner product with a random one. A
    wrong entry of a Jacobian makes the derivatives wrong, since it is perpendicular to both with probability 0.
    """
    seed = random.integers(2**32)
    wanted = [i for i, x in enumerate(leaves) if x.requires_grad]
    directions = [_random_like(leaves[i], random) for i in wanted]
    directions = [d / math.sqrt(float((d.data * d.data).sum()) or 1.0) for d in directions]

    def moved(*numbers: Tensor) -> tuple[Tensor, ...]:
        inputs = list(leaves)
        for i, direction, number in zip(wanted, directions, numbers, strict=True):
            inputs[i] = leaves[i].detach() + number * direction
        result = fn(*inputs)
        outputs = result if isinstance(result, tuple) else (result,)
        generator = np.random.default_rng(seed)
        return tuple((y * _random_like(y, generator)).sum() for y in outputs if y.dtype.kind == "f")

    zero = lambda x: Tensor(array_module(x.data).zeros((), dtype=np.float64), requires_grad=True)
    return moved, [zero(leaves[i]) for i in wanted]


class Projection:
    """L(x) = <f(x), v>: a function projected on random cotangents v, one for each of its outputs and of its shape."""

    def __init__(
        self, fn: Callable[..., Any], leaves: list[Tensor], names: list[str], random: np.random.Generator
    ) -> None:
        self.fn, self.leaves, self.names = fn, leaves, names
        self.wanted = [i for i, x in enumerate(leaves) if x.requires_grad]
        self.cotangents = [_random_like(o, random) for o in self.outputs(*leaves)]

    def outputs(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """f(x), as a tuple."""
        result = self.fn(*inputs)
        return result if isinstance(result, tuple) else (result,)

    def value(self) -> float:
        """L at the leaves as they are now."""
        outputs = self.outputs(*self.leaves)
        return sum(float((o.data * v.data).sum()) for o, v in zip(outputs, self.cotangents, strict=True))

    def check(self) -> None:
        """`ValueError` unless L is finite, and the same in every call."""
        value = self.value()
        if not math.isfinite(value):
            raise ValueError(f"gradcheck: the function gives {value} for these inputs{_origin(self.value)}")
        if self.value() != value:
            raise ValueError(
                "gradcheck: two calls of the function with the same inputs disagree; fix its random numbers"
            )

    def backward(self, inputs: Sequence[Tensor], vs: Sequence[Tensor], create_graph: bool) -> Sequence[Tensor | None]:
        """The gradients of L, with cotangents `vs`, for the wanted inputs; None for one that f does not depend on."""
        recorded = [(y, v) for y, v in zip(self.outputs(*inputs), vs, strict=True) if y.requires_grad]
        wanted = [inputs[i] for i in self.wanted]
        if not recorded:
            return [None] * len(wanted)
        outputs, vs = zip(*recorded, strict=True)
        return grad(outputs, wanted, vs, create_graph=create_graph, allow_unused=True)

    def gradients(self, create_graph: bool) -> list[np.ndarray]:
        """The backward pass's gradient for each of the wanted leaves; zeros for one that f does not depend on."""
        results = self.backward(self.leaves, self.cotangents, create_graph)
        wanted = [self.leaves[i] for i in self.wanted]
        return [np.zeros(x.shape) if g is None else to_numpy(g.data) for x, g in zip(wanted, results, strict=True)]

    def first_derivatives(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The recorded gradients of L as a function of x and v, without those of inputs that f does not depend on."""
        xs, vs = inputs[: len(self.leaves)], inputs[len(self.leaves) :]
        return tuple(g for g in self.backward(xs, vs, create_graph=True) if g is not None)

    def moved(self, i: int, index: tuple[int, ...], step: float) -> float:
        """L with one entry of leaf `i` changed by `step`; the entry is then restored."""
        data = self.leaves[i].data
        original = float(data[index])
        data[index] = original + step
        value = self.value()
        data[index] = original
        return value

    def central_differences(self, i: int, step: float) -> np.ndarray:
        """The derivative of L with respect to each entry of leaf `i`."""
        result = np.zeros(self.leaves[i].shape)
        for index in np.ndindex(result.shape):
            result[index] = (self.moved(i, index, step) - self.moved(i, index, -step)) / (2 * step)
        return result


def _compare(projection: Projection, precision: Precision, create_graph: bool) -> None:
    """Raise `GradcheckError` where the backward pass and the central differences of L differ most."""
    step, rtol, atol = precision
    for i, analytic in zip(projection.wanted, projection.gradients(create_graph), strict=True):
        numeric = projection.central_differences(i, step)
        error = np.abs(analytic - numeric)
        finite = np.isfinite(error)
        largest = max(np.abs(analytic[finite]).max(initial=0.0), np.abs(numeric[finite]).max(initial=0.0))
        allowed = atol + rtol * largest
        wrong = ~finite | (error > allowed)
        if wrong.any():
            worst = tuple(map(int, np.unravel_index(np.argmax(np.where(finite, error, np.inf)), error.shape)))
            if not np.isfinite(analytic[worst]):
                why = _origin(lambda: projection.gradients(create_graph))
            else:
                why = _kink(projection, i, worst, step, error[worst])
            named = zip(projection.names, projection.leaves, strict=True)
            shown = "".join(f"\n  {name} = {to_numpy(x.data)!r}" for name, x in named)
            raise GradcheckError(
                f"the gradient of {projection.names[i]} is wrong, most at {list(worst)}: the backward pass gives "
                f"{analytic[worst]:.10g}, central differences give {numeric[worst]:.10g} "
                f"({int(wrong.sum())} of {error.size} entries are off by more than {allowed:.3g}){why}{shown}"
            )


def _kink(projection: Projection, i: int, index: tuple[int, ...], step: float, error: float) -> str:
    """A hint for the error if the function seems to have a kink, as |x| has at 0.

    At a kink, the slopes on both sides differ by the error or more. If only the derivative is wrong, they nearly agree.
    """
    value = projection.value()
    left = (value - projection.moved(i, index, -step)) / step
    right = (projection.moved(i, index, step) - value) / step
    if abs(right - left) < error:
        return ""
    return f"; perhaps not differentiable there: the slope is {left:.4g} on the left and {right:.4g} on the right"


def _origin(compute: Callable[[], Any]) -> str:
    """A hint for the error: the operation that gives the first NaN or infinity in a computation, if one does."""
    try:
        with detect_anomaly():
            compute()
    except FloatingPointError as error:
        return f"; {error}"
    return ""


# -- derivatives that cannot be differentiated again -------------------------------------------------------------------


def _off_record(outputs: tuple[Tensor, ...], precision: Precision) -> str:
    """A hint for the error: the derivatives that are computed off the record, so that their own gradients are wrong.

    A derivative is a function of `g` and of the values that it names, and is checked as one. (In place of the
    derivatives of a fused operation, its reference formula is differentiated.)
    """
    lines = {
        f"\n  {node.primitive.name}: the derivative for {argument} leaves the record: its gradient for {name} "
        "is wrong; it may use operations, but neither `.data` nor NumPy"
        for node in nodes_behind(outputs)
        for argument in {node.primitive.argument_at(edge.position) for edge in node.edges}
        if node.primitive.reference is None
        for name in _wrong_gradients(*_rule(node, argument, outputs[0].device), precision)
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
        results = result if isinstance(result, list | tuple) else (result,)
        return tuple(x if isinstance(x, Tensor) else Tensor(as_array(x)) for x in results)

    leaves = [Tensor(x, requires_grad=True) for x in (*gs, *(values[name] for name in named))]
    return fn, leaves, [*("g" for _ in gs), *named]


def _wrong_gradients(
    fn: Callable[..., Any], leaves: list[Tensor], names: list[str], precision: Precision
) -> Iterator[str]:
    """The names of the leaves for which the gradient of `fn` is wrong, other than at a kink."""
    random = np.random.default_rng(0)
    projection = Projection(*_along_directions(fn, leaves, random), names, random)
    for i, analytic in enumerate(projection.gradients(create_graph=False)):
        numeric = projection.central_differences(i, precision.step)
        error = float(abs(analytic - numeric))
        wrong = error > precision.atol + precision.rtol * float(abs(numeric))
        if wrong and not _kink(projection, i, (), precision.step, error):
            yield names[i]


def _leaf(i: int, x: Any) -> Tensor:
    """A copy of input `i` as a leaf."""
    if isinstance(x, Tensor):
        if x.requires_grad and x.dtype != np.float64:
            raise TypeError(f"gradcheck: input {i} is {x.dtype}; central differences need float64")
        return Tensor(x.data.copy(), x.requires_grad)
    if is_array(x):
        floats = x.dtype.kind == "f"
        return Tensor(x.astype(np.float64) if floats else x.copy(), requires_grad=floats)
    if isinstance(x, bool | np.bool_):
        return tensor(x)
    if isinstance(x, int | float | np.number):
        return tensor(float(x), dtype=np.float64, requires_grad=True)
    raise TypeError(f"gradcheck: expects tensors, arrays and numbers as inputs, got {x!r} as input {i}")


def _random_like(x: Tensor, random: np.random.Generator) -> Tensor:
    return Tensor(device_of(x.data).asarray(random.standard_normal(x.shape)))
