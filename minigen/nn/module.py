"""The module: parameters, and the computation that uses them.

A module's parameters, buffers (tensors that are state but are not trained) and submodules are its attributes, or the
items of a list that is an attribute. Names and shapes are those of the equivalent PyTorch module, so that each library
loads the weights that the other saved.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from weakref import ref

import numpy as np

from minigen.autograd import Tensor, no_grad, raw
from minigen.autograd.modes import MODULE
from minigen.backend import Array, Device, device, is_array, memory_order, ordered, row_major, to_numpy


class Parameter(Tensor):
    """A tensor that is trained; its memory has no gaps, so that optimizers may flatten it."""

    __slots__ = ()

    def __init__(self, data: Array, requires_grad: bool = True) -> None:
        super().__init__(ordered(data, memory_order(data)), requires_grad)


class Module:
    """Base class of everything with parameters. A subclass sets attributes in `__init__` and writes `forward`."""

    training = True
    frozen = False
    _made_with: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the arguments, so that a weights file can say how to make the module again."""
        module = super().__new__(cls)
        module._made_with = {"args": args, "kwargs": kwargs}  # in a dictionary, so that they are not members
        return module

    def __init__(self) -> None:
        """Accept no arguments; `__new__` alone would accept any."""

    def arguments(self) -> dict[str, Any]:
        """The arguments that this module was made with, by name, including defaults."""
        bound = inspect.signature(type(self).__init__).bind(self, *self._made_with["args"], **self._made_with["kwargs"])
        bound.apply_defaults()
        return {name: x for name, x in bound.arguments.items() if name != "self"}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; called by `module(...)`."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = MODULE.set(ref(self))  # the operations inside remember whose they are
        try:
            return self.forward(*args, **kwargs)
        finally:
            MODULE.reset(token)

    # -- what it is made of ------------------------------------------------------------------------------------------

    def _members(self) -> Iterator[tuple[str, Any]]:
        """(name, value) of every attribute; the items of a list or tuple are numbered, such as "layers.0"."""
        for name, x in vars(self).items():
            if isinstance(x, list | tuple):
                yield from _flattened(name, x)
            else:
                yield name, x

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of every module directly in this one."""
        return ((name, x) for name, x in self._members() if isinstance(x, Module))

    def modules(self) -> Iterator[Module]:
        """This module and all modules within it."""
        yield self
        for _, child in self.children():
            yield from child.modules()

    def _tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """(full name, tensor) of every tensor in this module and within."""
        for name, x in self._members():
            if isinstance(x, Tensor):
                yield prefix + name, x
            elif isinstance(x, Module):
                yield from x._tensors(f"{prefix}{name}.")

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) of every parameter and buffer, such as ("0.weight", ...); one that is shared comes once."""
        seen: set[int] = set()
        for name, x in self._tensors():
            if id(x) not in seen:
                seen.add(id(x))
                yield name, x

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, parameter) of every parameter."""
        return ((name, x) for name, x in self.named_tensors() if isinstance(x, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter."""
        return (x for _, x in self.named_parameters())

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module within, then on this one, for example to initialise them."""
        for _, child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """PyTorch's form of `self.name = tensor`: a buffer is a tensor attribute that is not a parameter.

        `TypeError` for anything else; `ValueError` if there is an attribute of that name already.
        """
        if not isinstance(tensor, Tensor) or isinstance(tensor, Parameter):
            raise TypeError(f"register_buffer: expects a tensor that is not a parameter, got {type(tensor).__name__}")
        if hasattr(self, name):
            raise ValueError(f"register_buffer: {type(self).__name__} has an attribute {name!r} already")
        setattr(self, name, tensor)

    # -- changing it -------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode: batch normalisation uses the batch's statistics, dropout sets values to 0."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode: batch normalisation uses the running statistics, dropout does nothing."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Set the parameters' gradients to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters require gradients."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def to(self, target: str | Device) -> Self:
        """Move every tensor to a device and clear the gradients; call it before an optimizer makes its state."""
        target = device(target)
        for _, x in self._tensors():
            x._data, x.grad = target.asarray(x._data), None
        return self

    def astype(self, dtype: Any) -> Self:
        """Convert every floating-point tensor and clear the gradients; call it before an optimizer makes its state.

        Gradients are checked in float64:

        >>> layer = nn.Linear(3, 2).astype("float64")
        >>> gradcheck(layer, np.ones((4, 3)))
        """
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"{type(self).__name__}.astype: expects a floating-point dtype, got {np.dtype(dtype)}")
        for _, x in self._tensors():
            if x.dtype.kind == "f":
                x._data, x.grad = x._data.astype(dtype), None
        return self

    @property
    def device(self) -> Device:
        """The device of the first parameter; the current one if there is none."""
        first = next(self.parameters(), None)
        return device() if first is None else first.device

    # -- saving and loading ------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """Every parameter and buffer by name, in row-major memory: copies only where that is not their own."""
        return {name: row_major(x.data) for name, x in self._tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy values in from a `state_dict`. `ValueError`, with nothing changed, if names, shapes or kinds differ."""
        load_arrays(dict(self._tensors()), state, type(self).__name__)

    def __repr__(self) -> str:
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.children()]
        return f"{type(self).__name__}({self.extra_repr()}" + ("\n" + "\n".join(lines) + "\n" if lines else "") + ")"

    def extra_repr(self) -> str:
        """The settings that `repr` shows."""
        return ""


