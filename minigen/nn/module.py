"""The module: parameters, and the computation that uses them.

A module's parameters, buffers (tensors that are state but are not trained) and submodules are simply its attributes.
Names and shapes are those of the equivalent PyTorch module, so that saved weights go both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array, Device, device, is_array, to_numpy


class Parameter(Tensor):
    """A tensor that is trained; in row-major memory, so that optimizers may flatten it."""

    __slots__ = ()

    def __init__(self, data: Array, requires_grad: bool = True) -> None:
        super().__init__(data if data.flags.c_contiguous else data.copy(), requires_grad)


class Module:
    """Base of everything with parameters. A subclass sets attributes in `__init__` and writes `forward`."""

    training = True
    frozen = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; called by `module(...)`."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # -- what it is made of ------------------------------------------------------------------------------------------

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules directly in this one."""
        return ((name, x) for name, x in vars(self).items() if isinstance(x, Module))

    def modules(self) -> Iterator[Module]:
        """This module and all within."""
        yield self
        for _, child in self.children():
            yield from child.modules()

    def _tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """(full name, tensor) of every tensor in this module and within."""
        for name, x in vars(self).items():
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
        """Call `fn` on every module within, then on this one (to initialise, say)."""
        for _, child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # -- changing it -------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Training mode: batch normalisation uses the batch's statistics, dropout drops."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Evaluation mode: batch normalisation uses the running statistics, dropout does nothing."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the parameters' gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Whether the parameters are to get gradients."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def to(self, target: str | Device) -> Self:
        """Move every tensor to a device, and forget the gradients; before an optimizer makes its state."""
        target = device(target)
        for _, x in self._tensors():
            x._data, x.grad = target.asarray(x._data), None
        return self

    @property
    def device(self) -> Device:
        """The device of the first parameter; the current one if there is none."""
        first = next(self.parameters(), None)
        return device() if first is None else first.device

    # -- saving and loading ------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """Every parameter and buffer by name: the arrays themselves, not copies."""
        return {name: x.data for name, x in self._tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy values in from a `state_dict`. `ValueError`, with nothing changed, if names, shapes or kinds differ."""
        load_arrays(dict(self._tensors()), state, type(self).__name__)

    def __repr__(self) -> str:
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.children()]
        return f"{type(self).__name__}({self.extra_repr()}" + ("\n" + "\n".join(lines) + "\n" if lines else "") + ")"

    def extra_repr(self) -> str:
        """The settings that `repr` shows."""
        return ""


def load_arrays(own: Mapping[str, Tensor], state: Mapping[str, Any], owner: str) -> None:
    """Copy `state` into the tensors of the same names, after checking that everything fits."""
    problems = [f"{name} is missing" for name in own if name not in state]
    problems += [f"{name} is not known" for name in state if name not in own]
    values = {}
    for name in own.keys() & state.keys():
        value = raw(state[name])
        value = values[name] = value if is_array(value) else np.asarray(value)
        x = own[name]
        if value.shape != x.shape or value.dtype.kind != x.dtype.kind:
            problems.append(f"{name} is {value.shape} {value.dtype} but takes {x.shape} {x.dtype}")
    if problems:
        shown = "; ".join(sorted(problems)[:8]) + ("; ..." if len(problems) > 8 else "")
        raise ValueError(f"{owner}: the state does not fit ({len(problems)} problems), nothing was changed: {shown}")
    with no_grad():
        for name, x in own.items():
            x[...] = x.device.asarray(to_numpy(values[name]), dtype=x.dtype)


class Sequential(Module):
    """Modules applied one after the other."""

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

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
    """Modules in a list, for a `forward` that goes through them itself."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(*modules)

    def append(self, module: Module) -> Self:
        setattr(self, str(len(self)), module)
        return self

    def forward(self, x: Any) -> Any:
        raise NotImplementedError("ModuleList is a list; Sequential applies its modules in order")


@contextmanager
def evaluating(module: Module) -> Iterator[None]:
    """The module is in evaluation mode inside the block, and afterwards each part in the mode that it was in."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


@contextmanager
def frozen(module: Module) -> Iterator[None]:
    """Inside the block nothing in the module changes: no gradients for its parameters, no new running statistics."""
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
