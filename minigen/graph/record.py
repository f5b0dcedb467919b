"""What is recorded behind a tensor: the operations that made it, and the leaves where they begin."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minigen.autograd import Node, Tensor
from minigen.autograd.tape import nodes_behind
from minigen.backend import Shape
from minigen.graph.memory import Memory, arrays_in

if TYPE_CHECKING:
    from minigen.nn import Module

Path = tuple[str, ...]
"""Where a module is, such as ("encoder", "1"); () outside of modules."""


@dataclass(eq=False)
class Leaf:
    """A tensor that no operation made, such as a parameter.

    gradient  the Euclidean norm of its `grad`, None if it has none
    """

    name: str
    shape: Shape
    dtype: np.dtype
    gradient: float | None


@dataclass(eq=False)
class Operation:
    """One recorded operation.

    name     such as "linear"
    module   the path of the module that called it
    sources  what made its arguments, as far as a gradient flows through them
    outputs  the shape and dtype of each output
    saves    what its derivatives call the arrays that they need; None if a backward pass has freed these
    bytes    the memory of what it saves and no earlier operation does, without that of leaves
    """

    name: str
    module: Path
    sources: list[Operation | Leaf]
    outputs: list[tuple[Shape, np.dtype]]
    saves: list[str] | None
    bytes: int


def read(outputs: Sequence[Tensor], names: Names) -> tuple[list[Operation], list[Leaf]]:
    """The operations behind `outputs`, in the order in which they ran, and their leaves."""
    memory = Memory()
    operations: dict[int, Operation] = {}  # by the id of the node
    leaves: dict[int, Leaf] = {}  # by the id of the tensor
    for node in nodes_behind(outputs):
        path = names.path_of(node.module())
        for edge in node.edges:
            if isinstance(edge.source, Tensor) and id(edge.source) not in leaves:
                leaves[id(edge.source)] = _leaf(edge.source, names)
        sources = [leaves.get(id(edge.source)) or operations[id(edge.source)] for edge in node.edges]
        operations[id(node)] = Operation(
            node.primitive.name, path, sources, node.outputs, _saved_names(node), memory.added_by(node)
        )
    return list(operations.values()), list(leaves.values())


def _leaf(x: Tensor, names: Names) -> Leaf:
    norm = None if x.grad is None else math.sqrt(float((x.grad.data.astype(np.float64) ** 2).sum()))
    return Leaf(names.of.get(id(x), "leaf"), x.shape, x.dtype, norm)


def _saved_names(node: Node) -> list[str] | None:
    """The names of the saved values that hold arrays; a reference formula needs all arguments."""
    if node.saved is None:
        return None
    names = [name for name, value in node.saved.items() if any(True for _ in arrays_in(value))]
    if "reference" in names:
        names = [*dict.fromkeys([*node.primitive.arguments, *names])]
    return [name for name in names if name != "reference"]


class Names:
    """The names of tensors and the paths of modules: those in `module`, and those that are met."""

    def __init__(self, module: Module | None, leaves: Mapping[str, Tensor]) -> None:
        self.of = {id(x): name for name, x in leaves.items()}  # of tensors, by id
        self.classes: dict[Path, str] = {}  # of modules
        self._paths: dict[int, Path] = {}  # of modules, by id
        self._met: Counter[str] = Counter()  # modules outside of the one that was given, by their class
        if module is not None:
            self._enter(module, ())

    def path_of(self, module: Module | None) -> Path:
        """The path of a module; one that has none becomes the next of its class, such as ("Linear 1",)."""
        if module is None:
            return ()
        if id(module) not in self._paths:
            kind = type(module).__name__
            self._met[kind] += 1
            self._enter(module, (f"{kind} {self._met[kind]}",))
        return self._paths[id(module)]

    def _enter(self, module: Module, path: Path) -> None:
        """Name the module, and all within that has no name yet."""
        if id(module) in self._paths:
            return
        self._paths[id(module)], self.classes[path] = path, type(module).__name__
        for name, x in module._members():
            if isinstance(x, Tensor):
                self.of.setdefault(id(x), ".".join((*path, name)))
        for name, child in module.children():
            self._enter(child, (*path, *name.split(".")))
