"""The processes that `mpiexec` has started: sums over them, and what happens when one of them fails.

No run hangs. A process that fails alone ends the others. While a process waits for a sum it counts the seconds; when
they are too many, it says who has not come. And when a process is killed, `mpiexec` ends the others.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from functools import cached_property
from typing import Any

import numpy as np

from minigen.backend import Array, array_module, on_host


class MPIGroup:
    """All processes of an `mpiexec`, and messages between them.

    place     number of this process among those of its machine, which is the number of its GPU
    threads   how many threads each process may have, if those of a machine share its cores
    names     of all processes, such as "process 0 (pid 4711 on host)"
    """

    def __init__(self, patience: float) -> None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise RuntimeError(
                f"parallel: needs mpi4py and an MPI library ({str(error).splitlines()[0]}); "
                'install both with `pip install "minigen[parallel]"`'
            ) from error
        self.world, self.patience = MPI.COMM_WORLD, patience
        self.rank, self.size = self.world.rank, self.world.size
        machine = self.world.Split_type(MPI.COMM_TYPE_SHARED)
        self.place, self.threads = machine.rank, max(_cores() // machine.size, 1)
        host = f"pid {os.getpid()} on {socket.gethostname()}"
        self.names = [f"process {rank} ({where})" for rank, where in enumerate(self.world.allgather(host))]
        self.sums, self.watch = self.world.Dup(), self.world.Dup()
        self.count = 0  # sums so far
        self.waiting = [0] * self.size  # the number of the sum for which each other process was last seen waiting

    def sum(self, x: Array) -> Array:
        """The sum over all processes, in each of them the same bits."""
        if self.size == 1:
            return x
        if not on_host(x):
            x = array_module(x).ascontiguousarray(x).reshape(x.shape)
            total = array_module(x).empty_like(x)
            self.nccl.all_reduce(x, total)
            return total
        x = np.asarray(x, order="C")
        total = np.empty_like(x)
        self.count += 1
        self._wait(self.sums.Iallreduce(x, total))
        return total

    @cached_property
    def nccl(self) -> Any:
        """The communicator between the GPUs, one of each process."""
        from cupyx.distributed import NCCLBackend

        return NCCLBackend(self.size, self.rank, use_mpi=True)

    # -- waiting, and the end ------------------------------------------------------------------------------------------

    def _wait(self, request: Any) -> None:
        """Wait for the others; `RuntimeError` that names those who have not come after `patience` seconds."""
        started, told = time.monotonic(), False
        while not request.Test():
            waited = time.monotonic() - started
            if waited > 0.001:
                time.sleep(min(waited / 20, 0.01))  # leaves the core to those who still compute
            if waited > min(1.0, self.patience / 2) and not told:
                told = self._tell_that_it_waits()
            if waited > self.patience:
                raise RuntimeError(f"parallel: {self._missing()} has not come for {self.patience:g} s")

    def _tell_that_it_waits(self) -> bool:
        self.letters = [self.watch.isend(self.count, rank) for rank in range(self.size) if rank != self.rank]
        self._listen()
        return True

    def _listen(self) -> None:
        """Read who waits for which sum."""
        for rank in range(self.size):
            while rank != self.rank and self.watch.iprobe(rank):
                self.waiting[rank] = self.watch.recv(source=rank)

    def _missing(self) -> str:
        self._listen()
        others = [rank for rank in range(self.size) if rank != self.rank and self.waiting[rank] < self.count]
        return ", ".join(self.names[rank] for rank in others) or "the network"

    def end(self, error: BaseException | None = None) -> None:
        """Wait for the end of all processes. If only this one ends with an error, tell it and end the others."""
        if isinstance(error, SystemExit) and not error.code:
            error = None
        arrived, until = self.watch.Ibarrier(), time.monotonic() + 1.0
        while not arrived.Test():
            time.sleep(0.01)
            if error is not None and time.monotonic() > until:
                self._abort(error)
        if error is not None and self.rank > 0:  # all have failed; the first one tells it
            code = getattr(error, "code", 1)
            raise SystemExit(code if isinstance(code, int) else 1) from None

    def _abort(self, error: BaseException) -> None:
        if isinstance(error, SystemExit):
            sys.stderr.write(f"{self.names[self.rank]}: {error.code}\n")
        else:
            error.add_note(f"in {self.names[self.rank]}, which ends the others")
            traceback.print_exception(error)
        sys.stderr.flush()
        time.sleep(0.2)  # until mpiexec has passed it on
        self.world.Abort(1)

    def __repr__(self) -> str:
        if self.size == 1:
            return "One process; `mpiexec -n N python ...` starts N of them"
        return f"{self.size} processes: {', '.join(self.names)}"


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
