"""What must hold for every differentiable function and every layer, checked at the inputs that are given.

check_derivatives   first and second derivatives, no NaN or infinity, float32, every memory layout
check_module        the same for a layer or a model, in training and in evaluation mode
check_same_on       the same values and derivatives on another device
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigen.autograd import Tensor, grad
from minigen.autograd.primitives import identity
from minigen.backend import Array, Device, array_module, as_array, default_dtype, device
from minigen.gradcheck import as_leaves, gradcheck
from minigen.gradcheck.projection import as_tuple
from minigen.nn import Module, Parameter
from minigen.random import separate_random

# -- a call and its derivatives ----------------------------------------------------------------------------------------


def _every_other(x: Array) -> Array:
    return array_module(x).repeat(x, 2, -1)[..., ::2] if x.ndim else x


LAYOUTS: list[Callable[[Array], Array]] = [
    lambda x: x,
    lambda x: x.T.copy().T,
    lambda x: array_module(x).flip(array_module(x).flip(x).copy()),
    _every_other,
]
"""The same values in memory that is contiguous, transposed, reversed, or every other element of something longer."""


class Case(NamedTuple):
    """A call of a function, as a strategy draws it; `check_derivatives(*case)` checks it."""

    fn: Callable[..., Any]
    inputs: Any

    def tensors(self, dtype: str = "float64", layout: int = 0) -> list[Tensor]:
        """The inputs as leaves on the current device, each floating-point input in another memory layout."""
        put = device().asarray
        leaves = []
        for i, x in enumerate(as_leaves(self.inputs)):
            if x.dtype.kind == "f":
                lay_out = LAYOUTS[(layout + i) % len(LAYOUTS)] if layout else LAYOUTS[0]
                leaves.append(Tensor(as_array(lay_out(put(x.data, dtype))), x.requires_grad))
            else:
                leaves.append(Tensor(put(x.data)))
        return leaves

    def __call__(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return as_tuple(self.fn(*tensors))


def cotangents(outputs: Sequence[Tensor], seed: int = 0) -> list[Tensor]:
    """A random cotangent for each output, which requires gradients itself."""
    random = np.random.default_rng(seed)
    return [Tensor(y.device.asarray(random.standard_normal(y.shape), y.dtype), True) for y in outputs]


def first_derivatives(case: Case, dtype: str = "float64", create_graph: bool = False) -> list[Tensor]:
    """The gradients of the inputs along random cotangents, without those of inputs that are not used."""
    return _first(case, case.tensors(dtype), create_graph)[1]


def everything(case: Case, layout: int = 0) -> list[Tensor]:
    """The outputs, the gradients, and the gradients of those with respect to the inputs and the cotangents."""
    inputs = case.tensors(layout=layout)
    outputs, first, wanted = _first(case, inputs, create_graph=True)
    recorded = [g for g in first if g.requires_grad]
    second = grad(recorded, wanted, cotangents(recorded, seed=1), allow_unused=True)
    return [*outputs, *first, *(g for g in second if g is not None)]


def _first(case: Case, inputs: list[Tensor], create_graph: bool) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The outputs, the gradients of the inputs, and with respect to what these can be differentiated again."""
    outputs = case(inputs)
    recorded = [y for y in outputs if y.requires_grad]
    wanted, seeds = [x for x in inputs if x.requires_grad], cotangents(recorded)
    gradients = grad(recorded, wanted, seeds, create_graph=create_graph, allow_unused=True)
    return list(outputs), [g for g in gradients if g is not None], [*wanted, *seeds]


# -- functions ---------------------------------------------------------------------------------------------------------


def check_derivatives(fn: Callable[..., Any], inputs: Any, *, every_entry: bool = True) -> None:
    """Check what must hold for every differentiable function, at these inputs; `AssertionError` says what does not.

    - First and second derivatives agree with central differences.
    - No operation divides by zero, overflows or computes a NaN on the way, as far as NumPy notices.
    - float32 stays float32: values, gradients, and gradients under `create_graph`.
    - The memory layout of an input changes nothing: contiguous, transposed, reversed, every other element.

    `fn`, `inputs` and `every_entry` are those of `gradcheck`, and so are the errors for what it does not take.
    """
    case = Case(fn, inputs)
    gradcheck(fn, case.tensors(), order=2, every_entry=every_entry)
    check_layouts(case)
    check_float32(case)


