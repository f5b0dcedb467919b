"""Whether operations are recorded, and whether their results are searched for NaN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple


class Mode(NamedTuple):
    """What operations on tensors do in addition to computing: record, and detect NaN and infinity."""

    recording: bool = True
    detecting: bool = False


# a context variable, so that each thread and each task has its own
MODE: ContextVar[Mode] = ContextVar("mode", default=Mode())  # noqa: B039


@contextmanager
def changed_mode(**changes: bool) -> Iterator[None]:
    """Change the mode inside the block."""
    token = MODE.set(MODE.get()._replace(**changes))
    try:
        yield
    finally:
        MODE.reset(token)


def no_grad() -> Any:
    """Record no operations inside the block: `with no_grad(): ...`, or `@no_grad()` above a function."""
    return changed_mode(recording=False)


def detect_anomaly() -> Any:
    """Raise `FloatingPointError` inside the block at the first operation that gives a NaN or an infinity.

    The error names the operation. In a backward pass, it also names the line that called the operation. Every result
    is checked, which is slow.
    """
    return changed_mode(detecting=True)
