"""Whether operations are recorded, and whether their results are searched for NaN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple


class Mode(NamedTuple):
    """What operations on tensors do besides computing."""

    recording: bool = True
    detecting: bool = False


# a context variable, so that each thread and each task has its own
MODE: ContextVar[Mode] = ContextVar("mode", default=Mode())  # noqa: B039


@contextmanager
def changed_mode(**changes: bool) -> Iterator[None]:
    """The mode with these changes, inside the block."""
    token = MODE.set(MODE.get()._replace(**changes))
    try:
        yield
    finally:
        MODE.reset(token)


def no_grad() -> Any:
    """Nothing is recorded inside: `with no_grad(): ...`, or `@no_grad()` above a function."""
    return changed_mode(recording=False)


def detect_anomaly() -> Any:
    """Inside, the operation that first makes a NaN or an infinity raises `FloatingPointError`, which names it.

    A backward pass names the operation whose derivative did it, and the line that called that operation. Every
    result is looked at, so this is slow.
    """
    return changed_mode(detecting=True)
