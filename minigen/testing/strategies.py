"""Strategies: how hypothesis draws shapes, axes and values for the checks of an operation.

`CASES` in a test module of `tests/ops` shows them in use: for each operation a strategy that draws calls of it.
"""

from __future__ import annotations

import math
from itertools import chain, product

import numpy as np

from minigen.testing.checks import Case

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'minigen.testing: the strategies need hypothesis: pip install "minigen[testing]"'
    ) from error

Cases = dict[str, st.SearchStrategy[Case]]
"""For the name of each operation, a strategy that draws calls of it."""

# -- shapes and axes ---------------------------------------------------------------------------------------------------


SHORTEST = 1
"""The shortest axis that `shapes` draws; a test of empty arrays sets it to 0."""


@st.composite
def shapes(draw: st.DrawFn, min_dims: int = 0, max_dims: int = 3, max_size: int = 6) -> tuple[int, ...]:
    """Shapes with `min_dims` to `max_dims` axes of length 1 to 3, and at most `max_size` entries."""
    every = chain.from_iterable(product(range(SHORTEST, 4), repeat=n) for n in range(min_dims, max_dims + 1))
    return draw(st.sampled_from([shape for shape in every if math.prod(shape) <= max_size]))


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
    """An array of uniform random numbers."""
    return np.random.default_rng(draw(SEEDS)).uniform(low, high, shape)


@st.composite
def well_separated(draw: st.DrawFn, *some_shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Arrays whose entries all differ by 0.15 or more, and from 0, 0.4 and -0.4 by 0.07: no kink is near."""
    random = np.random.default_rng(draw(SEEDS))
    ends = np.cumsum([math.prod(shape) for shape in some_shapes])
    grid = 0.2 * (np.arange(ends[-1]) - ends[-1] // 2) + 0.1 + random.uniform(-0.02, 0.02, ends[-1])
    parts = np.split(random.permutation(grid), ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, some_shapes, strict=True)]
