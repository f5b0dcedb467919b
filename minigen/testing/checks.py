"""Checks of derivatives: a `Case` is a call, and what must hold for every call of an operation stands below.

A test draws cases with hypothesis (see `strategies`) and calls one check for each law.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

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
