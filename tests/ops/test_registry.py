"""No operation without its property test: every primitive of the engine is walked, and every rule is broken once.

Each test module of this folder has its strategies in `CASES`, by primitive. A primitive in none of them fails here, and
so does one whose cases let through a derivative, or a plain formula, that is wrong by a thousandth.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import Case, Cases, check_derivatives, first_derivatives
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from minigen import ops
from minigen.autograd import PRIMITIVES as REGISTERED
from minigen.autograd import Primitive

PUBLIC = """
add subtract multiply divide negative pow abs exp log log1p sqrt square maximum minimum clip where tanh sigmoid relu
leaky_relu softplus
sum mean max min var logsumexp softmax log_softmax
reshape permute_dims squeeze expand_dims broadcast_to concat stack split pad flip getitem
matmul linear conv2d conv_transpose2d masked_conv2d batch_norm lstm_cell dropout
cross_entropy binary_cross_entropy_with_logits mse_loss
"""


def gather() -> Cases:
    cases: Cases = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.name != Path(__file__).name:
            found = runpy.run_path(str(path)).get("CASES", {})
            assert not cases.keys() & found.keys(), f"{path.name}: cases that another module has too"
            cases.update(found)
    return cases


CASES = gather()
PRIMITIVES = {name: p for name, p in REGISTERED.items() if p.forward.__module__.startswith("minigen.")}
WITHOUT_DERIVATIVES = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
RULES = [(name, argument) for name, p in PRIMITIVES.items() for argument in p.rules]
FUSED = [name for name, p in PRIMITIVES.items() if p.reference is not None]

# -- completeness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PRIMITIVES.keys() - WITHOUT_DERIVATIVES))
def test_every_primitive_has_its_property_test(name: str) -> None:
    assert name in CASES, f"{name} is in no CASES table of tests/ops: give it a strategy there"


def test_no_table_names_a_primitive_that_is_gone() -> None:
    assert sorted(CASES.keys() - PRIMITIVES.keys()) == []


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_has_derivatives_or_is_known_to_have_none(name: str) -> None:
    assert bool(PRIMITIVES[name].rules) == (name not in WITHOUT_DERIVATIVES)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_public_primitive_says_what_it_does(name: str) -> None:
    assert name.startswith("_") or (PRIMITIVES[name].__doc__ or "").strip()


@pytest.mark.parametrize("name", sorted({*re.findall(r"\w+", PUBLIC), *ops.__all__}))
def test_every_public_operation_is_there(name: str) -> None:
    operation = getattr(ops, name)
    assert callable(operation)
    assert name in ops.__all__
    assert (operation.__doc__ or "").strip()
    assert not isinstance(operation, Primitive) or PRIMITIVES[name] is operation


# -- mutants -----------------------------------------------------------------------------------------------------------


@contextmanager
def broken_rule(name: str, argument: str) -> Iterator[None]:
    """1.001 times the derivative. The derivative of `sign` is 0 and remains so; there a thousandth of g is added."""
    rules = PRIMITIVES[name].rules
    rule = rules[argument]
    if name == "sign":
        broken: Callable[..., Any] = lambda g, *kept: rule.function(g, *kept) + 0.001 * g
    else:
        broken = lambda g, *kept: scaled(rule.function(g, *kept), argument)
    rules[argument] = rule._replace(function=broken)
    try:
        yield
    finally:
        rules[argument] = rule


def scaled(result: Any, argument: str) -> Any:
    """1.001 times what a derivative returns: a gradient, one for each of several arrays, or one for each argument."""
    if isinstance(result, dict):
        return {name: 1.001 * g if name == argument else g for name, g in result.items()}
    return [1.001 * g for g in result] if isinstance(result, list | tuple) else 1.001 * result


@contextmanager
def broken_plain_formula(name: str) -> Iterator[None]:
    primitive = PRIMITIVES[name]
    plain = primitive.reference
    assert plain is not None

    def broken(*args: Any, **kwargs: Any) -> Any:
        result = plain(*args, **kwargs)
        return tuple(r * 1.001 for r in result) if isinstance(result, tuple) else result * 1.001

    primitive.reference = broken
    try:
        yield
    finally:
        primitive.reference = plain


def notices(case: Case) -> bool:
    try:
        check_derivatives(case)
    except AssertionError:
        return True
    return False


def some_case_notices(name: str) -> bool:
    """Whether the property test of the primitive, as it is run, would fail now."""
    try:
        find(CASES[name], notices, settings=settings(phases=[Phase.generate], database=None, derandomize=True))
    except NoSuchExample:
        return False
    return True


@pytest.mark.parametrize(("name", "argument"), RULES)
def test_a_wrong_derivative_is_noticed(name: str, argument: str) -> None:
    with broken_rule(name, argument):
        assert some_case_notices(name), f"no case of {name} notices that the derivative for {argument} is wrong"


@pytest.mark.parametrize("name", FUSED)
def test_a_wrong_plain_formula_is_noticed(name: str) -> None:
    with broken_plain_formula(name):
        assert some_case_notices(name), f"no case of {name} notices that its plain formula is wrong"


# -- fused and plain ---------------------------------------------------------------------------------------------------


@contextmanager
def plain_instead_of_fused(name: str) -> Iterator[None]:
    """The plain formula as the forward computation, on the same arrays."""
    primitive = PRIMITIVES[name]
    fused, plain = primitive.forward, primitive.reference
    assert plain is not None

    def forward(*args: Any, **kwargs: Any) -> Any:
        result = plain(*args, **kwargs)
        if primitive.byproducts:
            result = (result, *fused(*args, **kwargs)[0][1:])
        return (result, *[None] * len(primitive.saves)) if primitive.saves else result

    primitive.forward = forward
    try:
        yield
    finally:
        primitive.forward = fused


@pytest.mark.parametrize("name", FUSED)
@given(data=st.data())
def test_fused_and_plain_agree(name: str, data: st.DataObject) -> None:
    """Values and gradients; under `create_graph` the gradients are those of the plain formula."""
    case = data.draw(CASES[name])
    fused = [*case(case.tensors()), *first_derivatives(case)]
    with plain_instead_of_fused(name):
        plain = case(case.tensors())
    plain = [*plain, *first_derivatives(case, create_graph=True)]
    for x, y in zip(fused, plain, strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-10, atol=1e-12)
