"""What a GPU charges for, counted: kernels, transfers and waits of the host; and on which device a kernel runs.

Every function and method of the stand-in calls `launch` when it computes, `upload` and `download` when numbers go from
the host to the device or back, and `synchronise` when the host has to wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from strict_cupy.array import ndarray

DEVICE_COUNT = 2

# -- counting ----------------------------------------------------------------------------------------------------------


@dataclass
class Counts:
    """What happened inside a `with count()` block.

    launches          kernels. A view is none; `costs` has the calls that are several kernels in CuPy.
    synchronisations  how often the host waits: for every download, and for a result whose shape depends on values, such
                      as `x[x > 0]`.
    uploads           arrays that go from the host to the device; the host does not wait for them.
    downloads         arrays that go from the device to the host.
    """

    launches: int = 0
    synchronisations: int = 0
    uploads: int = 0
    downloads: int = 0

    @property
    def transfers(self) -> int:
        return self.uploads + self.downloads


class Wait(AssertionError):
    """The host would wait for the device in a `no_sync` block."""


_open: list[Counts] = []
_waiting_is_refused: list[bool] = []


@contextmanager
def count() -> Iterator[Counts]:
    """Count what happens inside the block; blocks may be nested."""
    _open.append(Counts())
    try:
        yield _open[-1]
    finally:
        _open.pop()


@contextmanager
def no_sync() -> Iterator[None]:
    """Inside the block, whatever makes the host wait for the device raises `Wait`."""
    _waiting_is_refused.append(True)
    try:
        yield
    finally:
        _waiting_is_refused.pop()


def synchronise() -> None:
    """Count a wait of the host for the device."""
    refuse_in_capture("the host waits")
    if _waiting_is_refused:
        raise Wait("the host waits here until the device has computed everything")
    for counts in _open:
        counts.synchronisations += 1


def upload(arrays: int = 1) -> None:
    """Count arrays that go to the device. CuPy copies them to pinned memory first, so the host does not wait."""
    if arrays:
        refuse_in_capture("a copy from the host")
    for counts in _open:
        counts.uploads += arrays


def download() -> None:
    """Count an array that goes to the host, which waits for it."""
    synchronise()
    for counts in _open:
        counts.downloads += 1


def launch(name: str, inputs: list[ndarray], kernels: int = 1) -> None:
    """Count the kernels of the function `name`; refuse it where an input is not on the current device."""
    for x in inputs:
        if x._device_id != current.device_id:
            raise ValueError(
                f"{name}: an array is on device {x._device_id}, but the current device is {current.device_id}; "
                "enter cupy.cuda.Device of the arrays' device, or move them"
            )
    for counts in _open:
        counts.launches += kernels


# -- capture -----------------------------------------------------------------------------------------------------------


class Recording(NamedTuple):
    """The work that is launched while a stream is captured."""

    again: list[Callable[[], None]]
    """computes each kernel's results once more, from what its inputs then hold"""
    undo: list[Callable[[], None]]
    """a captured kernel is not run: this takes back what the stand-in computed meanwhile"""


_recordings: list[Recording] = []


def recorded(compute: Callable[[], Any], arrays: list[np.ndarray]) -> Any:
    """`compute()`, which may write to these arrays; while a stream is captured, it is recorded as a kernel."""
    if not _recordings:
        return compute()
    before = [x.copy() for x in arrays]
    result = compute()
    for x, values in zip(arrays, before, strict=True):
        if not np.array_equal(x, values, equal_nan=x.dtype.kind in "fc"):
            _recordings[-1].undo.append(partial(np.copyto, x, values))
    _recordings[-1].again.append(lambda: _store(result, compute()))
    return result


def _store(result: Any, values: Any) -> None:
    """Put new values into the memory of a kernel's first results."""
    if isinstance(result, list | tuple):
        for x, y in zip(result, values, strict=True):
            _store(x, y)
    elif hasattr(result, "_array") and result._array.flags.writeable:
        np.copyto(result._array, values._array)


def refuse_in_capture(what: str) -> None:
    """Raise for what CUDA or CuPy refuse while a stream is captured."""
    if _recordings:
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} while a stream is captured")


class Stream:
    """`cupy.cuda.Stream`, whose work can be captured."""

    ptr = 0

    def __init__(self, *, non_blocking: bool = False) -> None:
        self.non_blocking = non_blocking

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def begin_capture(self) -> None:
        if not self.non_blocking:
            raise RuntimeError("cudaErrorStreamCaptureImplicit: the default stream would wait for this one")
        _recordings.append(Recording([], []))

    def end_capture(self) -> Graph:
        recording = _recordings.pop()
        for undo in reversed(recording.undo):
            undo()
        return Graph(recording.again)


class Graph:
    """`cupy.cuda.Graph`: all its kernels are one launch."""

    def __init__(self, kernels: list[Callable[[], None]]) -> None:
        self.kernels = kernels

    def launch(self) -> None:
        launch("graph", [])
        for kernel in self.kernels:
            kernel()


# -- devices -----------------------------------------------------------------------------------------------------------


class _Current(threading.local):
    """The number of the current device, which each thread has for itself."""

    device_id = 0


current = _Current()


class Device:
    """`cupy.cuda.Device`: a context manager that makes a device the current one."""

    def __init__(self, device: Any = None) -> None:
        self.id = current.device_id if device is None else int(device)
        self._previous: list[int] = []

    def use(self) -> None:
        if not 0 <= self.id < DEVICE_COUNT:
            raise RuntimeError(f"cudaErrorInvalidDevice: invalid device ordinal ({self.id} of {DEVICE_COUNT})")
        current.device_id = self.id

    def synchronize(self) -> None:
        synchronise()

    def __enter__(self) -> Device:
        self._previous.append(current.device_id)
        self.use()
        return self

    def __exit__(self, *error: object) -> None:
        current.device_id = self._previous.pop()

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    __hash__ = None  # type: ignore[assignment]
