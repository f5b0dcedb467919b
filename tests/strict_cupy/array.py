"""The strict array: `cupy.ndarray` around a NumPy array, with no way to NumPy but `get`, `item`, `tolist` and `float`.

Here is what an array is: its memory, its conversions to the host, its indices. `module` adds the methods and operators
that are functions of CuPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType, SimpleNamespace
from typing import Any, NamedTuple, NoReturn

import numpy as np

from strict_cupy.costs import indexing, overlapping
from strict_cupy.counting import Device, download, launch, recorded, upload
from strict_cupy.tables import ARRAY, ARRAY_OR_SCALAR, SCALARS_TOO, SEQUENCE_OF_ARRAYS


class Flags(NamedTuple):
    """`ndarray.flags`; CuPy's arrays have no `writeable`."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool


class ndarray:
    """`cupy.ndarray` on the device number `device_id`; `base` is the array that a view is of."""

    __slots__ = ("__weakref__", "_array", "_device_id", "base")
    __array_priority__ = 100
    __array_ufunc__ = None  # NumPy's ufuncs refuse the array, and NumPy's operators leave the work to its own
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: np.ndarray, device_id: int, base: ndarray | None = None) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError("cupy.ndarray: the stand-in makes arrays with empty, zeros, asarray ...")
        if array.dtype.char not in "?bBhHiIlLqQefdFD":  # no strings, no objects, no long double
            raise ValueError(f"Unsupported dtype {array.dtype}")
        self._array, self._device_id, self.base = array, device_id, base

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cupy.ndarray.{name} is not in the stand-in: see first whether CuPy has it")

    # -- memory and layout: no launch ----------------------------------------------------------------------------

    dtype = property(lambda self: self._array.dtype)
    itemsize = property(lambda self: self._array.itemsize)
    nbytes = property(lambda self: self._array.nbytes)
    ndim = property(lambda self: self._array.ndim)
    shape = property(lambda self: self._array.shape)
    size = property(lambda self: self._array.size)
    strides = property(lambda self: self._array.strides)
    device = property(lambda self: Device(self._device_id))
    data = property(lambda self: SimpleNamespace(ptr=self._array.ctypes.data))
    T = property(lambda self: self._view(self._array.T))
    mT = property(lambda self: self._view(self._array.swapaxes(-1, -2)))
    real = property(lambda self: self._view(self._array.real))

    @property
    def flags(self) -> Flags:
        flags = self._array.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, self.base is None)

    def _view(self, array: np.ndarray) -> ndarray:
        return ndarray(array, self._device_id, self if self.base is None else self.base)

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[ndarray]:
        return (self[i] for i in range(len(self)))

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    # -- to the host: each waits for the device ------------------------------------------------------------------

    def get(self) -> np.ndarray:
        if not (self.flags.c_contiguous or self.flags.f_contiguous):
            launch("get", [], kernels=1)  # a contiguous copy on the device
        download()
        return self._array.copy()

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
        raise TypeError(f"numpy.{function.__name__} got a cupy.ndarray; take the function from array_module(x)")

    # -- indexing ------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> ndarray:
        index, arrays = self._index(key)
        if not arrays:
            return self._view(self._array[index])
        launch("getitem", [self, *arrays], indexing(arrays))
        return recorded(lambda: ndarray(np.array(self._array[self._parts(key)[0]], order="C"), self._device_id), [])

    def __setitem__(self, key: Any, value: Any) -> None:
        check_argument("setitem", "value", value)
        index, arrays = self._index(key)
        values = [value] if isinstance(value, ndarray) else []
        if not arrays and values and _same_memory(self._array[index], value._array):
            return  # the end of `x[i] += y`
        if arrays:
            launch("setitem", [self, *arrays, *values], indexing(arrays))
            upload(1 - len(values))  # a number becomes an array
        else:
            launch("setitem", [self, *values], 1 + overlapping(values, self._view(self._array[index])))

        def write() -> None:
            self._array[self._parts(key)[0]] = value._array if values else value

        recorded(write, [self._array])
        if arrays and values:
            refuse_lost_writes("setitem", self._array[index], value._array)

    def _index(self, key: Any) -> tuple[tuple[Any, ...], list[ndarray]]:
        """`key` as NumPy takes it, and the arrays of the device in it."""
        index, arrays = self._parts(key)
        if any(k.dtype == bool for k in arrays):
            download()  # only the device knows how many elements a mask chooses
        return index, arrays

    def _parts(self, key: Any) -> tuple[tuple[Any, ...], list[ndarray]]:
        keys = key if isinstance(key, tuple) else (key,)
        for k in keys:
            if isinstance(k, bool) or not isinstance(k, ndarray | slice | int | np.integer | EllipsisType | None):
                raise TypeError(f"cupy.ndarray: index with cupy.ndarray, slices and integers, not with {type(k)}")
        arrays = [k for k in keys if isinstance(k, ndarray)]
        if not any(k is Ellipsis for k in keys):
            keys = (*keys, Ellipsis)  # with it, x[0, 0] is a 0-d array
        rest = self.ndim - sum(_axes_of(k) for k in keys if k is not Ellipsis)
        index, axis = [], 0
        for k in keys:
            index.append(_wrapped(k, self.shape[axis] if axis < self.ndim else 0))
            axis += rest if k is Ellipsis else _axes_of(k)
        return tuple(index), arrays


for _convert in (bool, int, float, complex, repr, str):
    setattr(ndarray, f"__{_convert.__name__}__", lambda self, convert=_convert: convert(self.get()))


def _axes_of(k: Any) -> int:
    """How many axes of an array one part of an index is for."""
    return k.ndim if isinstance(k, ndarray) and k.dtype == bool else int(k is not None)


def _wrapped(k: Any, length: int) -> Any:
    """A part of an index, for NumPy. Integers out of bounds in an array wrap around, as in CuPy's kernels."""
    if not isinstance(k, ndarray):
        return k
    return k._array.astype(np.int64) % length if k.dtype.kind in "iu" and length > 0 else k._array


def _same_memory(a: np.ndarray, b: np.ndarray) -> bool:
    return (a.ctypes.data, a.shape, a.strides) == (b.ctypes.data, b.shape, b.strides)


def refuse_lost_writes(name: str, found: np.ndarray, written: np.ndarray) -> None:
    """Raise if different values were written to one place: on a device, which of them stays is left to chance."""
    if not np.array_equal(found, np.broadcast_to(written.astype(found.dtype), found.shape), equal_nan=True):
        raise ValueError(f"{name}: an index is repeated with different values; which one stays is undefined in CuPy")


def check_argument(name: str, parameter: str, value: Any) -> None:
    """Refuse what CuPy's function `name` does not take as its argument `parameter`: arrays of NumPy, lists, strings."""
    scalar = isinstance(value, bool | int | float | complex | np.generic)
    if (name in SCALARS_TOO and scalar) or (name == "clip" and value is None):
        return
    if parameter in SEQUENCE_OF_ARRAYS:
        for x in value:
            check_argument(name, "a", x)
    elif not isinstance(value, ndarray) and (parameter in ARRAY or (parameter in ARRAY_OR_SCALAR and not scalar)):
        raise TypeError(f"{name}: Unsupported type {type(value)} for {parameter}; CuPy takes its own arrays")
