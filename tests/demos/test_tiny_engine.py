"""The engine on one screen computes what minigen computes, bit for bit, up to the third derivative."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import minigen
import tiny_engine
from minigen import ops
from minigen.testing.strategies import SEEDS

SHAPE = (2, 3)
LEAVES = [(), (3,), (2, 1), (1, 3), SHAPE]  # all of them broadcast
ARRAY, MATRIX = np.array([0.5, -1.5, 2.0]), np.array([[0.3, -0.7, 0.4], [1.1, 0.2, -0.6]])

FORMULAS: dict[str, Callable[..., Any]] = {  # of an engine and one or two values
    "add": lambda _, x, y: x + y,
    "subtract": lambda _, x, y: x - y,
    "multiply": lambda _, x, y: x * y,
    "divide": lambda _, x, y: x / (y * y + 1.0),
    "negative": lambda _, x: -x,
    "tanh": lambda engine, x: engine.tanh(x),
    "exp": lambda engine, x: engine.exp(engine.tanh(x)),
    "log": lambda engine, x: engine.log(x * x + 1.0),
    "sum": lambda engine, x: engine.total(x),
    "matmul": lambda engine, x: engine.wide(x) @ engine.transpose(engine.wide(x)) @ MATRIX,
    "constants": lambda engine, x: (ARRAY - 2.0 * x) * (1.0 - ARRAY * x) / (1.0 / (x * x + 2.0)),
}


def minigen_grad(output: Any, inputs: list) -> list:
    """`minigen.grad` with the signature and the conventions of `tiny_engine.grad`."""
    if not output.requires_grad:
        return [None] * len(inputs)
    seed = np.ones(output.shape)
    return list(minigen.grad(output, inputs, seed, create_graph=True, allow_unused=True))


TINY = SimpleNamespace(
    tensor=tiny_engine.Tensor,
    grad=tiny_engine.grad,
    tanh=tiny_engine.tanh,
    exp=tiny_engine.exp,
    log=tiny_engine.log,
    transpose=tiny_engine.transpose,
    wide=lambda x: tiny_engine.broadcast_to(x, SHAPE),
    total=lambda x: tiny_engine.sum_to(x, ()),
)
MINIGEN = SimpleNamespace(
    tensor=lambda data: minigen.Tensor(data, requires_grad=True),
    grad=minigen_grad,
    tanh=ops.tanh,
    exp=ops.exp,
    log=ops.log,
    transpose=ops.permute_dims,
    wide=lambda x: ops.broadcast_to(x, SHAPE),
    total=lambda x: ops.sum(x, tuple(range(x.ndim))),
)


def expressions() -> st.SearchStrategy:
    """The number of a leaf, or the name of a formula and its one or two parts."""
    binary, unary = (st.sampled_from([*FORMULAS][a:b]) for a, b in ((0, 4), (4, None)))
    grow = lambda parts: st.tuples(binary, parts, parts) | st.tuples(unary, parts)
    return grow(st.recursive(st.sampled_from(range(len(LEAVES))), grow, max_leaves=5))


def evaluate(engine: SimpleNamespace, expression: Any, leaves: list) -> Any:
    if isinstance(expression, int):
        return leaves[expression]
    name, *parts = expression
    return FORMULAS[name](engine, *[evaluate(engine, part, leaves) for part in parts])


def three_derivatives(engine: SimpleNamespace, expression: Any, seed: int) -> list[list]:
    """The value, the gradients, and twice more the gradients of a weighted sum of these, which mixes all leaves."""
    random = np.random.default_rng(seed)
    leaves = [engine.tensor(random.uniform(-1.5, 1.5, shape)) for shape in LEAVES]
    results = [[evaluate(engine, expression, leaves)]]
    for _ in range(3):
        parts = [engine.total(x * random.uniform(0.5, 1.5, x.shape)) for x in results[-1] if x is not None]
        results.append(engine.grad(sum(parts[1:], parts[0]), leaves) if parts else [])
    return results


@given(expression=expressions(), seed=SEEDS)
def test_its_derivatives_are_those_of_minigen(expression: Any, seed: int) -> None:
    """To the bit: both add in the same order."""
    tiny, ours = (three_derivatives(engine, expression, seed) for engine in (TINY, MINIGEN))
    for order, (xs, ys) in enumerate(zip(tiny, ours, strict=True)):
        for x, y in zip(xs, ys, strict=True):
            assert (x is None) == (y is None), order
            if x is not None:
                assert x.shape == y.shape
                np.testing.assert_array_equal(x.data, y.data, err_msg=f"order {order}")


def test_a_gradient_of_what_it_does_not_depend_on_is_none() -> None:
    x, y = tiny_engine.Tensor(2.0), tiny_engine.Tensor(3.0)
    assert tiny_engine.grad(x * x, [y, x])[0] is None


def test_it_learns_the_moons(run_demo: Callable, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """At least 99 % of the points; in the figure, most are on the side of their colour."""
    run_demo("tiny_engine", "--out", tmp_path)
    first, *_, last = re.findall(r"loss ([\d.]+), +([\d.]+)% correct", capsys.readouterr().out)
    assert float(last[1]) >= 99 and float(last[0]) < 0.1 * float(first[0])
    with Image.open(tmp_path / "two_moons.png") as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 50  # not a blank page


def test_it_fits_on_one_screen() -> None:
    source = Path(tiny_engine.__file__).read_text()
    assert len(source.splitlines()) <= 100 and "minigen" not in re.findall(r"^(?:import|from) (\w+)", source, re.M)
