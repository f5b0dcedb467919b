"""The only file that tells NumPy and CuPy apart: devices, transfers and data types.

Everything above finds its array module from its arguments (`array_module(x).tanh(x)`), so the same line runs on
a CPU and on a GPU. CuPy is imported when a GPU is first asked for, and never before.
"""

from __future__ import annotations

import ctypes
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np

Array = Any  # a numpy.ndarray or a cupy.ndarray
Shape = tuple[int, ...]

_CUPY_HELP = 'install it with `pip install "minigen[gpu]"` (CUDA 12) or `pip install "minigen[gpu-cuda13]"`'


# -- devices ---------------------------------------------------------------------------------------------------


class Device:
    """A place where arrays live. Made by `device("cpu")`, `device("gpu")` or `device("gpu:1")`.

    As a context manager it is the current device, on which new tensors and parameters are made:
    `with device("gpu"): model = VAE(...)`. A second card computes inside such a block only; `train.train`, optimizers
    and a model's `sample` enter the device of their parameters themselves.
    """

    def __init__(self, name: str, module: Any, index: int | None) -> None:
        self.name, self.module, self.index = name, module, index

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """`x` as an array on this device; copied only if it has to be."""
        if self.index is None:
            return np.asarray(to_numpy(x), dtype=dtype)
        if is_array(x) and device_of(x) not in (_CPU, self):
            with x.device:  # from card to card, CuPy copies only what is contiguous
                x = self.module.ascontiguousarray(x)
        with self.module.cuda.Device(self.index):
            return self.module.asarray(x, dtype=dtype)

    def __enter__(self) -> Device:
        cuda = nullcontext() if self.index is None else self.module.cuda.Device(self.index)
        cuda.__enter__()
        _entered.set((*_entered.get(), (self, cuda)))
        return self

    def __exit__(self, *error: object) -> None:
        *before, (_, cuda) = _entered.get()
        _entered.set(tuple(before))
        cuda.__exit__(*error)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.name, self.module) == (other.name, other.module)

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"device({self.name!r})"


_CPU = Device("cpu", np, None)

# Context variables, here and below: each thread has its own, so that two threads may train two models.
_entered: ContextVar[tuple[tuple[Device, Any], ...]] = ContextVar("devices entered", default=())


def device(name: str | Device | None = None) -> Device:
    """The device called `name`: "cpu", "gpu" or "gpu:1"; without a name, the current default device.

    Raises `ValueError` for another name, and `RuntimeError` that says what is missing if no GPU can be used.
    """
    if name is None:
        return _entered.get()[-1][0] if _entered.get() else _CPU
    if isinstance(name, Device):
        return name
    if name == "cpu":
        return _CPU
    match = re.fullmatch(r"gpu(?::(\d+))?", name) if isinstance(name, str) else None
    if match is None:
        raise ValueError(f'device: expects "cpu", "gpu" or "gpu:N" with N the number of the card, got {name!r}')
    cupy = _usable_cupy()
    index, count = int(match[1] or 0), cupy.cuda.runtime.getDeviceCount()
    if index >= count:
        raise RuntimeError(f"device: {name!r} asked for, but this machine has {count} GPU(s), numbered from 0")
    return Device(f"gpu:{index}", cupy, index)


def _usable_cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(f"device: a GPU needs CuPy, which is not installed; {_CUPY_HELP}") from error
    if not cupy.cuda.is_available():
        try:
            count = cupy.cuda.runtime.getDeviceCount()
            reason = f"the driver reports {count} devices"
        except Exception as error:
            reason = str(error) or type(error).__name__
        raise RuntimeError(
            f"device: CuPy is installed but finds no usable GPU ({reason}); it needs an NVIDIA card and a driver "
            "for the CUDA version CuPy was built for (`nvidia-smi` shows both)"
        )
    _check_that_it_computes(cupy)
    return cupy


@cache
def _check_that_it_computes(cupy: Any) -> None:
    """Add and multiply two small matrices: CuPy looks for CUDA's libraries when it first needs them."""
    try:
        x = cupy.ones((2, 2), dtype=np.float32)
        (x @ x + x).get()
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise RuntimeError(
            f"device: CuPy finds a GPU but cannot compute on it ({reason}); if CUDA's libraries are missing, "
            f"{_CUPY_HELP}, which brings them along"
        ) from error


def array_module(*values: Any) -> Any:
    """The module that arrays belong to: `cupy` if one of the values is an array of CuPy, otherwise `numpy`."""
    cupy = sys.modules.get("cupy")
    if cupy is not None:
        for x in values:  # every operation asks this several times, and a loop takes a third of what `any` takes
            if isinstance(x, cupy.ndarray):
                return cupy
    return np


def is_array(x: Any) -> bool:
    """Whether `x` is an array of NumPy or CuPy (Python and NumPy scalars are not)."""
    return isinstance(x, np.ndarray) or array_module(x) is not np


def as_array(x: Any) -> Array:
    """`x` as an array: NumPy turns results without axes into scalars."""
    return np.asarray(x) if isinstance(x, np.generic) else x


def on_host(x: Any) -> bool:
    """Whether the values of `x` can be read without waiting for a GPU to compute them."""
    return array_module(x) is np


def arrays_among(values: Iterable[Any]) -> list[Array]:
    """Those of the values that are arrays."""
    return [x for x in values if isinstance(x, np.ndarray) or is_array(x)]


def on_one_device(arrays: list[Array]) -> bool:
    """Whether all these arrays live on the same device."""
    on_cpu = [type(x) is np.ndarray for x in arrays]  # fast, since every operation asks this
    return False not in on_cpu or len({device_of(x) for x in arrays}) == 1


