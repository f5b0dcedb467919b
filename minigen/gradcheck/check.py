"""The comparison of derivatives with central differences, for given inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigen.autograd import Tensor, tensor
from minigen.backend import is_array, to_numpy
from minigen.gradcheck.hints import kink, off_record, origin
from minigen.gradcheck.projection import Precision, Projection, along_directions


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
            fn, leaves = along_directions(fn, leaves, seed)
        _check(fn, leaves, names, order, Precision(step, rtol, atol), seed)
    return True


def _check(
    fn: Callable[..., Any], leaves: list[Tensor], names: list[str], order: int, precision: Precision, seed: int
) -> None:
    """`gradcheck` for inputs that are leaves."""
    projection = Projection(fn, leaves, names, precision, seed)
    value = projection.value()
    if not math.isfinite(value):
        raise ValueError(f"gradcheck: the function gives {value} for these inputs{origin(projection.value)}")
    if projection.value() != value:
        raise ValueError("gradcheck: two calls of the function with the same inputs disagree; fix its random numbers")
    _compare(projection, create_graph=False)
    if order == 1:
        return
    # Under create_graph the backward pass goes through other code: fused operations take their reference formulas.
    _compare(projection, create_graph=True)
    seeds = [Tensor(v.data, requires_grad=True) for v in projection.cotangents]
    if not projection.first_derivatives(*leaves, *seeds):
        return
    names = [*names, *(f"cotangent {i}" for i in range(len(seeds)))]
    try:
        _check(projection.first_derivatives, [*leaves, *seeds], names, order - 1, precision, seed + 1)
    except GradcheckError as error:
        raise GradcheckError(f"in the derivative of the derivative: {error}{off_record(projection)}") from None


def _compare(projection: Projection, create_graph: bool) -> None:
    """Raise `GradcheckError` where the gradient of an input is most wrong, if it is."""
    for fault in projection.faults(create_graph):
        if math.isfinite(fault.analytic):
            why = kink(projection, fault)
        else:
            why = origin(lambda: projection.gradients(create_graph))
        named = zip(projection.names, projection.leaves, strict=True)
        shown = "".join(f"\n  {name} = {to_numpy(x.data)!r}" for name, x in named)
        name, size = projection.names[fault.i], projection.leaves[fault.i].data.size
        raise GradcheckError(
            f"the gradient of {name} is wrong, most at {list(fault.worst)}: the backward pass gives "
            f"{fault.analytic:.10g}, central differences give {fault.numeric:.10g} ({fault.entries} of {size} entries "
            f"are off by more than {fault.allowed:.3g}){why}{shown}"
        )


def as_leaves(inputs: Any) -> list[Tensor]:
    """One input, or a sequence of them, as new leaves, as `gradcheck` takes them; `TypeError` for what it does not."""
    return [_leaf(i, x) for i, x in enumerate(inputs if isinstance(inputs, list | tuple) else [inputs])]


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
