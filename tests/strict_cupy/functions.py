"""From a line of `tables` to a function: CuPy's signature and manners outside, NumPy's function of that name inside.

A call binds its arguments to CuPy's signature, refuses those that CuPy refuses, computes with NumPy on the host, wraps
the result as an array of the device, and counts the launch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from strict_cupy.array import check_argument, ndarray, refuse_lost_writes
from strict_cupy.costs import cost, indexing, overlapping
from strict_cupy.counting import current, download, launch, recorded, refuse_in_capture, upload
from strict_cupy.tables import (
    CUBLAS,
    FUNCTIONS,
    HOST_RESULT,
    KEEPS_ORDER,
    MAY_BE_AN_ARRAY,
    NO_LAUNCH,
    REDUCTIONS,
    SCATTERS,
    SYNCHRONISES,
    UFUNCS,
)


def function(name: str) -> Callable[..., Any]:
    """CuPy's function `name`, with the signature that the table has."""
    return offer(name, FUNCTIONS[name], COMPUTE.get(name) or getattr(np, name))


def offer(name: str, parameters: str, compute: Callable[..., Any]) -> Callable[..., Any]:
    """CuPy's function `name(parameters)`, computed by the NumPy function `compute`."""
    signature = inspect.signature(eval(f"lambda {parameters}: None"))

    def offered(*args: Any, **kwargs: Any) -> Any:
        try:
            arguments = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{name}: {error}; CuPy has {name}{signature}") from None
        positional, keywords, inputs = _for_numpy(name, signature, arguments)
        if name in REDUCTIONS and inputs:
            _refuse_axis(name, inputs[0].ndim, arguments.get("axis"))
        if name in CUBLAS:
            refuse_in_capture("cuBLAS is called by CuPy")

        def kernel() -> Any:
            with np.errstate(all="ignore"):  # a GPU does not warn
                result = compute(*positional, **keywords)
            return result if name in HOST_RESULT else _to_device(name, result, inputs)

        result = recorded(kernel, [x._array for x in inputs])
        if name in HOST_RESULT:
            return result
        if name in SYNCHRONISES or (name == "where" and len(arguments) == 1):
            download()
        if name not in NO_LAUNCH and (keywords.get("out") is not None or not _is_view(result, inputs)):
            kernels, uploads = cost(name, inputs, result, arguments)
            if name in UFUNCS and arguments.get("out") is not None:
                kernels += overlapping(inputs[:-1], result)
            launch(name, inputs, kernels)
            upload(uploads)
        return result

    offered.__name__ = offered.__qualname__ = name
    offered.__signature__ = signature  # type: ignore[attr-defined]
    return offered


def _refuse_axis(name: str, ndim: int, axis: Any) -> None:
    """Refuse an axis that is not there. NumPy lets an array without axes have the axes 0 and -1."""
    for number in () if axis is None else axis if isinstance(axis, tuple) else (axis,):
        if not -ndim <= number < ndim:
            if name in ("std", "var"):
                raise IndexError("tuple index out of range")
            raise np.exceptions.AxisError(number, ndim)


# -- from the device to NumPy and back ---------------------------------------------------------------------------------


def _for_numpy(
    name: str, signature: inspect.Signature, arguments: dict[str, Any]
) -> tuple[list[Any], dict[str, Any], list[ndarray]]:
    """The arguments for NumPy, by position and by name, and the arrays of the device among them.

    What has a default goes by name, because the two libraries do not have it at the same position.
    """
    positional, keywords, inputs = [], {}, list[ndarray]()
    for key, value in arguments.items():
        parameter = signature.parameters[key]
        if value is not parameter.default:
            check_argument(name, key, value)
        before = len(inputs)
        host = _to_host(name, value, inputs)
        if len(inputs) > before and key not in MAY_BE_AN_ARRAY:
            raise TypeError(f"{name}: {key} takes no cupy.ndarray (such an array has no __index__)")
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional.extend(host)
        elif parameter.kind is parameter.VAR_KEYWORD:
            keywords.update(host)
        elif parameter.default is parameter.empty:
            positional.append(host)
        else:
            keywords[key] = host
    return positional, keywords, inputs


def _to_host(name: str, value: Any, inputs: list[ndarray]) -> Any:
    """The NumPy value under an argument; the arrays of the device are added to `inputs`."""
    if isinstance(value, ndarray):
        inputs.append(value)
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(f"{name}: Unsupported type {type(value)}: move it to the device with asarray first")
    if isinstance(value, list | tuple):
        return type(value)(_to_host(name, v, inputs) for v in value)
    return value


