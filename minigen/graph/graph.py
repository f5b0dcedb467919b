"""The graph of a computation: which operations made a tensor, and what each of them saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minigen.autograd import Tensor
from minigen.graph import drawing
from minigen.graph.folding import Box, boxes
from minigen.graph.record import Leaf, Names, Operation, read

if TYPE_CHECKING:
    from minigen.nn import Module


@dataclass(eq=False)
class Graph:
    """The record of a computation: its operations in the order in which they ran, and its leaves.

    `print(graph)` shows it as an indented tree, a notebook as a drawing or a table, and `save` writes a drawing.
    `modules` has the class of each module, by its path. The graph refers to no tensor, so it keeps no memory alive.
    """

    operations: list[Operation]
    leaves: list[Leaf]
    modules: dict[tuple[str, ...], str] = field(default_factory=dict)
    depth: int | None = None

    @property
    def bytes(self) -> int:
        """The memory that the record keeps, without that of leaves."""
        return sum(operation.bytes for operation in self.operations)

    @property
    def summary(self) -> str:
        """How much there is, in one line."""
        kept = drawing.size_of(self.bytes)
        return f"{len(self.operations)} operations, which keep {kept}, and {len(self.leaves)} leaves"

    def boxes(self) -> list[Box]:
        """What is drawn: see `folding.py`."""
        return boxes(self.operations, self.depth)

    def __str__(self) -> str:
        return drawing.tree(self)

    def __repr__(self) -> str:
        return f"<graph of {len(self.operations)} operations and {len(self.leaves)} leaves>"

    def mermaid(self) -> str:
        """The drawing in the language of Mermaid, which GitHub and JupyterLab show."""
        return drawing.drawn(self, drawing.MERMAID)

    def dot(self) -> str:
        """The drawing in the language of Graphviz."""
        return drawing.drawn(self, drawing.GRAPHVIZ)

    def save(self, path: str | Path) -> None:
        """Write the drawing: ".mmd" (Mermaid), ".dot" (Graphviz), or ".svg" and ".png", which need Graphviz's `dot`.

        `ValueError` for another ending, `RuntimeError` if Graphviz is needed and not installed.
        """
        drawing.save(self, Path(path))

    def _repr_mimebundle_(self, **which: Any) -> dict[str, str]:
        """What a notebook can choose from."""
        return drawing.mimebundle(self)


def graph(
    outputs: Tensor | Sequence[Tensor], module: Module | None = None, *, depth: int | None = None, **leaves: Tensor
) -> Graph:
    """The graph of the computation that made `outputs`, one tensor or several.

    module    names the parameters and modules in it, such as "encoder.1.weight"; others are named by their module's
              class and a number, such as "Linear 1.weight"
    depth     at which modules become single boxes, 1 for those directly in `module`; by default, only a graph of more
              than 40 operations is folded: what a loop repeats is shown once, and modules become boxes, the innermost
              first, until there are at most 40
    leaves    names for other leaves, such as `x=x`

    Only what is recorded is there: operations between an output and a leaf that requires gradients. After a backward
    pass, leaves have the norms of their gradients, and the saved arrays are gone unless it had `retain_graph=True`.
    `ValueError` if nothing was recorded.

    >>> loss = model.loss(images)
    >>> print(minigen.graph(loss, model))
    >>> minigen.graph(loss, model).save("loss.svg")
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    if not outputs or (depth is not None and depth < 1):
        raise ValueError(f"graph: expects an output and a depth >= 1, got {len(outputs)} outputs and depth={depth}")
    for i, x in enumerate(outputs):
        if not isinstance(x, Tensor):
            raise TypeError(f"graph: expects tensors, got {type(x).__name__} as output {i}")
        if x._node is None:
            raise ValueError(f"graph: output {i} {x.shape} was not computed from anything that requires gradients")
    names = Names(module, leaves)
    return Graph(*read(outputs, names), names.classes, depth)
