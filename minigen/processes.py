"""Several processes that compute one thing together, and the rows of a batch that this process takes.

`train.parallel` starts them and explains the idea. The layers below it only have to know two things, which are here:
how to sum over all processes (batch normalisation needs it), and which rows of a batch are this process's own (random
numbers are drawn for the whole batch). Without `train.parallel` there is one process, and every row is its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from minigen.backend import Array, Shape, array_module


class Group(Protocol):
    """The processes that compute together; `rank` is the number of this one, 0 ... size - 1."""

    rank: int
    size: int

    def sum(self, x: Array) -> Array:
        """The sum of x over all processes, in each of them the same bits (all-reduce). All have to call it."""


class Alone:
    """A process without others."""

    rank, size = 0, 1

    def sum(self, x: Array) -> Array:
        return x


class Part(NamedTuple):
    """The rows start ... stop - 1 of a batch of `total`, which one process of the group takes."""

    group: Group
    start: int
    stop: int
    total: int
    copies: int = 1
    """How many processes take these same rows."""

    @property
    def weight(self) -> float:
        """The share of these rows in a mean over the batch."""
        return (self.stop - self.start) / (self.total * self.copies)

    def of(self, x: Any) -> Any:
        """The own rows of x (total, ...); None stays None."""
        return x if x is None or self.group.size == 1 else x[self.start : self.stop]

    def mean(self, x: Array) -> Array:
        """The mean over the batch, given the mean over the own rows."""
        return x if self.group.size == 1 else self.group.sum(x * self.weight)

    def means(self, numbers: Sequence[Array]) -> Sequence[Array]:
        """The same for several numbers, in one message."""
        return numbers if self.group.size == 1 else self.mean(array_module(*numbers).stack(numbers))

    def whole(self, count: int) -> int:
        """How many values the batch has, given that the own rows have `count`."""
        return count * self.total // (self.stop - self.start)


# Context variables: each thread has its own, so that two threads may train two models.
_group: ContextVar[Group] = ContextVar("processes", default=Alone())  # noqa: B039
_part: ContextVar[Part | None] = ContextVar("the own rows", default=None)


def group() -> Group:
    """The processes that compute together with this one."""
    return _group.get()


@contextmanager
def changed_group(new: Group) -> Iterator[None]:
    """Inside the block, this process computes together with those of another group."""
    token = _group.set(new)
    try:
        yield
    finally:
        _group.reset(token)


def leave_group() -> None:
    """From here on, this process computes alone."""
    _group.set(Alone())


@contextmanager
def own_part(total: int) -> Iterator[Part]:
    """The rows that this process takes of a batch of `total`; random numbers inside the block are those of its rows.

    The parts differ by a row at most. If there are fewer rows than processes, each process takes all of them.
    """
    present = group()
    rank, size = present.rank, present.size
    if total < size:
        part = Part(present, 0, total, total, copies=size)
    else:
        part = Part(present, rank * total // size, (rank + 1) * total // size, total)
    token = _part.set(None if size == 1 else part)
    try:
        yield part
    finally:
        _part.reset(token)


def present_part() -> Part | None:
    """The part of the block around; None outside of a block, and for a process without others."""
    return _part.get()


# -- arrays that are drawn for a whole batch --------------------------------------------------------------------------


def of_whole_batch(shape: Shape) -> Shape:
    """The shape for the whole batch of an array that has `shape` for the own rows, or for several times these."""
    part = _part.get()
    if part is None or not shape:
        return shape
    times, rest = divmod(shape[0], part.stop - part.start)
    if rest:
        raise ValueError(
            f"random numbers: a process that takes {part.stop - part.start} of {part.total} rows expects to draw for "
            f"these rows, its first axis; got the shape {shape}"
        )
    return (times * part.total, *shape[1:])


def own_rows(x: Array) -> Array:
    """The own rows of x, which has the shape that `of_whole_batch` gives."""
    part = _part.get()
    if part is None or not x.shape:
        return x
    rows = x.reshape(-1, part.total, *x.shape[1:])[:, part.start : part.stop]
    return rows.reshape(-1, *x.shape[1:])
