"""What a GPU charges for, counted: launches of kernels and waits of the host; and on which device a launch runs.

Every function and method of the stand-in calls `launch` when it computes and `synchronise` when the host has to wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strict_cupy.array import ndarray

DEVICE_COUNT = 2

# -- counting ----------------------------------------------------------------------------------------------------------


@dataclass
class Counts:
    """What happened inside a `with count()` block.

    launches          calls that compute. A view is none; a call that is several kernels in CuPy is one here.
    synchronisations  calls for which the host waits: every way from the device to the host, and a result whose shape
                      depends on values, such as `x[x > 0]`.
    """

    launches: int = 0
    synchronisations: int = 0


_open: list[Counts] = []


@contextmanager
def count() -> Iterator[Counts]:
    """Count the launches and synchronisations inside the block; blocks may be nested."""
    _open.append(Counts())
    try:
        yield _open[-1]
    finally:
        _open.pop()


def synchronise() -> None:
    """Count a wait of the host for the device."""
    for counts in _open:
        counts.synchronisations += 1


def launch(name: str, inputs: list[ndarray]) -> None:
    """Count a launch of the function `name`; refuse it where an input is not on the current device."""
    for x in inputs:
        if x._device_id != current.device_id:
            raise ValueError(
                f"{name}: an array is on device {x._device_id}, but the current device is {current.device_id}; "
                "enter cupy.cuda.Device of the arrays' device, or move them"
            )
    for counts in _open:
        counts.launches += 1


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
