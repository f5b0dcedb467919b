"""The tables of `benchmark.py`, a file for each, and what they share: timing in turns, and a table that prints itself.

A table is a function `measure(args, table)` that adds its rows one by one; each appears at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

from minigen.backend import waiting


class Times(NamedTuple):
    """Milliseconds of the same work, done several times."""

    values: Sequence[float]

    def __str__(self) -> str:
        return f"{min(self.values):.1f} / {median(self.values):.1f}"

    @property
    def median(self) -> float:
        return median(self.values)


class Ratio(NamedTuple):
    """Ours to theirs: of the minima, and of the medians."""

    ours: Times
    theirs: Times

    def __str__(self) -> str:
        return f"{min(self.ours.values) / min(self.theirs.values):.2f} / {self.of_medians:.2f}"

    @property
    def of_medians(self) -> float:
        return self.ours.median / self.theirs.median


class Table:
    """Rows of named values, printed as they come and kept for the files."""

    def __init__(self, title: str, note: str) -> None:
        self.title, self.note = title, note
        self.rows: list[dict[str, Any]] = []
        self.remarks: list[str] = []
        self._columns: list[str] = []
        print(f"\n{title}: {note}")

    def add(self, **row: Any) -> None:
        """Print a row; its first column is the widest. New columns get a new heading."""
        if [*row] != self._columns:
            self._columns = [*row]
            print(self._line([name.replace("_", " ") for name in row]))
        self.rows.append(row)
        print(self._line(row.values()), flush=True)

    def remark(self, text: str) -> None:
        """A line about the rows above."""
        self.remarks.append(text)
        print(text, flush=True)

    def _line(self, cells: Any) -> str:
        first, *others = map(cell, cells)
        return f"{first:<{WIDTH.get(self.title, 24)}}" + "".join(f"{text:>16}" for text in others)

    def markdown(self) -> str:
        """The table as Markdown; rows with other columns begin a new one."""
        lines, columns = [f"## {self.title}", "", self.note], list[str]()
        for row in self.rows:
            if [*row] != columns:
                columns = [*row]
                lines += ["", *in_lines([name.replace("_", " ") for name in columns], [])]
            lines.append(in_bars(map(cell, row.values())))
        return "\n".join([*lines, *(f"\n{text}" for text in self.remarks)])

    def json(self) -> list[dict[str, Any]]:
        """The rows with every single time."""
        return [{name: plain(value) for name, value in row.items()} for row in self.rows]


WIDTH = {"convolutions": 64, "engine": 40}
"""The width of a table's first column, where that is long."""


def cell(value: Any) -> str:
    """A value as text."""
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def plain(value: Any) -> Any:
    """A value in JSON's types."""
    if isinstance(value, Ratio):
        return value.of_medians
    return list(value.values) if isinstance(value, Times) else value


def in_bars(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def in_lines(heading: Sequence[str], rows: Iterable[Any]) -> list[str]:
    """A table as the lines of its Markdown."""
    return [in_bars(heading), in_bars("---" for _ in heading), *map(in_bars, rows)]


def in_turns(functions: Sequence[Callable[[], Any]], repeat: int) -> list[Times]:
    """The times that each function takes, `repeat` of them, until a GPU has done its work, too.

    With several, a turn begins with a rest and a call that is not timed: after its call, a library's waiting threads
    take the processor from the next one for a while.
    """
    times: list[list[float]] = [[] for _ in functions]
    wait = waiting()
    for i in range(repeat):
        for function, taken in zip(functions, times, strict=True):
            if len(functions) > 1:
                time.sleep(0.05)
            if len(functions) > 1 or i == 0:
                function()
            wait()
            start = time.perf_counter()
            function()
            wait()
            taken.append(1000 * (time.perf_counter() - start))
    return [Times(taken) for taken in times]


def compared(times: Sequence[Times]) -> dict[str, Any]:
    """The columns of a comparison: ours, and if PyTorch was timed, theirs and the ratio."""
    ours, *others = times
    if not others:
        return {"minigen": ours}
    return {"minigen": ours, "PyTorch": others[0], "ratio": Ratio(ours, others[0])}
