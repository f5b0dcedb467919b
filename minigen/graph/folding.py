"""Folding: the boxes that show a graph, few enough to be looked at.

A small graph has a box for each operation. In a larger one, the steps of a loop are shown as one, and if that is not
enough, modules become single boxes: first the innermost, then those around them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minigen.graph.record import Leaf, Operation, Path

ENOUGH = 40  # boxes
LONGEST = 64  # operations in a step of a loop


@dataclass(eq=False)
class Box:
    """What is drawn as one: an operation (if in a loop, that of every step), all operations of a module, or a leaf.

    path     of the module in which it is drawn; in a loop it has one more part, such as "loop 1: 28 times"
    module   the path of the module that it stands for, if it does
    sources  the boxes from which arrows lead here; True for those from an earlier step of the loop
    """

    path: Path
    module: Path | None = None
    leaf: Leaf | None = None
    operations: list[Operation] = field(default_factory=list)
    sources: dict[Box, bool] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The memory that its operations save."""
        return sum(operation.bytes for operation in self.operations)


class Turn(NamedTuple):
    """Where an operation is in a loop: the loop, the number of the step, and the same operation in the first step."""

    loop: str
    step: int
    first: Operation


def boxes(operations: list[Operation], depth: int | None) -> list[Box]:
    """The boxes in the order in which their first operations ran, each leaf before the first box that needs it."""
    deepest = 1 + max(len(operation.module) for operation in operations)
    if depth is None and len(operations) <= ENOUGH:
        return _drawn(operations, {}, deepest)
    turns = _turns(operations)
    for level in [depth] if depth else range(deepest, 0, -1):
        result = _drawn(operations, turns, level)
        if len(result) <= ENOUGH:
            break
    return result


def _drawn(operations: list[Operation], turns: dict[Operation | Leaf, Turn], depth: int) -> list[Box]:
    """The boxes if the modules at this depth, and the steps of loops, are single ones."""
    found: dict[Any, Box] = {}  # by what they stand for
    box_of: dict[Operation | Leaf, Box] = {}
    for operation in operations:
        path, turn = operation.module, turns.get(operation)
        if len(path) >= depth:
            box = found.setdefault(path[:depth], Box(path[: depth - 1], path[:depth]))
        elif turn:
            box = found.setdefault(turn.first, Box((*path, turn.loop)))
        else:
            box = found[operation] = Box(path)
        box.operations.append(operation)
        box_of[operation] = box
    result: list[Box] = []
    for box in found.values():
        for operation in box.operations if box.module is None else ():
            for leaf in operation.sources:
                if isinstance(leaf, Leaf) and leaf not in box_of:
                    box_of[leaf] = Box(operation.module, leaf=leaf)
                    result.append(box_of[leaf])
        result.append(box)
    for operation in operations:
        for source in operation.sources:
            if source in box_of:
                _connect(box_of[source], box_of[operation], turns.get(source), turns.get(operation))
    return result


def _connect(start: Box, end: Box, before: Turn | None, now: Turn | None) -> None:
    """Draw an arrow; inside of a module's box there are none."""
    earlier = False
    if before and now and start.module is None and end.module is None:
        earlier = before.loop == now.loop and before.step != now.step
    if start is not end or earlier:
        end.sources[start] = earlier and end.sources.get(start, True)


# -- loops -------------------------------------------------------------------------------------------------------------


def _turns(operations: list[Operation]) -> dict[Operation | Leaf, Turn]:
    """Where the operations are that are repeated at least three times in a row."""
    kinds: dict[Any, int] = {}
    sequence = [kinds.setdefault(_kind(operation), len(kinds)) for operation in operations]
    turns: dict[Operation | Leaf, Turn] = {}
    start = number = 0
    while start < len(sequence):
        length, times = _repetition(sequence, start)
        if times > 1:
            number += 1
            for i in range(length * times):
                first = operations[start + i % length]
                turns[operations[start + i]] = Turn(f"loop {number}: {times} times", i // length, first)
        start += length * times
    return turns


def _kind(operation: Operation) -> Any:
    """What an operation has in common with those in the other steps of a loop; shapes may change."""
    return operation.name, operation.module, tuple(x for x in operation.sources if isinstance(x, Leaf))


def _repetition(sequence: list[int], start: int) -> tuple[int, int]:
    """The length and the number of those steps, repeated from `start` on, that cover most; (1, 1) if there are none."""
    best = 1, 1
    for length in range(1, LONGEST + 1):
        step, end = sequence[start : start + length], start + length
        while sequence[end : end + length] == step:
            end += length
        times = (end - start) // length
        if times > 2 and length * times > best[0] * best[1]:
            best = length, times
    return best
