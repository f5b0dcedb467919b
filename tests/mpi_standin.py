"""A stand-in for MPI and NCCL: every thread is a process. What a process sends is in the memory of all.

It has the part of mpi4py and of `cupyx.distributed` that `train.parallel` uses, and refuses what the real ones refuse.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

_rank = threading.local()


class Communicator:
    """MPI's communicator of so many threads."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.lock = threading.Lock()
        self.sent: list[dict[int, Any]] = []  # by the number of the call, what each thread gave to it
        self.calls = [0] * size
        self.copies: list[Communicator] = []
        self.letters: dict[tuple[int, int], list[Any]] = {}  # by sender and receiver

    @property
    def rank(self) -> int:
        return _rank.number

    def Dup(self) -> Communicator:
        with self.lock:
            number, self.calls[self.rank] = self.calls[self.rank], self.calls[self.rank] + 1
            while len(self.copies) <= number:
                self.copies.append(Communicator(self.size))
            return self.copies[number]

    def Split_type(self, kind: object) -> Any:
        return SimpleNamespace(rank=self.rank, size=self.size)

    def allgather(self, what: Any) -> list[Any]:
        given = self._give(what)
        while len(given) < self.size:
            threading.Event().wait(1e-4)
        return [given[rank] for rank in range(self.size)]

    def Iallreduce(self, x: Any, total: Any) -> Any:
        if not isinstance(x, np.ndarray) or not x.flags.c_contiguous or x.shape != total.shape:
            raise TypeError("the stand-in for MPI expects contiguous arrays of NumPy")
        given = self._give(x.copy())

        def test() -> bool:
            if len(given) < self.size:
                return False
            assert {(y.shape, y.dtype) for y in given.values()} == {(x.shape, x.dtype)}, "different sums"
            total[...] = sum(given[rank] for rank in range(self.size))
            return True

        return SimpleNamespace(Test=test)

    def Ibarrier(self) -> Any:
        given = self._give(None)
        return SimpleNamespace(Test=lambda: len(given) == self.size)

    def isend(self, what: Any, to: int) -> None:
        self.letters.setdefault((self.rank, to), []).append(what)

    def iprobe(self, source: int) -> bool:
        return bool(self.letters.get((source, self.rank)))

    def recv(self, *, source: int) -> Any:
        return self.letters[source, self.rank].pop(0)

    def _give(self, what: Any) -> dict[int, Any]:
        """Enter what this thread gives to its next call; returns what all give to it."""
        with self.lock:
            number, self.calls[self.rank] = self.calls[self.rank], self.calls[self.rank] + 1
            while len(self.sent) <= number:
                self.sent.append({})
            self.sent[number][self.rank] = what
            return self.sent[number]


class NCCLBackend:
    """`cupyx.distributed.NCCLBackend`: sums of arrays on a card."""

    communicator: Communicator
    made: list[int]  # the sizes of the arrays that the first process has summed

    def __init__(self, n_devices: int, rank: int, use_mpi: bool = False) -> None:
        assert n_devices == self.communicator.size and rank == self.communicator.rank and use_mpi

    def all_reduce(self, x: Any, total: Any) -> None:
        if isinstance(x, np.ndarray) or not (x.flags.c_contiguous or x.flags.f_contiguous) or x.dtype.kind not in "fiu":
            raise RuntimeError("NCCL requires arrays to be either c- or f-contiguous")
        if self.communicator.rank == 0:
            self.made.append(x.size)
        total[...] = sys.modules["cupy"].asarray(sum(self.communicator.allgather(x.get())))


def run_together(size: int, work: Callable[[], Any], patch: pytest.MonkeyPatch) -> list[Any]:
    """What `work()` returns in each of so many processes, which are threads."""
    world = NCCLBackend.communicator = Communicator(size)
    NCCLBackend.made = []
    mpi = SimpleNamespace(COMM_WORLD=world, COMM_TYPE_SHARED=0)
    modules = {
        "mpi4py": {"MPI": mpi},
        "cupyx": {},
        "cupyx.distributed": {"NCCLBackend": NCCLBackend},
        "threadpoolctl": {"threadpool_limits": lambda threads: nullcontext()},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        patch.setitem(sys.modules, name, module)
    results: list[Any] = [None] * size

    def process(rank: int) -> None:
        _rank.number = rank
        try:
            results[rank] = work()
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=process, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
