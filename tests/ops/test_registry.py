"""What every operation of the engine must satisfy, and that the tests would notice if it did not.

Each test module of this folder has a table `CASES`: for the name of an operation, a strategy that draws calls of it.
The laws below are tested on every line of these tables. An operation that is in no table fails here, and so does one
whose cases let a derivative, or a reference formula, through that is wrong by a thousandth.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import PRIMITIVES as REGISTERED
from minigen.autograd import Primitive, Tensor, raw
from minigen.backend import Device
from minigen.testing import Case, check_derivatives, check_mutants, check_same_on, mutants, strategies
from minigen.testing.checks import everything, first_derivatives
from minigen.testing.strategies import Cases


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
WITHOUT_DERIVATIVES = {*ops.comparisons.__all__, "argmax", "argmin", "all", "any"}
STEPS = {"sign", "floor", "round"}
"""Operations whose derivative is 0."""
FUSED = [name for name, p in PRIMITIVES.items() if p.reference is not None]

# -- no operation is forgotten -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*PRIMITIVES, *ops.__all__} - WITHOUT_DERIVATIVES))
def test_every_operation_has_cases(name: str) -> None:
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


# -- options by position -----------------------------------------------------------------------------------------------

IMAGE, KERNEL = np.random.default_rng(0).normal(size=(1, 2, 6, 6)), np.random.default_rng(1).normal(size=(2, 2, 2, 2))
TORCH_ORDER: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "leaky_relu": ((IMAGE,), {"negative_slope": 0.2}),
    "clip": ((IMAGE,), {"min": -0.5, "max": 0.5}),
    "softmax": ((IMAGE,), {"axis": 1}),
    "log_softmax": ((IMAGE,), {"axis": 1}),
    "sum": ((IMAGE,), {"axis": 1, "keepdims": True}),
    "mean": ((IMAGE,), {"axis": (1, 2), "keepdims": True}),
    "prod": ((IMAGE,), {"axis": 1, "keepdims": True}),
    "cumsum": ((IMAGE,), {"axis": 1}),
    "logsumexp": ((IMAGE,), {"axis": 1, "keepdims": True}),
    "argmax": ((IMAGE,), {"axis": 1, "keepdims": True}),
    "all": ((IMAGE,), {"axis": 1, "keepdims": True}),
    "concat": (([IMAGE, IMAGE],), {"axis": 1}),
    "stack": (([IMAGE, IMAGE],), {"axis": 1}),
    "split": ((IMAGE,), {"indices_or_sections": 2, "axis": 2}),
    "tril": ((IMAGE,), {"k": 1}),
    "swapaxes": ((IMAGE,), {"axis1": 1, "axis2": 2}),
    "repeat": ((IMAGE,), {"repeats": 2, "axis": 1}),
    "conv2d": ((IMAGE, KERNEL[:, :1], None), {"stride": 1, "padding": 2, "dilation": (2, 1), "groups": 2}),
    "conv_transpose2d": (
        (IMAGE, KERNEL[:, :1], None),
        {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2, "dilation": (1, 2)},
    ),
    "max_pool2d": ((IMAGE,), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "avg_pool2d": ((IMAGE,), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "layer_norm": ((IMAGE,), {"normalized_shape": (6,), "weight": IMAGE[0, 0, 0], "bias": None, "eps": 0.1}),
    "dropout": ((IMAGE,), {"p": 0.5, "training": False}),
}


@pytest.mark.parametrize("name", TORCH_ORDER)
def test_options_may_be_given_by_position_in_the_order_of_pytorch(name: str) -> None:
    """Or by name; on arrays and on tensors."""
    (first, *others), options = TORCH_ORDER[name]
    operation = getattr(ops, name)
    as_tensors = [Tensor(x) for x in first] if isinstance(first, list) else Tensor(first)
    expected = operation(first, *others, **options)
    for x in (first, as_tensors):
        for given_by_position in range(len(options) + 1):
            names = list(options)
            positions = [options[key] for key in names[:given_by_position]]
            result = operation(x, *others, *positions, **{key: options[key] for key in names[given_by_position:]})
            np.testing.assert_array_equal(np.asarray(raw(result)), np.asarray(expected))


def test_too_many_options_are_refused() -> None:
    for call in (lambda: ops.concat([IMAGE], 1, 2), lambda: ops.stack([IMAGE], 1, axis=1)):
        with pytest.raises(TypeError, match=r"^(concat|stack): too many arguments; expects \(arrays, axis\)"):
            call()


def test_an_option_of_another_name_is_told_ours() -> None:
    x = Tensor(IMAGE)
    for call in (lambda: x.sum(dim=1), lambda: ops.sum(x, dim=1), lambda: ops.prod(x, dim=1)):
        with pytest.raises(TypeError, match=r"^(sum|prod): .*'dim'; expects \(x, axis, keepdims\)"):
            call()


# -- the laws ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_derivatives(name: str, data: st.DataObject) -> None:
    check_derivatives(*data.draw(CASES[name]))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, about means of nothing
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_computes_on_empty_arrays_can_be_differentiated(
    name: str, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any size that the forward pass accepts, to second order; its values are NaN where nothing is averaged."""
    monkeypatch.setattr(strategies, "SHORTEST", 0)
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
def test_a_gpu_computes_the_same(name: str, data: st.DataObject, gpu_standin: Device) -> None:
    check_same_on(gpu_standin, *data.draw(CASES[name]))


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


def law(name: str) -> Callable[[], None]:
    """The law of the derivatives for the cases of an operation, which are the same in every run."""

    examples = max(25, settings.default.max_examples)  # also where there is a card

    @settings(
        max_examples=examples, phases=[Phase.generate], database=None, derandomize=True, report_multiple_bugs=False
    )
    @given(case=CASES[name])
    def check(case: Case) -> None:
        check_derivatives(*case)

    return check


@pytest.mark.parametrize("name", [name for name, p in PRIMITIVES.items() if p.rules and name not in STEPS])
def test_a_wrong_derivative_is_noticed(name: str) -> None:
    check_mutants(law(name), name)


@pytest.mark.parametrize("name", STEPS)
def test_a_derivative_that_should_be_zero_is_noticed(name: str) -> None:
    """The faults above do not change it."""
    with mutants.replaced_derivative(name, "x", lambda g: 0.001 * g), pytest.raises(AssertionError):
        law(name)()


@pytest.mark.parametrize("name", FUSED)
def test_a_reference_formula_that_is_wrong_by_a_thousandth_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right: Any = PRIMITIVES[name].reference
    wrong = wraps(right)(lambda *arguments, **options: a_thousandth_more(right(*arguments, **options)))
    monkeypatch.setattr(PRIMITIVES[name], "reference", wrong)
    with pytest.raises(AssertionError):
        law(name)()
