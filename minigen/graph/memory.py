"""How much memory a record keeps for its derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakValueDictionary

from minigen.autograd import Node, Tensor
from minigen.backend import Array, is_array


class Memory:
    """Counts the bytes that nodes save, each array once: at the first node that saves it.

    A saved view keeps the whole array alive of which it shows a part, so the whole array counts. Leaves, such as
    parameters, do not count: they are there without the record.
    """

    def __init__(self) -> None:
        self._seen: WeakValueDictionary[int, Array] = WeakValueDictionary()  # by id

    def added_by(self, node: Node) -> int:
        """The bytes that this node saves and none before it."""
        for edge in node.edges:
            if isinstance(edge.source, Tensor):
                self._is_new(_owner(edge.source.data))
        return sum(x.nbytes for x in map(_owner, arrays_in(node.saved)) if self._is_new(x))

    def _is_new(self, x: Array) -> bool:
        new = id(x) not in self._seen
        self._seen[id(x)] = x
        return new


def arrays_in(x: Any) -> Iterator[Array]:
    """Every array in a saved value, which may be an array, anything else, or a collection of values."""
    if is_array(x):
        yield x
    elif isinstance(x, dict | list | tuple):
        for part in x.values() if isinstance(x, dict) else x:
            yield from arrays_in(part)


def _owner(x: Array) -> Array:
    """The array that owns the memory of `x`."""
    while is_array(x.base):
        x = x.base
    return x