def _flattened(name: str, x: Any) -> Iterator[tuple[str, Any]]:
    """(name, x) itself, or (name.0, x[0]), (name.1, x[1]), ... of a list or tuple."""
    if isinstance(x, list | tuple):
        for i, item in enumerate(x):
            yield from _flattened(f"{name}.{i}", item)
    else:
        yield name, x


def load_arrays(own: Mapping[str, Tensor], state: Mapping[str, Any], owner: str) -> None:
    """Copy `state` into the tensors of the same names; `ValueError`, before anything is changed, if it does not fit."""
    problems = [f"{name} is missing" for name in own if name not in state]
    problems += [f"{name} is not known" for name in state if name not in own]
    values = {}
    for name in own.keys() & state.keys():
        value = raw(state[name])
        value = values[name] = value if is_array(value) else np.asarray(value)
        x = own[name]
        if value.shape != x.shape or value.dtype.kind != x.dtype.kind:
            problems.append(f"{name}: expects {x.shape} {x.dtype}, got {value.shape} {value.dtype}")
        if isinstance(x.data, np.ndarray) and not x.data.flags.writeable:
            problems.append(f"{name} is in memory that cannot be written")
    if problems:
        shown = "; ".join(sorted(problems)[:8]) + ("; ..." if len(problems) > 8 else "")
        raise ValueError(f"{owner}: the state does not fit ({len(problems)} problems), nothing was changed: {shown}")
    converted = {name: x.device.asarray(to_numpy(values[name]), dtype=x.dtype) for name, x in own.items()}
    with no_grad():
        for name, x in own.items():
            x[...] = converted[name]


class Lambda(Module):
    """A function without parameters as a module; `Sequential` wraps functions such as `ops.tanh` in it."""

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        self.fn = fn

    def forward(self, x: Any) -> Any:
        return self.fn(x)

    def extra_repr(self) -> str:
        return getattr(self.fn, "__name__", None) or repr(self.fn)


class Sequential(Module):
    """Modules, or functions of one argument, applied one after the other. `TypeError` if a layer is neither.

    >>> nn.Sequential(nn.Linear(784, 400), ops.relu, nn.Linear(400, 10))
    """

    def __init__(self, *layers: Module | Callable[[Any], Any]) -> None:
        for layer in layers:
            self.append(layer)

    def append(self, layer: Module | Callable[[Any], Any]) -> Self:
        """Add a layer at the end."""
        if isinstance(layer, type) or not callable(layer):  # the class nn.ReLU is not a layer, nn.ReLU() is one
            raise TypeError(
                f"{type(self).__name__}: expects modules and functions, such as nn.ReLU() or ops.relu; "
                f"got {layer!r} as layer {len(self)}"
            )
        setattr(self, str(len(self)), layer if isinstance(layer, Module) else Lambda(layer))
        return self

    def forward(self, x: Any) -> Any:
        for _, module in self.children():
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.children())

    def __getitem__(self, index: int) -> Module:
        return list(self)[index]


class ModuleList(Sequential):
    """A list of modules with `append` and a `repr`; a module's attribute can also be a plain list of modules."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(*modules)

    def forward(self, x: Any) -> Any:
        raise NotImplementedError("ModuleList is only a list; Sequential applies its modules in order")


@contextmanager
def evaluating(module: Module) -> Iterator[None]:
    """Inside the block the module is in evaluation mode, and its device is the current one; then all is as before."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with module.device:
            yield
    finally:
        for part, training in before:
            part.training = training


@contextmanager
def frozen(module: Module) -> Iterator[None]:
    """Freeze the module inside the block: its parameters get no gradients, and its running statistics do not change."""
    parts = [(part, part.frozen) for part in module.modules()]
    parameters = [(p, p.requires_grad) for p in module.parameters()]
    for part, _ in parts:
        part.frozen = True
    module.requires_grad_(False)
    try:
        yield
    finally:
        for part, was in parts:
            part.frozen = was
        for p, required in parameters:
            p.requires_grad = required
