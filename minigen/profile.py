"""Where the time of a computation goes: `with minigen.profile() as p: ...`, then `print(p)`.

While a profile runs, every operation on tensors tells it when it begins and ends, forward and backward (see
`Primitive.__call__` and `_backpropagate`). What an operation computes with other operations on arrays is a part of it.
If it calls others on tensors, as derivatives do under `create_graph`, their time is theirs alone.
"""

from __future__ import annotations

import contextlib
import json
import linecache
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from minigen.autograd import Node
from minigen.autograd.modes import changed_mode
from minigen.backend import waiting
from minigen.files import atomic_write
from minigen.graph.drawing import size_of
from minigen.graph.memory import Memory

T = TypeVar("T")
OUTSIDE = "outside of operations"
Line = tuple[str, int]
"""A file and the number of a line in it."""

_HOUSE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_ENGINE = (*(f"{_HOUSE}{part}{os.sep}" for part in ("autograd", "nn", "ops", "optim")), __file__, contextlib.__file__)


@dataclass(slots=True)
class Event:
    """One call of an operation, or what its derivatives did in a backward pass; times are in seconds.

    name      of the operation, or of what else is measured, such as "optimizer"
    phase     "forward", "backward", or "" for what is no operation
    start     on the clock `time.perf_counter`
    length    from its beginning to its end, with the events inside of it
    own       the same without these
    launches  how many kernels it launched, without those of the events inside of it
    line      the line of code that called the operation, also for its backward pass
    bytes     the memory that it saved for its derivatives, as `minigen.graph` counts it
    """

    name: str
    phase: str
    start: float
    length: float = 0.0
    own: float = 0.0
    launches: int = 0
    line: Line = "", 0
    bytes: int = 0


HEADINGS = ["", "calls", "forward ms", "backward ms", "total ms", "share", "saves", "launches"]


@dataclass
class Row:
    """What some events add up to: their number without backward passes, and their own seconds, bytes and launches."""

    name: str
    calls: int = 0
    forward: float = 0.0
    backward: float = 0.0
    seconds: float = 0.0
    bytes: int = 0
    launches: int = 0

    def add(self, event: Event) -> None:
        """Count an event."""
        self.calls += event.phase != "backward" and event.name != OUTSIDE
        self.forward += event.own * (event.phase == "forward")
        self.backward += event.own * (event.phase == "backward")
        self.seconds += event.own
        self.bytes += event.bytes
        self.launches += event.launches

    def cells(self, whole: float) -> list[str]:
        """The row of the table, where all rows add up to `whole` seconds; what is zero stays empty."""
        times = [f"{1e3 * x:.2f}" if x else "" for x in (self.forward, self.backward, self.seconds)]
        share = f"{100 * self.seconds / whole:.1f} %" if whole else ""
        kept = size_of(self.bytes) if self.bytes else ""
        return [self.name, str(self.calls or ""), *times, share, kept, str(self.launches or "")]


