"""What every operation of the engine must satisfy, and that the tests would notice if it did not.

Each test module of this folder has a table `CASES`: for the name of an operation, a strategy that draws calls of it.
The laws below are tested on every line of these tables. An operation that is in no table fails here, and so does one
whose cases let a derivative, or a reference formula, through that is wrong by a thousandth.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import checks
import mutants
import numpy as np
import pytest
from checks import Case, Cases, check_derivatives, check_float32, check_same_on, everything, first_derivatives
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from minigen import ops
from minigen.autograd import PRIMITIVES as REGISTERED
from minigen.autograd import Primitive
from minigen.backend import Device


def gather() -> Cases:
    """The tables of all test modules as one."""
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

# -- no operation is forgotten -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PRIMITIVES.keys() - WITHOUT_DERIVATIVES))
def test_every_primitive_has_cases(name: str) -> None:
    assert name in CASES, f"{name} is in no CASES table of tests/ops: give it a strategy there"


def test_no_table_names_an_operation_that_is_gone() -> None:
    assert sorted(CASES.keys() - PRIMITIVES.keys() - {*ops.__all__}) == []


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_has_derivatives_or_is_known_to_have_none(name: str) -> None:
    assert bool(PRIMITIVES[name].rules) == (name not in WITHOUT_DERIVATIVES)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_says_what_it_does(name: str) -> None:
    assert name.startswith("_") or (PRIMITIVES[name].__doc__ or "").strip()


def test_what_ops_imports_is_what_it_offers() -> None:
    imported = {name for name, x in vars(ops).items() if callable(x) and not name.startswith("_")}
    assert imported == {*ops.__all__}


@pytest.mark.parametrize("name", ops.__all__)
def test_every_public_operation_says_what_it_does_and_is_the_registered_one(name: str) -> None:
    operation = getattr(ops, name)
    assert (operation.__doc__ or "").strip()
    assert not isinstance(operation, Primitive) or PRIMITIVES[name] is operation


# -- the laws ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_first_and_second_derivatives_agree_with_central_differences(name: str, data: st.DataObject) -> None:
    check_derivatives(data.draw(CASES[name]))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, about means of nothing
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_computes_on_empty_arrays_can_be_differentiated(
    name: str, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any size that the forward pass accepts, to second order; its values are NaN where nothing is averaged."""
    monkeypatch.setattr(checks, "SHORTEST", 0)
    case = data.draw(CASES[name])
    try:
        case(case.tensors())
    except ValueError:  # no largest of nothing
        return
    inputs = [x for x in case.tensors() if x.requires_grad]
    shapes = [x.shape for x in inputs]
    assert [g.shape for g in first_derivatives(case)] == shapes
    assert [g.shape for g in first_derivatives(case, create_graph=True)] == shapes
    everything(case)


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_float32_stays_float32(name: str, data: st.DataObject) -> None:
    check_float32(data.draw(CASES[name]))


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_a_gpu_computes_the_same(name: str, data: st.DataObject, gpu_standin: Device) -> None:
    check_same_on(gpu_standin, data.draw(CASES[name]))


@contextmanager
def reference_in_place_of_fused(name: str) -> Iterator[None]:
    """The reference formula as the forward computation, on the same arrays."""
    primitive = PRIMITIVES[name]
    fused, reference = primitive.forward, primitive.reference
    assert reference is not None

    def forward(*args: Any, **kwargs: Any) -> Any:
        result = reference(*args, **kwargs)
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
def test_a_fused_operation_agrees_with_its_reference_formula(name: str, data: st.DataObject) -> None:
    """Values and gradients; under `create_graph` the gradients are those of the reference formula."""
    case = data.draw(CASES[name])
    fused = [*case(case.tensors()), *first_derivatives(case)]
    with reference_in_place_of_fused(name):
        reference = case(case.tensors())
    reference = [*reference, *first_derivatives(case, create_graph=True)]
    for x, y in zip(fused, reference, strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-10, atol=1e-12)


# -- the laws would notice ---------------------------------------------------------------------------------------------


def a_thousandth_more(result: Any) -> Any:
    return type(result)(r * 1.001 for r in result) if isinstance(result, tuple | list) else result * 1.001


def notices(case: Case) -> bool:
    try:
        check_derivatives(case)
    except AssertionError:
        return True
    return False


def some_case_notices(name: str) -> bool:
    """Whether the law of the derivatives, as it is run above, would fail now."""
    try:
        find(CASES[name], notices, settings=settings(phases=[Phase.generate], database=None, derandomize=True))
    except NoSuchExample:
        return False
    return True


@pytest.mark.parametrize(("name", "argument"), RULES)
def test_a_derivative_that_is_wrong_by_a_thousandth_is_noticed(name: str, argument: str) -> None:
    mutant = mutants.changed_derivative(name, argument, a_thousandth_more)
    if name == "sign":  # its derivative is 0, and so is 1.001 times that
        mutant = mutants.replaced_derivative(name, argument, lambda g: 0.001 * g)
    with mutant:
        assert some_case_notices(name), f"no case of {name} notices that the derivative for {argument} is wrong"


@pytest.mark.parametrize("name", FUSED)
def test_a_reference_formula_that_is_wrong_by_a_thousandth_is_noticed(name: str) -> None:
    with mutants.changed_reference(name, a_thousandth_more):
        assert some_case_notices(name), f"no case of {name} notices that its reference formula is wrong"