def check_float32(case: Case) -> None:
    """float32 in, float32 out: values, gradients, gradients under `create_graph`."""
    for what, results in {
        "values": case(case.tensors("float32")),
        "gradients": first_derivatives(case, "float32"),
        "gradients under create_graph": first_derivatives(case, "float32", create_graph=True),
    }.items():
        for x in results:
            if x.dtype.kind == "f" and x.dtype != np.float32:
                raise AssertionError(f"float32 does not stay float32: the {what} are {x.dtype}")


def check_layouts(case: Case) -> None:
    """Inputs with other memory layouts give the same values and derivatives, without a division by zero or the like."""
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            expected, *others = [everything(case, layout) for layout in range(len(LAYOUTS))]
    except FloatingPointError as error:
        raise AssertionError(f"not a number or infinite on the way: {error}") from error
    for other in others:
        _agree(other, expected, "other memory layouts of the inputs give other results")


def check_same_on(target: str | Device, fn: Callable[..., Any], inputs: Any) -> None:
    """Check that values, first and second derivatives on the device `target` are those on the current device.

    `fn` is a function of tensors; or a module, whose parameters are then moved too.
    """
    case = module_case(fn, *as_leaves(inputs)) if isinstance(fn, Module) else Case(fn, inputs)
    here = everything(case)
    with device(target) as there:
        results = everything(case)
    if any(y.device != there for y in results):
        raise AssertionError(f"a result is not on {there}")
    _agree(results, here, f"other results on {there}")


def _agree(actual: list[Tensor], expected: list[Tensor], otherwise: str) -> None:
    for x, y in zip(actual, expected, strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-9, atol=1e-12, err_msg=otherwise)


# -- layers and models -------------------------------------------------------------------------------------------------


def check_module(module: Module, *inputs: Any, method: str = "__call__") -> None:
    """Check `module(*inputs)`, or another method, as `check_derivatives` does, in training and in evaluation mode.

    The derivatives are those with respect to every parameter and every floating-point input. Each is checked along one
    random direction, so that a large layer takes as few calls as a small one. Copies of the module in float64 and in
    float32 are called, always with the same random numbers; the module itself stays as it is.

    >>> check_module(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()), np.random.rand(2, 1, 4, 4))
    >>> check_module(VAE((1, 8, 8)), np.random.randint(0, 2, (4, 1, 8, 8)), method="loss")
    """
    for training in (True, False):
        case = module_case(module, *inputs, method=method, training=training)
        try:
            check_derivatives(*case, every_entry=False)
        except AssertionError as error:
            names = ", ".join(name for name, _ in module.named_parameters())
            mode = "training" if training else "evaluation"
            raise AssertionError(f"{type(module).__name__} in {mode} mode, by [{names}, *inputs]: {error}") from error


def module_case(module: Module, *inputs: Any, method: str = "__call__", training: bool | None = None) -> Case:
    """The call `module(*inputs)` as a function of the module's parameters and then the inputs.

    It calls a copy, whose parameters are the function's arguments, and whose buffers are copies.
    """
    parameters = list(module.parameters())
    buffers = [x for _, x in module.named_tensors() if not isinstance(x, Parameter)]

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        like = next(x for x in tensors if x.dtype.kind == "f")
        in_place_of: dict[int, Any] = {id(p): _as_parameter(x) for p, x in zip(parameters, tensors, strict=False)}
        for x in buffers:
            data = like.device.asarray(x.data, like.dtype if x.dtype.kind == "f" else x.dtype)
            in_place_of[id(x)] = Tensor(data.copy())
        called = copy.deepcopy(module, in_place_of)
        if training is not None:
            called.train(training)
        with separate_random(0), default_dtype(like.dtype):
            return tuple(_flat(getattr(called, method)(*tensors[len(parameters) :])))

    return Case(function, [*(p.data for p in parameters), *inputs])


def _as_parameter(x: Tensor) -> Parameter:
    """A parameter that hands its gradient on to `x`."""
    result = identity(x)
    result.__class__ = Parameter
    return result  # type: ignore[return-value]


def _flat(results: Any) -> Iterator[Tensor]:
    """The tensors of a result such as (outputs, (h, c))."""
    if isinstance(results, list | tuple):
        for result in results:
            yield from _flat(result)
    elif isinstance(results, Tensor):
        yield results