class Profile:
    """What ran inside a `minigen.profile` block. `print(p)` shows the table by operation."""

    def __init__(self, launched: Callable[[], int] = lambda: 0) -> None:
        self.events: list[Event] = []  # in the order in which they ended
        self._running: list[Event] = []  # the innermost last
        self._launched, self._wait = launched, waiting()
        self._since, self._launches = 0.0, 0  # the time and the launches when the last event began or ended
        self._lines: dict[int, Line] = {}  # where nodes were recorded, by their order
        self._memory = Memory()

    @property
    def seconds(self) -> float:
        """The time of the block, without what the profile itself took."""
        return sum(event.own for event in self.events)

    # -- what the engine calls -----------------------------------------------------------------------------------------

    def forward(self, name: str, compute: Callable[..., T], *arguments: Any) -> T:
        """Measure a call of an operation on tensors: `compute(*arguments)`."""
        with self.measured(name, "forward") as event:
            result = compute(*arguments)
        first: Any = result[0] if isinstance(result, tuple) else result
        if first._node is not None:
            self._lines[first._node.order] = event.line
            event.bytes = self._memory.added_by(first._node)
        self._since = perf_counter()
        return result

    def backward(self, node: Node, gradients: Iterator[T]) -> Iterator[T]:
        """Measure the derivatives of a node, whose results pass through."""
        with self.measured(node.primitive.name, "backward", self._lines.get(node.order)):
            yield from gradients

    @contextlib.contextmanager
    def measured(self, name: str, phase: str = "", line: Line | None = None) -> Iterator[Event]:
        """Measure what the block does, which is called on this line: by default, on the one that calls the engine."""
        event = Event(name, phase, self._turn_to_next())
        self._running.append(event)
        try:
            yield event
        finally:
            event.length = self._turn_to_next() - event.start
            event.line = line or _calling_line()
            self.events.append(self._running.pop())
            self._since = perf_counter()  # what the profile itself takes is nobody's time

    def _turn_to_next(self) -> float:
        """Count what has passed since the last event began or ended as the running one's own; gives the time."""
        self._wait()
        now, launches = perf_counter(), self._launched()
        if self._running:
            self._running[-1].own += now - self._since
            self._running[-1].launches += launches - self._launches
        self._since, self._launches = now, launches
        return now

    # -- what it shows -------------------------------------------------------------------------------------------------

    def rows(self, by: str = "operation") -> list[Row]:
        """The rows of the table by "operation" or by "line"; what took longest comes first, what is outside last."""
        if by not in ("operation", "line"):
            raise ValueError(f'profile: expects by="operation" or by="line", got {by!r}')
        rows: dict[str, Row] = {}
        for event in self.events:
            name = event.name if by == "operation" or event.name == OUTSIDE else _shown(event.line)
            rows.setdefault(name, Row(name)).add(event)
        return sorted(rows.values(), key=lambda row: (row.name == OUTSIDE, -row.seconds))

    def table(self, by: str = "operation") -> str:
        """The time by "operation", or by "line" of the code that called operations.

        The line is the innermost one outside of minigen's autograd, ops, nn and optim; a backward pass counts for the
        lines of the forward pass. `ValueError` for another `by`.
        """
        total = Row("total")
        for event in self.events:
            total.add(event)
        lines = [HEADINGS, *(row.cells(total.seconds) for row in [*self.rows(by), total])]
        columns = [column for column in zip(*lines, strict=True) if any(column[1:])]
        padded = [[cell.rjust(max(map(len, column))) for cell in column] for column in columns[1:]]
        names = [name.ljust(max(map(len, columns[0]))) for name in columns[0]]
        return "\n".join("  ".join(line).rstrip() for line in zip(names, *padded, strict=True))

    def __str__(self) -> str:
        return self.table()

    def save(self, path: str | Path) -> None:
        """Write every event into a .json file that chrome://tracing and ui.perfetto.dev show on a time line."""
        if Path(path).suffix != ".json":
            raise ValueError(f"profile.save: expects a name that ends in .json, got {path}")
        first = min((event.start for event in self.events), default=0.0)
        events = [
            {
                "name": f"{event.name} {event.phase}".strip(),
                "ph": "X",  # a complete event; times are in microseconds
                "ts": 1e6 * (event.start - first),
                "dur": 1e6 * event.length,
                "pid": 0,
                "tid": 0,
                "args": {"line": _shown(event.line), "bytes saved": event.bytes},
            }
            for event in self.events
        ]
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


@contextlib.contextmanager
def profile(launched: Callable[[], int] = lambda: 0) -> Iterator[Profile]:
    """Measure the operations on tensors that this thread runs inside the block.

    launched  gives the number of kernels launched so far, where that can be told: the table then has their numbers

    On a GPU, the profile waits for the card before and after every operation, so that times are those of the kernels;
    what usually runs side by side then takes longer. Of two profiles, one inside the other, the inner one gets the
    operations.

    >>> with minigen.profile() as p:
    ...     step(images)
    >>> print(p)
    >>> print(p.table(by="line"))
    >>> p.save("trace.json")
    """
    result = Profile(launched)
    with changed_mode(profile=result), result.measured(OUTSIDE):
        yield result


def _calling_line() -> Line:
    """The innermost line outside of the engine and the layers."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_ENGINE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _shown(line: Line) -> str:
    """A line with its code, and with its file as seen from here or from minigen's folder."""
    file, number = line
    for folder in (os.getcwd() + os.sep, os.path.dirname(_HOUSE[:-1]) + os.sep):
        file = file.removeprefix(folder)
    code = linecache.getline(line[0], number).strip()
    return f"{file}:{number}  {code[:60]}"
