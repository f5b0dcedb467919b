"""The operation: a function on arrays, its derivatives, and what it leaves behind when called on tensors.

A derivative's parameter names say what is kept for it, and nothing else is kept:

    x          an argument                          out        the output
    x_shape    an argument's shape alone            position   which of `*arguments` the derivative is for
    axis       an option (keyword-only)             mask       a value that the forward pass `saves` on purpose

An operation on any number of arrays (`def concat(*arrays, axis=0)`, called with a list) has one derivative for all
of them, which may name `position` and `arrays_shapes`.

The same derivative runs on arrays in an ordinary backward pass and on tensors under `create_graph=True`, which
records the derivative itself and so makes derivatives of every order.
"""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Sequence
from functools import update_wrapper
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigen.autograd.modes import MODE
from minigen.autograd.operators import PRIMITIVES
from minigen.autograd.tape import Edge, Node, check_finite
from minigen.autograd.tensors import Tensor
from minigen.backend import Array, array_module, current_dtype, device_of, is_array

_SCALARS = (float, int, bool, tuple, type(None))


class Rule(NamedTuple):
    """A derivative: the function, and the names of what it takes after `g`."""

    function: Callable[..., Any]
    names: tuple[str, ...]


class Primitive:
    """An operation: its forward computation on arrays and a derivative for each of its arguments.

    saves     names of the values that `forward` returns after its output, for the derivatives alone
    reference the formula that a fused operation fuses, in other operations; takes the same arguments. Higher
              derivatives go through it.
    view      whether the output may share its memory with the first argument
    casts     whether the output's dtype is meant to differ from the arguments'
    name      what it is called in the registry, in errors and where a tensor is printed; default: `forward`'s name
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        saves: tuple[str, ...] = (),
        reference: Callable[..., Any] | None = None,
        view: bool = False,
        casts: bool = False,
        name: str | None = None,
    ) -> None:
        update_wrapper(self, forward)
        self.forward, self.saves, self.reference, self.view, self.casts = forward, saves, reference, view, casts
        self.name = name or forward.__name__
        self.rules: dict[str, Rule] = {}
        parameters = inspect.signature(forward).parameters.values()
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.arguments = tuple(p.name for p in positional)
        self.variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self.options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        self._defaults = tuple(p.default for p in positional)
        self._required = sum(default is inspect.Parameter.empty for default in self._defaults)
        self._plans: dict[tuple[int, ...], list[tuple[str, str, int]]] = {}
        PRIMITIVES[self.name] = self

    def derivatives(self, **rules: Callable[..., Any]) -> None:
        """Give the derivative for each argument: `x=lambda g, out: g * (1 - out * out)`.

        A derivative returns a new array, `g` itself, or a view of it.
        """
        known = {"out", "position", *self.saves, *self.options, *self.arguments}
        known |= {f"{name}_shape" for name in self.arguments} | {f"{self.variadic}_shapes"}
        for argument, function in rules.items():
            names = tuple(inspect.signature(function).parameters)[1:]
            if argument not in (*self.arguments, self.variadic) or not known.issuperset(names):
                raise TypeError(f"{self.name}.derivatives: no such names: {argument}=lambda g, {', '.join(names)}")
            self.rules[argument] = Rule(function, names)

    def argument_at(self, position: int) -> str:
        """The name of the argument at a position."""
        return self.arguments[position] if position < len(self.arguments) else str(self.variadic)

    def __repr__(self) -> str:
        return f"<operation {self.name}{inspect.signature(self.forward)}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.variadic and len(args) == 1 and isinstance(args[0], list | tuple):
            args = tuple(args[0])
        if (kwargs and not kwargs.keys().isdisjoint(self.arguments)) or len(args) < self._required:
            args, kwargs = self._in_order(args, kwargs)
        elif len(args) < len(self.arguments):
            args += self._defaults[len(args) :]
        for arg in args:
            if isinstance(arg, Tensor):
                return self._on_tensors(args, kwargs)
        result = self._compute(args, kwargs)
        return result[0] if self.saves else result

    def _in_order(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """`f(x, c=z)` as `f(x, <default of b>, z)`."""
        kwargs, filled = dict(kwargs), list(args)
        for name, default in zip(self.arguments[len(args) :], self._defaults[len(args) :], strict=True):
            if name not in kwargs and default is inspect.Parameter.empty:
                raise TypeError(f"{self.name}: missing argument {name!r}; takes {inspect.signature(self.forward)}")
            filled.append(kwargs.pop(name, default))
        return tuple(filled), kwargs

    def _compute(self, arrays: Sequence[Any], kwargs: dict) -> Any:
        """The forward computation, its errors completed with the operation's name and what it got."""
        try:
            return self.forward(*arrays, **kwargs)
        except (ValueError, TypeError, IndexError) as error:
            message = str(error)
            if message.split(":")[0] in PRIMITIVES and " (got " in message:  # an operation inside this one said it
                raise
            message = message.removeprefix(f"{self.name}: ")  # NumPy names some of its functions itself
            kind = next(k for k in (ValueError, TypeError, IndexError) if isinstance(error, k))  # not NumPy's own
            raise kind(f"{self.name}: {message} (got {self._describe(arrays)})") from error

    def _describe(self, arrays: Sequence[Any]) -> str:
        got = [f"{self.argument_at(i)} {a.shape} {a.dtype}" for i, a in enumerate(arrays) if is_array(a)]
        return ", ".join(got) or "no arrays"

    # -- on tensors ----------------------------------------------------------------------------------------------

    def _on_tensors(self, args: tuple, kwargs: dict) -> Any:
        """Compute, record what the derivatives name, and wrap the output."""
        arrays: list[Any] = []
        needed: list[int] = []  # the positions of the arguments that need gradients
        reference = None  # the first array: the others must be on its device
        mixed = False  # whether there are several dtypes
        for position, arg in enumerate(args):
            if isinstance(arg, Tensor):
                if arg._requires_grad:
                    needed.append(position)
                arg = arg._data
            elif isinstance(arg, _SCALARS) or not is_array(arg):
                # a NumPy scalar takes the tensors' dtype, as Python's numbers do
                arrays.append(arg.item() if isinstance(arg, np.generic) else arg)
                continue
            arrays.append(arg)
            if reference is None:
                reference = arg
                continue
            mixed = mixed or arg.dtype != reference.dtype
            if type(arg) is not np.ndarray or type(reference) is not np.ndarray:
                self._check_devices(arg, reference, args)
        if kwargs:
            kwargs = {name: _value(x) for name, x in kwargs.items()}
        result = self._compute(arrays, kwargs)
        out, *kept = result if self.saves else (result,)
        outs = out if type(out) is tuple else (out,)
        outs = tuple([self._as_array(o, None if mixed else reference, arrays) for o in outs])

        recording, detecting = MODE.get()
        if detecting:
            check_finite(outs, f"{self.name}: its output")
        node = None
        if needed and recording and outs[0].dtype.kind == "f":
            node = self._record(args, arrays, kwargs, needed, outs, kept)
            node.where = _caller() if detecting else ""
        tensors = [self._wrap(data, node, i, args) for i, data in enumerate(outs)]
        return tuple(tensors) if type(out) is tuple else tensors[0]

    def _wrap(self, data: Array, node: Node | None, output: int, args: tuple) -> Tensor:
        result = Tensor.__new__(Tensor)  # without the checks of __init__
        result._data = data
        result.grad = None
        result._node = node
        result._output = output
        result._version = args[0]._version if self.view and data.base is not None else [0]
        result._requires_grad = node is not None
        if node is not None and "out" in node.saved:  # type: ignore[operator]
            node.watched.append((result._version, result._version[0], "its output"))
        return result

    def _check_devices(self, x: Array, reference: Array, args: tuple) -> None:
        if array_module(x) is array_module(reference) and x.device == reference.device:
            return
        arrays = [(i, a._data if isinstance(a, Tensor) else a) for i, a in enumerate(args)]
        got = ", ".join(f"{self.argument_at(i)} is on {device_of(a)}" for i, a in arrays if is_array(a))
        raise ValueError(f"{self.name}: the arguments are on different devices: {got}; move them with `.to`")

    def _as_array(self, out: Any, same: Array | None, arrays: list[Any]) -> Array:
        """The output as an array; its dtype is the one that the floating-point arguments agree on.

        `same`: an argument, if they all have its dtype.
        """
        if isinstance(out, np.generic):
            out = np.asarray(out)
        if (same is not None and out.dtype == same.dtype) or out.dtype.kind != "f" or self.casts:
            return out
        dtypes = {a.dtype for a in arrays if is_array(a) and a.dtype.kind == "f"}
        if not dtypes:  # integers divided, averaged, ...
            return out.astype(current_dtype(), copy=False)
        if dtypes != {out.dtype}:
            raise TypeError(f"{self.name}: the dtypes do not agree (got {self._describe(arrays)}); cast with `.astype`")
        return out

    def _record(
        self, args: tuple, arrays: list[Any], kwargs: dict, needed: list[int], outs: tuple, kept: list[Any]
    ) -> Node:
        key = tuple(needed)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._plan(key)
        saved: dict[str, Any] = {}
        watched = []
        for name, kind, index in plan:
            if kind == "argument":
                saved[name] = arrays[index]
                arg = args[index]
                if isinstance(arg, Tensor):
                    watched.append((arg._version, arg._version[0], name))
            elif kind == "out":
                saved[name] = outs if len(outs) > 1 else outs[0]
            elif kind == "shape":
                saved[name] = getattr(arrays[index], "shape", None)
            elif kind == "shapes":
                saved[name] = [x.shape for x in arrays[len(self.arguments) :]]
            elif kind == "kept":
                saved[name] = kept[index]
            elif kind == "option":
                saved[name] = kwargs[name] if name in kwargs else self.options[name]
            else:  # all arguments, for the reference
                saved[name] = arrays, kwargs
                tensors = [(i, a) for i, a in enumerate(args) if isinstance(a, Tensor)]
                watched += [(a._version, a._version[0], self.argument_at(i)) for i, a in tensors]
        edges = []
        for position in needed:
            arg = args[position]
            data = arg._data
            edges.append(Edge(position, arg._node or arg, arg._output, data.shape, data.dtype))
        return Node(self, edges, saved, watched, [(o.shape, o.dtype) for o in outs])

    def _plan(self, needed: tuple[int, ...]) -> list[tuple[str, str, int]]:
        """What to save when the arguments at these positions need gradients: (name, kind, index)."""
        plan = {}
        for position in needed:
            argument = self.argument_at(position)
            if argument not in self.rules:
                raise TypeError(f"{self.name}: has no derivative for {argument}; `detach()` it if that is meant")
            for name in self.rules[argument].names:
                if name == "out":
                    plan[name] = ("out", 0)
                elif name in self.arguments:
                    plan[name] = ("argument", self.arguments.index(name))
                elif name in self.saves:
                    plan[name] = ("kept", self.saves.index(name))
                elif name in self.options:
                    plan[name] = ("option", 0)
                elif name == f"{self.variadic}_shapes":
                    plan[name] = ("shapes", 0)
                elif name != "position":
                    plan[name] = ("shape", self.arguments.index(name.removesuffix("_shape")))
        if self.reference is not None:
            plan["reference"] = ("everything", 0)
        return [(name, *entry) for name, entry in plan.items()]


def primitive(forward: Callable[..., Any] | None = None, **properties: Any) -> Any:
    """Make a function on arrays an operation of the engine; see `Primitive` for the properties."""
    if forward is None:
        return lambda function: Primitive(function, **properties)
    return Primitive(forward)


@primitive(view=True)
def identity(x: Array) -> Array:
    """`x` itself, as a new place in the record."""
    return x


identity.derivatives(x=lambda g: g)


def _value(option: Any) -> Any:
    """A tensor's array, a NumPy scalar's number, anything else as it is."""
    if isinstance(option, Tensor):
        return option._data
    return option.item() if isinstance(option, np.generic) else option


def _caller() -> str:
    """The innermost line outside minigen, as `file:line, in function: code`."""
    here = str(Path(__file__).parents[1]) + os.sep
    frames = traceback.extract_stack()
    frame = next((f for f in reversed(frames) if not f.filename.startswith(here)), frames[-1])
    return f"{frame.filename}:{frame.lineno}, in {frame.name}: {frame.line}"
