"""Signals that end a run: it finishes its current step and saves before it ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import numpy as np

from minigen.processes import group
from minigen.train.run import Run

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP ended a run, after everything was saved."""


class Interruption:
    """Inside the block the first Ctrl-C, SIGTERM or SIGHUP sets `asked` and tells the user; a second one acts as usual.

    If the block then ends without an error, the signal acts as usual at its end.

    asked   the number of the signal, 0 if there was none
    piece   what the run finishes first, in the words of the message
    """

    def __init__(self) -> None:
        self.asked, self.piece = 0, "this step"
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only there can signals be caught
            self.before = {number: signal.getsignal(number) for number in SIGNALS if not _under_nohup(number)}
        for number in self.before:
            signal.signal(number, self._ask)
        return self

    def __exit__(self, error: object, *details: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.asked and error is None:
            signal.raise_signal(self.asked)

    @contextmanager
    def finishing(self, piece: str, run: Run) -> Iterator[None]:
        """A piece of the run. At its end, save and raise `Interrupted` if any of several processes has got a signal."""
        self.piece = piece
        yield
        if run.group.sum(np.array(self.asked)):
            run.save()
            where = f"in epoch {run.epoch + 1}" if run.batch else f"after epoch {run.epoch}"
            raise Interrupted(f"Interrupted {where}. All is saved in {run.out}; --resume goes on.")
        self.piece = "this step"

    def _ask(self, number: int, frame: Any) -> None:
        self.asked = number
        signal.signal(number, self.before[number])
        if group().rank > 0:  # the first process speaks for all
            return
        message = f"\nFinishing {self.piece}, then saving. Once more ends the program at once.\n"
        with suppress(OSError, ValueError, AttributeError):  # stderr may be closed, or None
            os.write(sys.__stderr__.fileno(), message.encode())  # type: ignore[union-attr]  # `print` may be interrupted


def _under_nohup(number: int) -> bool:
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) is signal.SIG_IGN
