"""What the tests of the operations share: how the derivatives of a case are checked, and how cases are drawn.

A test module of `ops/` holds a table `CASES`: for each of its operations a strategy that draws calls of it.
`ops/test_registry.py` tests the laws below on every line of these tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import Tensor, grad
from minigen.backend import Device, device
from minigen.gradcheck import gradcheck


class Case(NamedTuple):
    """A call: `fn` takes the inputs as tensors, of which the floating-point ones require gradients."""

    fn: Callable[..., Any]
    inputs: list[np.ndarray]

    def tensors(self, dtype: str = "float64") -> list[Tensor]:
        """The inputs on the current device."""
        put = device().asarray
        return [
            Tensor(put(x, dtype), requires_grad=True) if x.dtype.kind == "f" else Tensor(put(x)) for x in self.inputs
        ]

    def __call__(self, inputs: list[Tensor]) -> tuple[Tensor, ...]:
        result = self.fn(*inputs)
        return result if isinstance(result, tuple) else (result,)


Cases = dict[str, st.SearchStrategy[Case]]


def along_directions(case: Case, seed: int) -> Case:
    """The same call as a function of one number for each input, by which that input moves along a random direction.

    For calls that take long: they have fewer derivatives then, and a wrong entry of a gradient still makes these wrong,
    because a random direction is perpendicular to the error with probability 0.
    """
    random = np.random.default_rng(seed)
    directions = [random.standard_normal(x.shape) for x in case.inputs]

    def moved(*numbers: Tensor) -> Any:
        put = lambda a, t: Tensor(t.device.asarray(a, t.dtype))
        return case.fn(*(put(x, t) + t * put(d, t) for x, d, t in zip(case.inputs, directions, numbers, strict=True)))

    return Case(moved, [np.zeros(()) for _ in case.inputs])


# -- what must hold for every case -------------------------------------------------------------------------------------


def check_derivatives(case: Case) -> None:
    """First and second derivatives against central differences, and no NaN, infinity or warning on the way."""
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        gradcheck(case.fn, case.tensors(), order=2)


def check_float32(case: Case) -> None:
    """float32 in, float32 out: values, gradients, gradients under `create_graph`."""
    for result in (
        *case(case.tensors("float32")),
        *first_derivatives(case, "float32"),
        *first_derivatives(case, "float32", create_graph=True),
    ):
        assert result.dtype == np.float32


def check_same_on(gpu: Device, case: Case) -> None:
    """Values, first and second derivatives on `gpu` are those on the CPU."""
    here = everything(case)
    with gpu:
        there = everything(case)
    for x, y in zip(here, there, strict=True):
        assert y.device == gpu
        np.testing.assert_allclose(y.numpy(), x.numpy(), rtol=1e-9, atol=1e-12)


def cotangents(outputs: tuple[Tensor, ...], seed: int = 0) -> list[Tensor]:
    random = np.random.default_rng(seed)
    return [Tensor(y.device.asarray(random.standard_normal(y.shape), y.dtype)) for y in outputs]


def first_derivatives(case: Case, dtype: str = "float64", create_graph: bool = False) -> list[Tensor]:
    """The gradients of the inputs along random cotangents."""
    inputs = case.tensors(dtype)
    outputs = case(inputs)
    wanted = [x for x in inputs if x.requires_grad]
    return list(grad(outputs, wanted, cotangents(outputs), create_graph=create_graph))  # type: ignore[arg-type]


def everything(case: Case) -> list[Tensor]:
    """The outputs, the gradients, and the gradients of those."""
    inputs = case.tensors()
    outputs = case(inputs)
    wanted = [x for x in inputs if x.requires_grad]
    seeds = cotangents(outputs)
    for seed in seeds:
        seed.requires_grad = True
    first = grad(outputs, wanted, seeds, create_graph=True)
    second = grad(first, [*wanted, *seeds], cotangents(first, seed=1), allow_unused=True)  # type: ignore[arg-type]
    return [*outputs, *first, *(g for g in second if g is not None)]  # type: ignore[list-item]


# -- shapes and axes ---------------------------------------------------------------------------------------------------


SHORTEST = 1
"""The shortest axis that `shapes` draws; a test of empty arrays sets it to 0."""


@st.composite
def shapes(draw: st.DrawFn, min_dims: int = 0, max_dims: int = 3, max_size: int = 6) -> tuple[int, ...]:
    """Shapes with axes of length 1 to 3, without any axis too."""
    lengths = st.lists(st.integers(SHORTEST, 3), min_size=min_dims, max_size=max_dims)
    return draw(lengths.map(tuple).filter(lambda shape: math.prod(shape) <= max_size))


@st.composite
def broadcastable_to(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to `shape`: leading axes missing, others of length 1."""
    kept = shape[draw(st.integers(0, len(shape))) :]
    return tuple(n if draw(st.booleans()) else 1 for n in kept)


def axis_of(ndim: int) -> st.SearchStrategy[int]:
    """One axis, counted from the front or from the back."""
    return st.integers(-ndim, ndim - 1)


@st.composite
def axes_of(draw: st.DrawFn, ndim: int) -> int | tuple[int, ...] | None:
    """What a reduction takes: None, one axis, or a tuple of any number of them."""
    subset = st.lists(st.sampled_from(range(ndim)), unique=True) if ndim else st.just([])
    several = subset.map(lambda axes: tuple(axis - ndim if draw(st.booleans()) else axis for axis in axes))
    return draw(st.one_of(st.none(), several, *([axis_of(ndim)] if ndim else [])))


# -- values ------------------------------------------------------------------------------------------------------------

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def uniform(draw: st.DrawFn, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return np.random.default_rng(draw(SEEDS)).uniform(low, high, shape)


@st.composite
def well_separated(draw: st.DrawFn, *some_shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Arrays whose entries all differ by 0.15 or more, and from 0, 0.4 and -0.4 by 0.07: no kink is near."""
    random = np.random.default_rng(draw(SEEDS))
    ends = np.cumsum([math.prod(shape) for shape in some_shapes])
    grid = 0.2 * (np.arange(ends[-1]) - ends[-1] // 2) + 0.1 + random.uniform(-0.02, 0.02, ends[-1])
    parts = np.split(random.permutation(grid), ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, some_shapes, strict=True)]


class Layout(NamedTuple):
    """How an operation sees an input: `view` of the array that `store` makes of it; the values are the same."""

    store: Callable[[np.ndarray], np.ndarray]
    view: Callable[[Tensor], Tensor]


LAYOUTS = st.sampled_from(
    [
        Layout(lambda x: x, lambda x: x),
        Layout(lambda x: x.T, lambda x: x.T),
        Layout(np.flip, lambda x: ops.flip(x)),
        Layout(lambda x: np.repeat(x, 2, -1) if x.ndim else x, lambda x: x[..., ::2] if x.ndim else x),
    ]
)


@st.composite
def laid_out(draw: st.DrawFn, fn: Callable[..., Any], inputs: list[np.ndarray]) -> Case:
    """The call of `fn` with each floating-point input contiguous, transposed, reversed, or every other element."""
    contiguous = Layout(lambda x: x, lambda x: x)
    layouts = [draw(LAYOUTS) if x.dtype.kind == "f" else contiguous for x in inputs]
    stored = [layout.store(x) for layout, x in zip(layouts, inputs, strict=True)]
    return Case(lambda *xs: fn(*(layout.view(x) for layout, x in zip(layouts, xs, strict=True))), stored)
