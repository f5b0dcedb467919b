"""What surrounds an operation: whether it is recorded, searched for NaN or timed, and which module called it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from minigen.backend import Array, array_module


class Mode(NamedTuple):
    """What operations on tensors do in addition to computing: record, detect NaN and infinity, and take their time."""

    recording: bool = True
    detecting: bool = False
    profile: Any = None  # the `minigen.profile` that runs


# a context variable, so that each thread and each task has its own
MODE: ContextVar[Mode] = ContextVar("mode", default=Mode())  # noqa: B039

# the module whose `forward` runs: a weak reference, so that no record keeps its module alive
MODULE: ContextVar[Callable[[], Any]] = ContextVar("module", default=lambda: None)


@contextmanager
def changed_mode(**changes: Any) -> Iterator[None]:
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


def check_finite(arrays: Iterable[Array], what: str, where: str = "") -> None:
    """Raise `FloatingPointError` if a NaN or an infinity is among the values."""
    for x in arrays:
        if x.dtype.kind == "f" and not bool(array_module(x).isfinite(x).all()):
            bad = x.size - int(array_module(x).isfinite(x).sum())
            called = f"; the operation was called at {where}" if where else ""
            raise FloatingPointError(f"{what} has {bad} of {x.size} values that are NaN or infinite{called}")


def caller() -> str:
    """The innermost line outside minigen, as `file:line, in function: code`."""
    here = str(Path(__file__).parents[1]) + os.sep
    frames = traceback.extract_stack()
    frame = next((f for f in reversed(frames) if not f.filename.startswith(here)), frames[-1])
    return f"{frame.filename}:{frame.lineno}, in {frame.name}: {frame.line}"


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Show what the block does as one line of this name in the table of a `minigen.profile`, if one runs."""
    profile = MODE.get().profile
    if profile is None:
        yield
    else:
        with profile.measured(name):
            yield