def _to_device(name: str, result: Any, inputs: list[ndarray]) -> Any:
    """The result of a NumPy function as arrays of the device: one of `inputs`, a view of it or a new array."""
    if isinstance(result, list | tuple):
        return type(result)(_to_device(name, r, inputs) for r in result)
    if not isinstance(result, np.ndarray | np.generic | bool | int):
        return result
    for x in inputs:
        if result is x._array:
            return x
        if isinstance(result, np.ndarray) and np.may_share_memory(result, x._array):
            return x._view(result)
    array = np.asarray(result) if name in KEEPS_ORDER else np.asarray(result, order="C")
    return ndarray(array, current.device_id)


def _is_view(result: Any, inputs: list[ndarray]) -> bool:
    """Whether nothing was computed: `result` is one of `inputs` or a view of it, or a list of these."""
    if isinstance(result, list | tuple):
        return all(_is_view(r, inputs) for r in result)
    return isinstance(result, ndarray) and (result.base is not None or any(result is x for x in inputs))


# -- where NumPy's function of the same name would not do --------------------------------------------------------------


def _broadcast_to(array: Any, shape: Any) -> Any:
    """CuPy's results can be written to; here those in which nothing is repeated."""
    result = np.broadcast_to(array, shape)
    result.flags.writeable = array.flags.writeable and result.size == array.size
    return result


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    return np.where(condition) if x is None and y is None else np.where(condition, x, y)


def _put_along_axis(array: Any, indices: Any, values: Any, axis: int) -> None:
    indices = indices % array.shape[axis]
    np.put_along_axis(array, indices, values, axis)
    refuse_lost_writes("put_along_axis", np.take_along_axis(array, indices, axis), np.asarray(values))


def _split(cut: Callable[..., Any]) -> Callable[..., Any]:
    def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
        parts = cut(ary, indices_or_sections, axis)
        return [ary] if len(parts) == 1 else parts

    return split


def _squeeze(a: Any, axis: Any = None) -> Any:
    result = np.squeeze(a, axis)
    return a if result.ndim == a.ndim else result


def _take_along_axis(a: Any, indices: Any, axis: int | None) -> Any:
    return np.take_along_axis(a, indices % (a.size if axis is None else a.shape[axis]), axis)


COMPUTE: dict[str, Callable[..., Any]] = {
    "broadcast_to": _broadcast_to,
    "array_split": _split(np.array_split),
    "ascontiguousarray": lambda a, dtype=None: np.asarray(a, dtype=dtype, order="C"),
    "astype": lambda x, dtype, copy=True: x.astype(dtype, copy=copy),
    "put_along_axis": _put_along_axis,
    "split": _split(np.split),
    "squeeze": _squeeze,
    "take": lambda a, indices, **kwargs: np.take(a, indices, mode="wrap", **kwargs),
    "take_along_axis": _take_along_axis,
    "where": _where,
}

# -- ufuncs ------------------------------------------------------------------------------------------------------------


class ufunc:
    """`cupy.ufunc`. No `where=`, no `initial=`; `at` only where CUDA has an atomic operation for it."""

    def __init__(self, name: str) -> None:
        self.name, self.__name__, self._numpy = name, name, getattr(np, name)
        self.nin = self._numpy.nin
        operands = "x" if self.nin == 1 else "x1, x2"
        parameters = f"{operands}, /, out=None, *, dtype=None, casting='same_kind'"
        self._call = offer(name, parameters, self._numpy)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.name}'>"

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        """Unbuffered `a[indices] = self(a[indices], b)`: a repeated index counts each time.

        Two floats or more for one place are refused: CUDA's threads would add them in an order left to chance.
        """
        if self.name not in SCATTERS:
            raise NotImplementedError(f"`cupy_{self.name}.at` is not supported yet")
        check_argument(f"{self.name}.at", "a", a)
        check_argument(f"{self.name}.at", "value", b)
        index, arrays = a._index(indices)
        if any(k.dtype != bool for k in arrays) and a.dtype.name not in SCATTERS[self.name]:
            raise TypeError(f"{self.name}.at: takes {sorted(SCATTERS[self.name])}, got {a.dtype}")
        values = [b] if isinstance(b, ndarray) else []
        launch(f"{self.name}.at", [a, *arrays, *values], indexing(arrays))
        upload(1 - len(values))  # a number becomes an array
        added = np.asarray(b._array if values else b).astype(a.dtype)
        if self.name in ("add", "subtract") and a.dtype.kind == "f":
            _refuse_sums_in_any_order(self.name, a, index, added)
        recorded(lambda: self._numpy.at(a._array, index, added), [a._array])

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        if self.name not in ("add", "multiply"):
            raise NotImplementedError(f"`cupy_{self.name}.reduce` is not supported yet")
        return function("sum" if self.name == "add" else "prod")(array, axis, dtype, out, keepdims)


def _refuse_sums_in_any_order(name: str, a: ndarray, index: Any, added: np.ndarray) -> None:
    counts = np.zeros(a.shape, int)
    np.add.at(counts, index, added != 0)
    if (counts > 1).any():
        raise ValueError(f"{name}.at: several floats are added to one place, in an order that varies from run to run")
