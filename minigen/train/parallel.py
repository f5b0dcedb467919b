"""Data parallelism: several processes train one model, each on its own rows of every batch.

    mpiexec -n 2 python demos/pixelcnn.py --parallel

Every process holds the whole model. A batch of N images is divided: process r takes n_r of them. The loss is a mean
over the images, so that of the batch, and its gradient, are sums over the processes:

    L = sum_r  n_r / N  L_r              dL / dw = sum_r  n_r / N  dL_r / dw

A step is then the step of one process, with three additions. The loss is differentiated with the weight n_r / N; the
gradients of all processes are summed, in one message (an all-reduce); and so are the statistics of batch normalisation,
which go over the whole batch. All processes start with the same parameters, go down the same gradient, and draw the
random numbers of the whole batch, of which each uses its rows. So their weights stay equal, and equal to those that one
process would have, but for rounding.

This holds for losses that are means over images. A loss that compares the images of a batch in another way, such as the
distance of two mean features, has to sum what it compares with `ops.all_reduce`.

Messages between the processes go over MPI (mpi4py), and sums of arrays on a GPU over NCCL. Li et al., "PyTorch
distributed" (2020, arXiv 2006.15704), also begin to sum while the backward pass still runs. That takes a second thread
that drives MPI, and on a CPU it takes the time from the backward pass, so it is not done here.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import traceback
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from minigen import processes
from minigen.autograd import Tensor
from minigen.autograd.modes import timed
from minigen.backend import Array, array_module, memory_order, on_host, to_numpy
from minigen.nn import Parameter
from minigen.processes import Group, Part
from minigen.random import random_state

# -- what a step adds --------------------------------------------------------------------------------------------------


def backward(loss: Tensor, parameters: Iterable[Parameter], part: Part) -> None:
    """The gradients of the loss of the whole batch, given that of the own rows; `loss.backward()` in one process."""
    if part.group.size == 1:
        loss.backward()
        return
    loss.backward(array_module(loss.data).full(loss.shape, part.weight, loss.dtype))
    with timed("all-reduce"):
        sum_over_processes([p for p in parameters if p.grad is not None], part.group)


def sum_over_processes(parameters: list[Parameter], group: Group) -> None:
    """Replace the gradient of each parameter by its sum over all processes: one flat array, one message."""
    gradients = [p.grad.data.transpose(memory_order(p.data)) for p in parameters]  # type: ignore[union-attr]
    xp = array_module(*gradients)
    total = group.sum(xp.concatenate([g.reshape(-1) for g in gradients]))
    for g, end in zip(gradients, accumulate(g.size for g in gradients), strict=True):
        g[...] = total[end - g.size : end].reshape(g.shape)


# -- that all processes have the same ----------------------------------------------------------------------------------


def gather(x: float, group: Group) -> np.ndarray:
    """The numbers x of all processes, (size,)."""
    return group.sum(np.where(np.arange(group.size) == group.rank, x, 0.0))


def broadcast(x: Array, group: Group) -> Array:
    """The array x of process 0, in each process: its sum with the zeros of the others."""
    return group.sum(x if group.rank == 0 else array_module(x).zeros_like(x))


def broadcast_json(what: Any, group: Group) -> Any:
    """What process 0 has, made of JSON's types."""
    text = np.frombuffer(json.dumps(what).encode(), np.uint8)
    length = int(broadcast(np.array(len(text)), group))
    text = broadcast(text if group.rank == 0 else np.zeros(length, np.uint8), group)
    return json.loads(text.tobytes())


def broadcast_parts(parts: Mapping[str, Any], group: Group) -> None:
    """Give modules and optimizers the state that they have in process 0."""
    for owner in parts.values():
        owner.load_state_dict({name: broadcast(x, group) for name, x in owner.state_dict().items()})


def check_equal(parts: Mapping[str, Any], step: int, group: Group) -> None:
    """`RuntimeError` unless all processes have the same parts and random numbers, by their checksums."""
    if group.size == 1:
        return
    crc = zlib.crc32(json.dumps(random_state()).encode())
    for owner in parts.values():
        for x in owner.state_dict().values():
            crc = zlib.crc32(np.ascontiguousarray(to_numpy(x)).data, crc)
    checksums = gather(crc, group)
    if different := [f"{rank}" for rank in range(group.size) if checksums[rank] != checksums[0]]:
        raise RuntimeError(
            f"parallel: after step {step} process {', '.join(different)} has other weights, states of optimizers or "
            "random numbers than process 0; expects every process to run the same program on the same data"
        )


# -- the processes -----------------------------------------------------------------------------------------------------


@contextmanager
def together(patience: float = 600.0) -> Iterator[Group]:
    """Inside the block, this process trains and evaluates together with the others that `mpiexec` has started.

    If a process fails, the others end too, and the error says which one it was. The same happens if a process does not
    come to a sum within `patience` seconds, in which it may evaluate or draw. At its end the block waits for all.
    `RuntimeError` if mpi4py or MPI is missing.
    """
    group = MPIGroup(patience)
    with processes.changed_group(group):
        try:
            yield group
        except BaseException as error:
            group.end(error)
            raise
        group.end()


def first_goes_on() -> None:
    """From here on the first process computes alone; the others end, as by `sys.exit()`."""
    if processes.group().rank > 0:
        raise SystemExit
    processes.leave_group()


class MPIGroup:
    """All processes of an `mpiexec`, and messages between them.

    place    number of this process among those of its machine, which is the number of its GPU
    names    of all processes, such as "process 0 (pid 4711 on host)"
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
        self.place = self.world.Split_type(MPI.COMM_TYPE_SHARED).rank
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
            total = array_module(x).empty(x.shape, x.dtype)
            self.nccl.all_reduce(array_module(x).ascontiguousarray(x), total)
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
                time.sleep(5e-5)  # leaves the core to those who still compute
            if waited > min(1.0, self.patience / 2) and not told:
                told = self._tell_that_it_waits()
            if waited > self.patience:
                raise RuntimeError(f"parallel: {self._missing()} has not come for {self.patience:g} s")

    def _tell_that_it_waits(self) -> bool:
        for rank in range(self.size):
            if rank != self.rank:
                self.watch.isend(self.count, rank)
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
        self.world.Abort(1)

    def __repr__(self) -> str:
        if self.size == 1:
            return "One process; `mpiexec -n N python ...` starts N of them"
        return f"{self.size} processes: {', '.join(self.names)}"
