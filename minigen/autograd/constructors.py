"""New tensors from a shape, named as in NumPy and PyTorch.

A shape is given as numbers or as one tuple: `zeros(2, 3)` or `zeros((2, 3))`. The options are the same everywhere:

    dtype            the data type, by default the current floating-point type; for `zeros_like(x)`, that of x
    device           the device, by default the current one; for `zeros_like(x)`, that of x
    requires_grad    whether the tensor requires gradients
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen import backend
from minigen.autograd.tensors import Tensor, raw
from minigen.backend import Device, Shape, current_dtype, is_array
from minigen.random import normal, uniform

DeviceLike = str | Device | None


def zeros(*shape: Any, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: `zeros(2, 3)`."""
    return full(_shape("zeros", shape), 0.0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones(*shape: Any, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones: `ones(2, 3)`."""
    return full(_shape("ones", shape), 1.0, dtype=dtype, device=device, requires_grad=requires_grad)


def full(
    shape: Any, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """One value everywhere: `full((2, 3), 0.5)`. Without `dtype`, an integer or a boolean keeps its data type."""
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
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... before stop; `arange(n)` is 0 ... n - 1. Integers, unless an argument is a float."""
    start, stop = (0, start) if stop is None else (start, stop)
    with backend.device(device) as place:
        data = place.module.arange(start, stop, step, dtype=_dtype(dtype, start + stop + step))
    return Tensor(data, requires_grad)


def rand(*shape: Any, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Random numbers, uniform in [0, 1): `rand(2, 3)`."""
    return Tensor(uniform(_shape("rand", shape), dtype=dtype, device=device), requires_grad)


def randn(*shape: Any, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Random numbers, normal with mean 0 and standard deviation 1: `randn(2, 3)`."""
    return Tensor(normal(_shape("randn", shape), dtype=dtype, device=device), requires_grad)


def zeros_like(x: Tensor, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape, dtype and device of x."""
    return zeros(x.shape, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, dtype and device of x."""
    return ones(x.shape, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)


def one_hot(labels: Any, classes: int) -> Tensor:
    """Integer labels (N,) as rows (N, classes) with a single 1; `ValueError` for labels outside 0 ... classes - 1.

    On a GPU the labels are not looked at: one that is outside gives a row of zeros.
    """
    found = checked_labels("one_hot", labels, classes)
    labels = found if is_array(raw(labels)) else backend.device().asarray(found)
    xp = backend.array_module(labels)
    return Tensor((labels[:, None] == xp.arange(classes)).astype(current_dtype()))


def checked_labels(name: str, labels: Any, classes: int) -> backend.Array:
    """Labels as an array; `ValueError` unless they are integers (N,), on the host also in 0 ... classes - 1."""
    labels = raw(labels) if is_array(raw(labels)) else np.asarray(labels)
    integers = labels.ndim == 1 and labels.dtype.kind in "iu"
    known = backend.on_host(labels) and labels.size
    if not integers or (known and not 0 <= labels.min() <= labels.max() < classes):
        raise ValueError(f"{name}: expects integers (N,) in 0 ... {classes - 1}, got {labels.dtype} {labels.shape}")
    return labels


def _dtype(dtype: Any, value: Any) -> Any:
    """`dtype` if it is given; otherwise the current one for a float, and NumPy's for an integer or a boolean."""
    natural = np.asarray(value).dtype
    return dtype or (current_dtype() if natural.kind == "f" else natural)


def _shape(name: str, shape: tuple[Any, ...]) -> Shape:
    """Numbers, or one tuple of them, as a shape."""
    lengths = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in lengths):
        raise TypeError(f"{name}: expects a shape of integers from 0 up, such as {name}(2, 3), got {shape}")
    return lengths