def device_of(x: Array) -> Device:
    """The device on which the array `x` lives."""
    module = array_module(x)
    return _CPU if module is np else Device(f"gpu:{x.device.id}", module, x.device.id)


def to_numpy(x: Any) -> np.ndarray:
    """`x` as a NumPy array; from a GPU, this waits for the values and copies them."""
    module = array_module(x)
    return np.asarray(x) if module is np else module.asnumpy(x)


def waiting() -> Callable[[], None]:
    """A function that waits until the current GPU has done its work; it does nothing if there is no GPU in use."""
    cupy = sys.modules.get("cupy")
    if cupy is None or not cupy.cuda.is_available():
        return lambda: None
    return cupy.cuda.Device().synchronize


# -- data types ------------------------------------------------------------------------------------------------

_default_dtype: ContextVar[np.dtype] = ContextVar("default dtype", default=np.dtype("float32"))  # noqa: B039


def current_dtype() -> np.dtype:
    """The floating-point type of new tensors and parameters, float32 unless `default_dtype` changed it."""
    return _default_dtype.get()


@contextmanager
def default_dtype(dtype: Any) -> Iterator[None]:
    """Make new tensors and parameters of this floating-point type inside the block; `TypeError` for other types.

    >>> with default_dtype("float64"):
    ...     model = VAE((1, 28, 28))       # for a gradient check
    """
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"default_dtype: expects a floating-point type, got {dtype}")
    token = _default_dtype.set(dtype)
    try:
        yield
    finally:
        _default_dtype.reset(token)


def floating(x: Any) -> Any:
    """Integers and booleans in the default floating-point type, anything else as it is.

    NumPy would turn uint8 into float16, where exp(12) is infinite, and would subtract in uint8, where 0 - 1 is 255.
    """
    return x.astype(current_dtype()) if is_array(x) and x.dtype.kind in "biu" else x


# -- what NumPy and CuPy do differently ---------------------------------------------------------------------------


multiplies: ContextVar[Callable[..., Array] | None] = ContextVar("what multiplies matrices", default=None)
"""A `matmul` in place of that of NumPy or CuPy, which `capture` needs."""


def matmul(x: Array, y: Array, out: Array | None = None) -> Array:
    """The product of matrices, of batches of them, or of vectors, as `numpy.matmul` defines it."""
    return (multiplies.get() or array_module(x).matmul)(x, y, out=out)


def add_at(out: Array, index: Any, values: Array) -> None:
    """out[index] += values, where integer arrays in `index` may name a place more than once.

    The order of the sums is fixed, so that every run gives the same bits. CuPy's `add.at` adds in the order in which a
    GPU's threads happen to run.
    """
    xp = array_module(out)
    if xp is np:
        np.add.at(out, index, values)
    elif is_array(index):  # rows of out: each is the sum of the values with its number, a product with a one-hot matrix
        row_size = math.prod(out.shape[1:])
        is_row = xp.arange(len(out))[:, None] == index.reshape(-1) % max(len(out), 1)
        sums = matmul(is_row.astype(values.dtype), values.reshape(index.size, row_size))
        out += sums.reshape(out.shape)
    else:
        places = xp.arange(out.size).reshape(out.shape)[index].reshape(-1)
        order = places.argsort()
        places, values = places[order], values.reshape(-1)[order]
        reach = 1
        while reach < len(places):  # adds the second, then two more, then four more ... of the values for one place
            same = places[reach:] == places[:-reach]
            values[:-reach] += xp.where(same, values[reach:], 0)
            reach *= 2
        first = xp.concatenate([places[:1] >= 0, places[1:] != places[:-1]])
        xp.add.at(out.reshape(-1), places, xp.where(first, values, 0))  # the order of adding zeros does not matter


# -- memory ------------------------------------------------------------------------------------------------------


def memory_order(x: Array) -> tuple[int, ...]:
    """The axes of `x` from the outermost in memory to the innermost: (0, 1, 2) in row-major memory."""
    return tuple(sorted(range(x.ndim), key=lambda axis: -x.strides[axis]))


def ordered(x: Array, order: tuple[int, ...]) -> Array:
    """`x` with its axes in this order in memory, and without gaps; copied if it is not so already."""
    moved = x.transpose(order)
    if moved.flags.c_contiguous:
        return x
    with device_of(x):
        return array_module(x).ascontiguousarray(moved).transpose([order.index(axis) for axis in range(x.ndim)])


def row_major(x: Array) -> Array:
    """`x` in row-major memory, copied if needed; `safetensors.numpy.save_file` expects it and does not check it."""
    return ordered(x, tuple(range(x.ndim)))


def flattened(x: Array, order: tuple[int, ...]) -> Array:
    """The numbers of `x` (n,) in the order of memory in which its axes have this order; a view if that is so."""
    return ordered(x, order).transpose(order).reshape(-1)


def blocks(x: Array) -> Iterator[slice]:
    """Slices that cover `x` flattened: on a CPU so short that a block stays in its cache."""
    length = 1 << 16 if isinstance(x, np.ndarray) else max(x.size, 1)
    return (slice(start, start + length) for start in range(0, x.size, length))


def working_memory(x: Array) -> int:
    """How many bytes to process at a time on the device of `x`: what fits a CPU's cache, or what keeps a GPU busy."""
    return 4 << 20 if isinstance(x, np.ndarray) else 512 << 20


def _keep_freed_memory() -> None:
    """Let glibc keep the memory of freed arrays for the next ones, in place of asking the system for it each time.

    The system hands out new memory page by page, each filled with zeros, when it is first written to: for the arrays of
    a training step that takes up to a third of its time. Other C libraries have no such setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(-4, 0)  # M_MMAP_MAX: large arrays come from the heap, too
    mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD: up to a gigabyte stays there


_keep_freed_memory()
