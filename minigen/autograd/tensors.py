"""The tensor: an array that remembers how it was computed."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from minigen import backend
from minigen.autograd.modes import MODE
from minigen.autograd.operators import OTHER_NAMES, PRIMITIVES, Operators
from minigen.backend import Array, Device, Shape, current_dtype, device, device_of, is_array, to_numpy

if TYPE_CHECKING:
    from minigen.autograd.tape import Node


class Tensor(Operators):
    """An array (`data`, of NumPy or CuPy, not copied) that remembers how it was computed.

    After `backward`, `grad` holds the gradient as another tensor. Only floating-point tensors require gradients.
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_node", "_output", "_requires_grad", "_version")

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        if not is_array(data):
            raise TypeError(f"Tensor: expects an array, got {type(data).__name__}; `tensor(...)` converts")
        self._data = data
        self._grad: Tensor | None = None
        self._node: Node | None = None  # the operation that made this tensor, None for a leaf
        self._output = 0  # which of that operation's outputs this is
        self._version = [0]  # how often the memory was written to; shared with its views
        self.requires_grad = requires_grad

    @property
    def data(self) -> Array:
        """The raw array. The tape notices `x.data = y` and `x.data -= y`, but not `x.data[0] = y`: write `x[0] = y`."""
        return self._data

    @data.setter
    def data(self, value: Array) -> None:
        if value is not self._data:
            expected = f"{self.shape} {self.dtype} on {self.device}"
            got = f"{value.shape} {value.dtype} on {device_of(value)}" if is_array(value) else type(value).__name__
            if got != expected:
                raise ValueError(f"data: expects an array {expected}, got {got}")
        self._data = value
        self._version[0] += 1

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` computed, or None; assign None to clear it."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"grad: expects a tensor or None, got {value!r}")
        if value is not None and (value.shape, value.device) != (self.shape, self.device):
            raise ValueError(
                f"grad: expects {self.shape} on {self.device}, as the tensor is, got {value.shape} on {value.device}"
            )
        self._grad = value

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for this tensor; may be set on a leaf."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._data.dtype.kind != "f":
            raise TypeError(f"requires_grad: only floating-point tensors have gradients, this one is {self.dtype}")
        if not value and self._node is not None:
            raise RuntimeError("requires_grad: only a leaf can switch it off; `detach()` gives a tensor without it")
        self._requires_grad = bool(value)

    @property
    def shape(self) -> Shape:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    @property
    def device(self) -> Device:
        return device_of(self._data)

    def backward(self, grad: Any = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor to `grad` of every leaf that it was computed from.

        `grad`: the gradient with respect to this tensor, of its shape; may be left out for a single number. The
        record is freed unless `retain_graph`. `RuntimeError` if no leaf requires gradients, or the record was freed.
        """
        if self._node is not None:
            self._node.backward(self, grad, retain_graph)
        elif self._requires_grad:
            raise RuntimeError("backward: this tensor is a leaf, which was not computed from anything")
        else:
            raise RuntimeError("backward: this tensor was not computed from anything that requires gradients")

    def detach(self) -> Tensor:
        """A tensor of the same array without a record, so that no gradients flow through it."""
        result = Tensor(self._data)
        result._version = self._version
        return result

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array: the memory itself on a CPU, a copy from a GPU."""
        return to_numpy(self._data)

    def item(self) -> Any:
        """The value of a single-element tensor as a Python number."""
        return self._data.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; a single number without axes."""
        return self.numpy().tolist()

    def to(self, target: str | Device) -> Tensor:
        """This tensor on another device."""
        target = device(target)
        source = self.device
        return self if target == source else PRIMITIVES["to_device"](self, target=target, source=source)

    def __reduce__(self) -> tuple[Any, ...]:
        """`pickle` and `copy.deepcopy` restore a leaf with its data, requires_grad and grad."""
        if self._node is not None:
            raise TypeError(
                f"a result of {self._node.primitive.name} cannot be copied or pickled together with the record of how "
                "it was computed: use `x.detach()`"
            )
        return type(self), (self._data, self._requires_grad), (None, {"grad": self._grad})

    def __copy__(self) -> Tensor:
        return deepcopy(self)  # a shallow copy would share memory, but not the version

    def __setitem__(self, index: Any, value: Any) -> None:
        if MODE.get().recording and (self._requires_grad or (isinstance(value, Tensor) and value._requires_grad)):
            raise RuntimeError(
                "an in-place write to a tensor that requires gradients, or of one: use `ops.where`, or `no_grad()`"
            )
        index = tuple(map(raw, index)) if isinstance(index, tuple) else raw(index)
        self._data[index] = raw(value)
        self._version[0] += 1

    def _write_result(self, name: str, sign: str, other: Any) -> Tensor:
        """`self += other` and the like."""
        if MODE.get().recording and (self._requires_grad or (isinstance(other, Tensor) and other._requires_grad)):
            raise RuntimeError(
                f"x {sign}= y changes a tensor in place, which cannot be recorded: write x = x {sign} y, or update "
                "parameters inside `with no_grad():`"
            )
        result = PRIMITIVES[name](self.detach(), raw(other))
        if (result.shape, result.dtype) != (self.shape, self.dtype):
            raise ValueError(
                f"x {sign}= y: x is {self.shape} {self.dtype} but the result {result.shape} {result.dtype}"
            )
        self._data[...] = result._data
        self._version[0] += 1
        return self

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: a tensor without axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        return float(self._data)

    def __int__(self) -> int:
        return int(self._data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's functions accept tensors that do not require gradients, as arrays."""
        found: list[Tensor] = []
        args, kwargs = _as_arrays(args, found), _as_arrays(kwargs, found)
        if any(x._requires_grad for x in found) and function.__name__ not in ("shape", "ndim", "size"):
            name = OTHER_NAMES.get(function.__name__, function.__name__)
            instead = f"`minigen.ops.{name}`" if name in PRIMITIVES else "`minigen.ops`"
            raise TypeError(
                f"np.{function.__name__}: cannot be recorded for a tensor that requires gradients; use {instead}, or "
                "`x.detach()` if no gradient is needed"
            )
        return function(*args, **kwargs)

    def __format__(self, spec: str) -> str:
        """`f"{loss:.3f}"`: the value of a single-element tensor."""
        if spec and self.size != 1:
            raise TypeError(f"format: expects a tensor of one element for {spec!r}, got {self.shape}")
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", precision=4, threshold=40, prefix="tensor(")
        notes = [f", dtype={self.dtype}"] if self.dtype != np.float32 else []
        notes += [f", device={str(self.device)!r}"] if str(self.device) != "cpu" else []
        notes += [f", made by {self._node.primitive.name}"] if self._node else []
        notes += [", requires_grad=True"] if self._requires_grad and not self._node else []
        return f"tensor({values}{''.join(notes)})"


def tensor(values: Any, dtype: Any = None, device: str | Device | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `values`: numbers, nested lists, or an array.

    Without a `dtype`, an array keeps its own and Python's floats take the default (float32). It goes to `device`,
    by default the current one.
    """
    if isinstance(values, Tensor):
        values = values._data
    if not is_array(values):
        kind = np.asarray(values).dtype.kind
        if kind not in "biuf":
            raise TypeError(f"tensor: expects numbers, nested lists of numbers or an array, got {values!r}")
        dtype = current_dtype() if dtype is None and kind == "f" else dtype
    data = backend.device(device).asarray(values, dtype=dtype)
    return Tensor(data.copy() if is_array(values) else data, requires_grad)


def made(data: Array, node: Node | None, output: int, viewed: Any) -> Tensor:
    """The tensor that an operation made: output number `output` of `node`, perhaps a view of the tensor `viewed`."""
    result = Tensor.__new__(Tensor)  # without the checks of __init__, since this is called at every operation
    result._data, result._grad = data, None
    result._node, result._output, result._requires_grad = node, output, node is not None
    is_view = isinstance(viewed, Tensor) and (data is viewed._data or data.base is not None)
    result._version = viewed._version if is_view else [0]
    return result


def _as_arrays(x: Any, found: list[Tensor]) -> Any:
    """Arguments with NumPy arrays in place of the tensors in them, which are added to `found`."""
    if isinstance(x, Tensor):
        found.append(x)
        return x.numpy()
    if isinstance(x, list | tuple):
        return type(x)(_as_arrays(part, found) for part in x)
    return {name: _as_arrays(part, found) for name, part in x.items()} if isinstance(x, dict) else x


def raw(x: Any) -> Any:
    """A tensor's array; anything else as it is."""
    return x._data if isinstance(x, Tensor) else x
