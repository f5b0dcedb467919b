"""New tensors from a shape, named as in NumPy and PyTorch.

Those that take a shape take it as numbers or as one tuple: `zeros(2, 3)` or `zeros((2, 3))`. For all of them

    dtype            by default the default floating-point type, or that of the argument that the tensor is like
    device           by default the current one, or that of the argument that the tensor is like
    requires_grad    whether gradients are to flow to the tensor
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen import backend
from minigen.autograd.tensors import Tensor, raw
from minigen.backend import Device, Shape, current_dtype, is_array

Place = str | Device | None


def zeros(*shape: Any, dtype: Any = None, device: Place = None, requires_grad: bool = False) -> Tensor:
    """Zeros: `zeros(2, 3)`."""
    return full(_shape("zeros", shape), 0.0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones(*shape: Any, dtype: Any = None, device: Place = None, requires_grad: bool = False) -> Tensor:
    """Ones: `ones(2, 3)`."""
    return full(_shape("ones", shape), 1.0, dtype=dtype, device=device, requires_grad=requires_grad)


def full(
    shape: Any, fill_value: Any, *, dtype: Any = None, device: Place = None, requires_grad: bool = False
) -> Tensor:
    """One value everywhere: `full((2, 3), 0.5)`. Without a `dtype`, integers and booleans stay what they are."""
    shape = _shape("full", (shape,))
    with backend.device(device) as place:
        data = place.module.full(shape, fill_value, dtype=_dtype(dtype, fill_value))
    return Tensor(data, requires_grad)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Place = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... up to but without stop; `arange(n)` is 0 ... n - 1. Integers unless one is a float."""
    start, stop = (0, start) if stop is None else (start, stop)
    with backend.device(device) as place:
        data = place.module.arange(start, stop, step, dtype=_dtype(dtype, start + stop + step))
    return Tensor(data, requires_grad)


def rand(*shape: Any, dtype: Any = None, device: Place = None, requires_grad: bool = False) -> Tensor:
    """Random numbers, uniform in [0, 1): `rand(2, 3)`."""
    return Tensor(backend.uniform(_shape("rand", shape), dtype=dtype, device=device), requires_grad)


def randn(*shape: Any, dtype: Any = None, device: Place = None, requires_grad: bool = False) -> Tensor:
    """Random numbers, normal with mean 0 and standard deviation 1: `randn(2, 3)`."""
    return Tensor(backend.normal(_shape("randn", shape), dtype=dtype, device=device), requires_grad)


def zeros_like(x: Tensor, *, dtype: Any = None, device: Place = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape, dtype and device of x."""
    return zeros(x.shape, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, device: Place = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, dtype and device of x."""
    return ones(x.shape, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)


def one_hot(labels: Any, classes: int) -> Tensor:
    """Integers (N,) as rows (N, classes) with a single 1. `ValueError` for other labels than 0 ... classes - 1."""
    labels = raw(labels)
    labels = labels if is_array(labels) else backend.device().asarray(labels)
    integers = labels.ndim == 1 and labels.dtype.kind in "iu"
    if not integers or (labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < classes):
        raise ValueError(f"one_hot: takes integers (N,) in 0 ... {classes - 1}, got {labels.dtype} {labels.shape}")
    xp = backend.array_module(labels)
    return Tensor((labels[:, None] == xp.arange(classes)).astype(current_dtype()))


def _dtype(dtype: Any, value: Any) -> Any:
    """The dtype that was asked for; else the default one for a float, and for an integer or boolean its own."""
    own = np.asarray(value).dtype
    return dtype or (current_dtype() if own.kind == "f" else own)


def _shape(name: str, shape: tuple[Any, ...]) -> Shape:
    """Numbers, or one tuple of them, as a shape."""
    lengths = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in lengths):
        raise TypeError(f"{name}: expects a shape of integers from 0 up, such as {name}(2, 3), got {shape}")
    return lengths
