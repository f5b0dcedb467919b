"""A function as one number along random directions, with its gradient by the backward pass and by differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigen.autograd import Tensor, grad
from minigen.backend import array_module, device_of, to_numpy


class Precision(NamedTuple):
    """The step h of the central differences, and the relative and absolute tolerance of a derivative."""

    step: float
    rtol: float
    atol: float


class Fault(NamedTuple):
    """The gradient for input `i` is wrong: at how many entries, what is allowed there, and both values at the worst."""

    i: int
    entries: int
    allowed: float
    worst: tuple[int, ...]
    analytic: float
    numeric: float


class Projection:
    """L(x) = <f(x), v>: a function projected on random cotangents v, one for each of its outputs and of its shape."""

    def __init__(
        self, fn: Callable[..., Any], leaves: list[Tensor], names: list[str], precision: Precision, seed: int
    ) -> None:
        self.fn, self.leaves, self.names, self.precision = fn, leaves, names, precision
        self.wanted = [i for i, x in enumerate(leaves) if x.requires_grad]
        random = np.random.default_rng(seed)
        self.cotangents = [_random_like(o, random) for o in self.outputs(*leaves)]

    def outputs(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """f(x), as a tuple."""
        return as_tuple(self.fn(*inputs))

    def value(self) -> float:
        """L at the leaves as they are now."""
        outputs = self.outputs(*self.leaves)
        return sum(float((o.data * v.data).sum()) for o, v in zip(outputs, self.cotangents, strict=True))

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

    def central_differences(self, i: int) -> np.ndarray:
        """The derivative of L with respect to each entry of leaf `i`."""
        result, step = np.zeros(self.leaves[i].shape), self.precision.step
        for index in np.ndindex(result.shape):
            result[index] = (self.moved(i, index, step) - self.moved(i, index, -step)) / (2 * step)
        return result

    def faults(self, create_graph: bool) -> Iterator[Fault]:
        """Where the backward pass and the central differences differ: one for each input whose gradient is wrong."""
        for i, analytic in zip(self.wanted, self.gradients(create_graph), strict=True):
            numeric = self.central_differences(i)
            error = np.abs(analytic - numeric)
            finite = np.isfinite(error)
            largest = max(np.abs(analytic[finite]).max(initial=0.0), np.abs(numeric[finite]).max(initial=0.0))
            allowed = self.precision.atol + self.precision.rtol * largest
            wrong = ~finite | (error > allowed)
            if wrong.any():
                index = np.unravel_index(np.argmax(np.where(finite, error, np.inf)), error.shape)
                worst = tuple(map(int, index))
                yield Fault(i, int(wrong.sum()), allowed, worst, float(analytic[worst]), float(numeric[worst]))


def along_directions(
    fn: Callable[..., Any], leaves: list[Tensor], seed: int
) -> tuple[Callable[..., Any], list[Tensor]]:
    """The same function of one number for each input that requires gradients, and these numbers, which are 0.

    The input moves by this number along a random direction. Each output becomes its inner product with a random one. A
    wrong entry of a Jacobian makes the derivatives wrong, since it is perpendicular to both with probability 0.
    """
    random, wanted = np.random.default_rng(seed), [i for i, x in enumerate(leaves) if x.requires_grad]
    directions = [_random_like(leaves[i], random) for i in wanted]
    directions = [d / math.sqrt(float((d.data * d.data).sum()) or 1.0) for d in directions]

    def moved(*numbers: Tensor) -> tuple[Tensor, ...]:
        inputs = list(leaves)
        for i, direction, number in zip(wanted, directions, numbers, strict=True):
            inputs[i] = leaves[i].detach() + number * direction
        weights = np.random.default_rng([seed, 1])
        return tuple((y * _random_like(y, weights)).sum() for y in as_tuple(fn(*inputs)) if y.dtype.kind == "f")

    zero = lambda x: Tensor(array_module(x.data).zeros((), dtype=np.float64), requires_grad=True)
    return moved, [zero(leaves[i]) for i in wanted]


def as_tuple(result: Any) -> tuple[Any, ...]:
    """What a function returns, as a tuple of one or several."""
    return result if isinstance(result, tuple) else (result,)


def _random_like(x: Tensor, random: np.random.Generator) -> Tensor:
    return Tensor(device_of(x.data).asarray(random.standard_normal(x.shape)))
