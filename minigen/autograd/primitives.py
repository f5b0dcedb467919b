"""The operation: a function on arrays, its derivatives, and what it records when called on tensors.

A derivative is a vector-Jacobian product: `g`, the gradient of the loss with respect to the output, times the
operation's Jacobian. The names of its other parameters say which values are saved for it, and nothing else is saved:

    x          an argument                          out        the output
    x_shape    an argument's shape alone            axis       an option (keyword-only)
    mask       a value that the forward pass returns after its output, because the operation `saves` it

Derivatives that share work are given together, by one function that returns a dictionary. An operation on any number
of arrays (`def concat(*arrays, axis=0)`, called with a list) has one derivative, which returns a gradient for each of
them and may name `arrays_shapes`.

In an ordinary backward pass, a derivative runs on arrays. Under `create_graph=True` it runs on tensors, so that it is
recorded itself and can be differentiated again, to every order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any, Concatenate, Generic, Literal, NamedTuple, NoReturn, ParamSpec, TypeVar, overload

import numpy as np

from minigen.autograd.modes import MODE, Mode, caller, check_finite
from minigen.autograd.operators import PRIMITIVES
from minigen.autograd.tape import Edge, Node, Watched
from minigen.autograd.tensors import Tensor, made, raw
from minigen.backend import Array, arrays_among, as_array, current_dtype, device_of, is_array, on_one_device

P = ParamSpec("P")
Result = TypeVar("Result")
Forward = Callable[Concatenate[Any, P], Any]


class Rule(NamedTuple):
    """A derivative: a function, the names of its parameters after `g`, and whether it returns a dictionary."""

    function: Callable[..., Any]
    names: tuple[str, ...]
    together: bool = False


class Call(NamedTuple):
    """One call of an operation: everything that a derivative can name."""

    arguments: Sequence[Any]  # as given: tensors, arrays, numbers
    arrays: list[Any]  # the same with arrays in place of tensors
    options: dict[str, Any]
    outputs: tuple[Array, ...]
    saved: tuple[Any, ...]


class Plan(NamedTuple):
    """Which values of a call to save for the derivatives that will be needed."""

    getters: dict[str, Callable[[Call], Any]]  # by the name that a derivative uses
    watched: list[int]  # positions of the saved arguments, which must not be changed in place


class Primitive(Generic[P, Result]):
    """An operation: its forward computation on arrays and a derivative for each of its arguments.

    name        its name in the registry and in errors, by default the function's
    saves       names of the values that `forward` returns after its output, for the derivatives alone
    reference   the formula of a fused operation, written with other operations, as a function of the same arguments;
                derivatives of higher order are those of this formula
    several     whether the output is a tuple of arrays
    byproducts  how many of the last outputs are not recorded, so that no gradient flows through them
    view        whether the output may share its memory with the first argument
    casts       whether the output's dtype may differ from the arguments'
    """

    def __init__(
        self,
        forward: Forward[P],
        *,
        name: str | None = None,
        saves: tuple[str, ...] = (),
        reference: Callable[..., Any] | None = None,
        several: bool = False,
        byproducts: int = 0,
        view: bool = False,
        casts: bool = False,
    ) -> None:
        update_wrapper(self, forward)
        self.forward, self.name = forward, name or forward.__name__
        self.saves, self.reference, self.several, self.byproducts = saves, reference, several, byproducts
        self.view, self.casts = view, casts
        self.rules: dict[str, Rule] = {}
        parameters = inspect.signature(forward).parameters.values()
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self.arguments = tuple(p.name for p in positional)
        self.variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self.options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        self._defaults = tuple(p.default for p in positional)
        self._required = sum(default is inspect.Parameter.empty for default in self._defaults)
        self._plans: dict[tuple[int, ...], Plan] = {}  # by the positions of the arguments that need gradients
        self._register()

    def _register(self) -> None:
        """Enter an operation of minigen into the registry; `ValueError` for another operation with such a name."""
        if self.forward.__module__.startswith("minigen."):
            PRIMITIVES[self.name] = self
        elif self.name in PRIMITIVES:
            raise ValueError(
                f"primitive: minigen.ops has an operation {self.name!r}; expects a name that is not taken, "
                f'such as @primitive(name="my_{self.name}")'
            )

    def derivatives(self, **rules: Callable[..., Any]) -> None:
        """Give the derivative for each argument: `x=lambda g, out: g * (1 - out * out)`.

        A derivative returns a new array, `g` itself, or a view of it. `TypeError` for names that the operation does not
        have.
        """
        for argument, function in rules.items():
            if argument not in (*self.arguments, self.variadic):
                self._refuse(argument, function)
            self.rules[argument] = self._rule(argument, function)

    def derivatives_together(self, *arguments: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorate one function that returns the derivatives for several arguments in a dictionary.

        It runs once if any of them is needed.

        >>> @multiply.derivatives_together("x", "y")
        ... def _(g, x, y):
        ...     return {"x": g * y, "y": g * x}
        """

        def give(function: Callable[..., Any]) -> Callable[..., Any]:
            self.derivatives(**dict.fromkeys(arguments, function))
            for argument in arguments:
                self.rules[argument] = self.rules[argument]._replace(together=True)
            return function

        return give

    def _rule(self, argument: str, function: Callable[..., Any]) -> Rule:
        names = tuple(inspect.signature(function).parameters)[1:]
        if not all(map(self._getter, names)):
            self._refuse(argument, function)
        return Rule(function, names)

    def _refuse(self, argument: str, function: Callable[..., Any]) -> NoReturn:
        names = ", ".join(tuple(inspect.signature(function).parameters)[1:])
        raise TypeError(f"{self.name}.derivatives: no such names: {argument}=lambda g, {names}")

    def _getter(self, name: str) -> Callable[[Call], Any] | None:
        """A function that gets from a call what a derivative calls `name`; None for an unknown name."""
        if name == "out":
            return lambda call: call.outputs if self.several else call.outputs[0]
        if name in self.options:
            default = self.options[name]
            return lambda call: call.options.get(name, default)
        if name in self.saves:
            index = self.saves.index(name)
            return lambda call: call.saved[index]
        if name in self.arguments:
            index = self.arguments.index(name)
            return lambda call: call.arrays[index]
        if name == f"{self.variadic}_shapes":
            return lambda call: [x.shape for x in call.arrays[len(self.arguments) :]]
        if name.removesuffix("_shape") in self.arguments:
            index = self.arguments.index(name.removesuffix("_shape"))
            return lambda call: getattr(call.arrays[index], "shape", None)
        return None

    def argument_at(self, position: int) -> str:
        """The name of the argument at a position."""
        return self.arguments[position] if position < len(self.arguments) else str(self.variadic)

    def __reduce__(self) -> str:
        """`pickle` and `copy.deepcopy` refer to an operation by its name, as they do to a function."""
        return self.forward.__qualname__

    def __repr__(self) -> str:
        return f"<operation {self.name}{inspect.signature(self.forward)}>"

    # -- calling it ----------------------------------------------------------------------------------------------------

    @overload
    def __call__(self, x: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> Result: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]  # mypy and ParamSpec
        if self.variadic and args and isinstance(args[0], list | tuple):
            args, kwargs = self._unpacked(args, kwargs)
        if (kwargs and not kwargs.keys().isdisjoint(self.arguments)) or len(args) < self._required:
            args, kwargs = self._in_order(args, kwargs)
        elif len(args) < len(self.arguments):
            args += self._defaults[len(args) :]
        for arg in args:
            if isinstance(arg, Tensor):
                mode = MODE.get()
                if mode.profile is None:
                    return self._on_tensors(args, kwargs, mode)
                return mode.profile.forward(self.name, self._on_tensors, args, kwargs, mode)
        outputs, _ = self._compute(args, kwargs)
        return outputs if self.several else outputs[0]

    def _unpacked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """`f([x, y], 1)` as `f(x, y, axis=1)`."""
        arrays, *options = args
        named = dict(zip(self.options, options, strict=False))
        if len(named) < len(options) or named.keys() & kwargs.keys():
            raise TypeError(f"{self.name}: too many arguments; expects {self._signature()}")
        return tuple(arrays), named | kwargs

    def _signature(self) -> str:
        return f"({', '.join(inspect.signature(self.forward).parameters)})"

    def _in_order(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """`f(x, c=z)` as `f(x, <default of b>, z)`."""
        kwargs, filled = dict(kwargs), list(args)
        for name, default in zip(self.arguments[len(args) :], self._defaults[len(args) :], strict=True):
            if name not in kwargs and default is inspect.Parameter.empty:
                raise TypeError(f"{self.name}: missing argument {name!r}; expects {self._signature()}")
            filled.append(kwargs.pop(name, default))
        return tuple(filled), kwargs

    def _on_tensors(self, args: tuple[Any, ...], kwargs: dict[str, Any], mode: Mode) -> Any:
        """Take the arrays out of the tensors, compute, and record."""
        arrays = [arg._data if isinstance(arg, Tensor) else _without_dtype(arg) for arg in args]
        options = {name: _without_dtype(raw(option)) for name, option in kwargs.items()}
        present = arrays_among(arrays)
        if not on_one_device(present):
            self._refuse_devices(arrays)
        outputs, saved = self._compute(arrays, options)
        outputs = self._in_agreed_dtype(outputs, present)
        tensors = self._record(args, arrays, options, outputs, saved, mode)
        return tensors if self.several else tensors[0]

    def _compute(self, arrays: Sequence[Any], options: dict[str, Any]) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        """The forward computation: the outputs, and the values that it saves for the derivatives."""
        try:
            result = self.forward(*arrays, **options)
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            self._reraise(error, arrays)
        out, *saved = result if self.saves else (result,)
        return out if self.several else (out,), tuple(saved)

    def _record(
        self,
        args: tuple[Any, ...],
        arrays: list[Any],
        options: dict[str, Any],
        outputs: tuple[Array, ...],
        saved: tuple[Any, ...],
        mode: Mode,
    ) -> tuple[Tensor, ...]:
        """The outputs as tensors, which remember the call if one of its arguments needs a gradient."""
        recording, detecting, _ = mode
        if detecting:
            check_finite(outputs, f"{self.name}: its output")
        recorded = outputs[: -self.byproducts] if self.byproducts else outputs
        node = None
        if recording and recorded[0].dtype.kind == "f":
            needed = tuple([i for i, arg in enumerate(args) if isinstance(arg, Tensor) and arg._requires_grad])
            if needed:
                saved_values, watched = self._save(Call(args, arrays, options, outputs, saved), needed)
                node = Node(self, _edges(args, needed), saved_values, watched, recorded)
                node.where = caller() if detecting else ""
        shared = args[0] if self.view else None
        tensors = tuple([made(out, node if i < len(recorded) else None, i, shared) for i, out in enumerate(outputs)])
        if node is not None and "out" in saved_values:
            node.watched += [(x._version, x._version[0], "its output") for x in tensors]
        return tensors

    def _save(self, call: Call, needed: tuple[int, ...]) -> tuple[dict[str, Any], list[Watched]]:
        """What the derivatives for the arguments at these positions name, and the versions of the saved tensors."""
        plan = self._plans.get(needed)
        if plan is None:
            plan = self._plans[needed] = self._plan(needed)
        watched = []
        for position in plan.watched:
            arg = call.arguments[position]
            for x in arg if isinstance(arg, tuple) else (arg,):  # an index may be a tuple
                if isinstance(x, Tensor):
                    watched.append((x._version, x._version[0], self.argument_at(position)))
        return {name: get(call) for name, get in plan.getters.items()}, watched

    def _plan(self, needed: tuple[int, ...]) -> Plan:
        """What to save when the arguments at these positions need gradients."""
        names: list[str] = []
        for argument in map(self.argument_at, needed):
            if argument not in self.rules:
                raise TypeError(f"{self.name}: has no derivative for {argument}; `detach()` it if it needs no gradient")
            names += self.rules[argument].names
        getters = {name: self._getter(name) for name in names}
        if self.reference is not None:  # it is called with all arguments
            getters["reference"] = lambda call: (call.arrays, call.options)
            names += self.arguments
        return Plan(getters, [i for i, name in enumerate(self.arguments) if name in names])  # type: ignore[arg-type]

    # -- checks --------------------------------------------------------------------------------------------------------

    def _refuse_devices(self, arguments: list[Any]) -> NoReturn:
        places = [f"{self.argument_at(i)} is on {device_of(x)}" for i, x in enumerate(arguments) if is_array(x)]
        raise ValueError(
            f"{self.name}: the arguments are on different devices: {', '.join(places)}; move them with `.to`"
        )

    def _in_agreed_dtype(self, outputs: tuple[Any, ...], present: list[Array]) -> tuple[Array, ...]:
        """The outputs as arrays; their dtype is the one on which the floating-point arguments agree."""
        outputs = tuple(map(as_array, outputs))
        if self.casts or len({x.dtype for x in (*outputs, *present)}) == 1:  # the common case, checked quickly
            return outputs
        agreed = {x.dtype for x in present if x.dtype.kind == "f"}
        if not agreed:  # integers divided, averaged, ...
            return tuple([x.astype(current_dtype(), copy=False) if x.dtype.kind == "f" else x for x in outputs])
        if any(x.dtype.kind == "f" and {x.dtype} != agreed for x in outputs):
            got = self._describe(present)
            raise TypeError(f"{self.name}: the dtypes do not agree (got {got}); cast with `.astype`")
        return outputs

    def _reraise(self, error: Exception, arguments: Sequence[Any]) -> NoReturn:
        """Raise an error of `forward` again, with the operation's name and the arrays that it got."""
        message = str(error)
        if message.split(":")[0].isidentifier() and " (got " in message:  # raised by an operation inside this one
            raise error
        for i, x in enumerate(arguments):
            if isinstance(error, AttributeError) and isinstance(x, list | tuple | int | float):
                message = f"expects {self.argument_at(i)} to be a tensor or an array, not a {type(x).__name__}"
                raise TypeError(f"{self.name}: {message} (got {x!r})") from error
        if isinstance(error, AttributeError):
            raise error
        if "unexpected keyword argument" in message:
            message += f"; expects {self._signature()}"
        message = message.removeprefix(f"{self.name}: ")  # some of NumPy's messages begin with the function's name
        kind = next(k for k in (ValueError, TypeError, IndexError) if isinstance(error, k))  # not a subclass of NumPy's
        raise kind(f"{self.name}: {message} (got {self._describe(arguments)})") from error

    def _describe(self, arguments: Sequence[Any]) -> str:
        got = [f"{self.argument_at(i)} {x.shape} {x.dtype}" for i, x in enumerate(arguments) if is_array(x)]
        return ", ".join(got) or "no arrays"


@overload
def primitive(forward: Forward[P], /) -> Primitive[P, Tensor]: ...
@overload
def primitive(
    *, several: Literal[True], **properties: Any
) -> Callable[[Forward[P]], Primitive[P, tuple[Tensor, ...]]]: ...
@overload
def primitive(**properties: Any) -> Callable[[Forward[P]], Primitive[P, Tensor]]: ...


def primitive(forward: Any = None, **properties: Any) -> Any:
    """Make an operation of a function on arrays (a decorator); see `Primitive` for the properties."""
    if forward is None:
        return lambda function: Primitive(function, **properties)
    return Primitive(forward)


@primitive(view=True)
def identity(x: Array) -> Array:
    """`x` itself, recorded as a new node."""
    return x


identity.derivatives(x=lambda g: g)


def _edges(args: tuple[Any, ...], needed: tuple[int, ...]) -> list[Edge]:
    """Where the gradients for the arguments at these positions go."""
    edges = []
    for position in needed:
        arg = args[position]
        edges.append(Edge(position, arg._node or arg, arg._output, arg._data.shape, arg._data.dtype))
    return edges


def _without_dtype(x: Any) -> Any:
    """A NumPy scalar as a Python number, which takes the tensors' dtype; anything else as it is."""
    return x.item() if isinstance(x, np.generic) else x
