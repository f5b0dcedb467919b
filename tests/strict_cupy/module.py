"""The module `cupy`, put together: constants, ufuncs, functions, and the methods and operators of its arrays."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

import numpy as np
from numpy.lib import stride_tricks

from strict_cupy.array import ndarray
from strict_cupy.counting import DEVICE_COUNT, Device, Stream, current, download, launch, synchronise, upload
from strict_cupy.cublas import load
from strict_cupy.functions import function, offer, ufunc
from strict_cupy.kernels import ElementwiseKernel
from strict_cupy.tables import (
    COMPARISONS,
    CONSTANTS,
    FUNCTIONS,
    METHODS,
    OPERATORS,
    SHARED_METHODS,
    UFUNCS,
    UNARY_OPERATORS,
)


class StandIn(ModuleType):
    """A module with some members of CuPy's; the error for any other says that it may exist in CuPy."""

    def __init__(self, name: str, **members: Any) -> None:
        super().__init__(name)
        vars(self).update(members)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{self.__name__}.{name} is not in the stand-in: see first whether CuPy has it")


# -- between the host and the device -----------------------------------------------------------------------------------


def array(obj: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> ndarray:
    """From the host to the device; an array of the device is copied where `copy`, data type or device ask for it."""
    if isinstance(obj, list | tuple) and any(isinstance(x, ndarray) for x in obj):
        obj = cupy.stack(obj)
    if not isinstance(obj, ndarray):
        upload()
        return ndarray(np.array(obj, dtype=dtype, order=order), current.device_id)
    if obj._device_id != current.device_id:
        if not (obj.flags.c_contiguous or obj.flags.f_contiguous):
            raise NotImplementedError("CuPy cannot copy non-contiguous array between devices.")
        obj = ndarray(np.array(obj._array), current.device_id)
    return obj.astype(obj.dtype if dtype is None else dtype, order, copy=copy)


def asarray(a: Any, dtype: Any = None, order: str | None = None, *, copy: bool | None = None) -> ndarray:
    return array(a, dtype, bool(copy), order or "K")


def asnumpy(a: Any) -> np.ndarray:
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def get_array_module(*args: Any) -> ModuleType:
    return cupy if any(isinstance(x, ndarray) for x in args) else np


def as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    """A view that does not say whose: CuPy makes it from the address alone, without a base."""
    return ndarray(stride_tricks.as_strided(x._array, shape, strides), x._device_id)


def sliding_window_view(x: ndarray, window_shape: Any, axis: Any = None) -> ndarray:
    """CuPy checks the numbers in `window_shape` on the device, and reads the answers back."""
    upload()
    launch("sliding_window_view", [x], kernels=2)
    download()
    download()
    return ndarray(stride_tricks.sliding_window_view(x._array, window_shape, axis), x._device_id)


# -- the module and its submodules -------------------------------------------------------------------------------------

cupy = StandIn("cupy", ndarray=ndarray, ufunc=ufunc, ElementwiseKernel=ElementwiseKernel)
vars(cupy).update({name: getattr(np, name) for name in CONSTANTS})
vars(cupy).update({name: ufunc(name) for name in UFUNCS})
vars(cupy).update({name: function(name) for name in FUNCTIONS})
vars(cupy).update({f.__name__: f for f in (array, asarray, asnumpy, get_array_module)})

cupy.linalg = StandIn("cupy.linalg")
cupy.linalg.norm = offer("norm", "x, ord=None, axis=None, keepdims=False", np.linalg.norm)
cupy.lib = StandIn("cupy.lib", stride_tricks=StandIn("cupy.lib.stride_tricks"))
cupy.lib.stride_tricks.as_strided = as_strided
cupy.lib.stride_tricks.sliding_window_view = sliding_window_view
cupy.cuda = StandIn("cupy.cuda", Device=Device, is_available=lambda: True, runtime=StandIn("cupy.cuda.runtime"))
vars(cupy.cuda).update(Stream=Stream, MemoryPool=lambda: SimpleNamespace(malloc=None))
cupy.cuda.using_allocator = lambda malloc: nullcontext()
cupy.cuda.alloc = lambda size: SimpleNamespace(ptr=0)
cupy.cuda.runtime.getDeviceCount = lambda: DEVICE_COUNT
cupy.cuda.runtime.runtimeGetVersion = lambda: 13000
cupy.cuda.runtime.deviceSynchronize = synchronise


@contextmanager
def installed() -> Iterator[None]:
    """Inside the block, `import cupy` gives the stand-in, and `ctypes` its cuBLAS."""
    before = sys.modules.get("cupy")
    sys.modules["cupy"] = cupy
    try:
        with patch.object(ctypes, "CDLL", load):
            yield
    finally:
        del sys.modules["cupy"]
        if before is not None:
            sys.modules["cupy"] = before


# -- methods and operators of the arrays -------------------------------------------------------------------------------


def left_operand(compute: Callable[..., Any]) -> Callable[[ndarray, Any], Any]:
    """`x + other`, left to `other` where it asks for that in the way that CuPy honours."""

    def operator(self: ndarray, other: Any) -> Any:
        priority = getattr(other, "__array_priority__", 0)
        defers = other.__array_ufunc__ is None if hasattr(other, "__array_ufunc__") else priority > 100
        return NotImplemented if defers and not isinstance(other, ndarray) else compute(self, other)

    return operator


def right_operand(compute: Callable[..., Any]) -> Callable[[ndarray, Any], Any]:
    """`other + x`, where `other` does not know how."""
    return lambda self, other: compute(other, self)


def in_place(compute: Callable[..., Any]) -> Callable[[ndarray, Any], Any]:
    """`x += other`."""
    return lambda self, other: compute(self, other, out=self)


for _name in SHARED_METHODS:
    setattr(ndarray, _name, getattr(cupy, _name))
for _name, _parameters in METHODS.items():
    setattr(ndarray, _name, offer(_name, _parameters, getattr(np.ndarray, _name)))
for _name, _function in UNARY_OPERATORS.items():
    setattr(ndarray, f"__{_name}__", getattr(cupy, _function)._call)
for _name, _function in (OPERATORS | COMPARISONS).items():
    setattr(ndarray, f"__{_name}__", left_operand(getattr(cupy, _function)))
for _name, _function in OPERATORS.items():
    setattr(ndarray, f"__r{_name}__", right_operand(getattr(cupy, _function)))
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", in_place(getattr(cupy, _function)))
