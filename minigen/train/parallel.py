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

Messages between the processes go over MPI (mpi4py, see `train.mpi`), and sums of arrays on a GPU over NCCL. Li et al.,
"PyTorch distributed" (2020, arXiv 2006.15704), begin to sum while the backward pass still runs. Between two processes
on a CPU this gained about 1 %, because MPI moves data only while it is called, so it is not done here.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import accumulate
from typing import Any

import numpy as np

from minigen import processes
from minigen.autograd import Tensor
from minigen.autograd.modes import timed
from minigen.backend import Array, array_module, memory_order, to_numpy
from minigen.nn import Parameter
from minigen.processes import Group, Part
from minigen.random import random_state
from minigen.train.mpi import MPIGroup

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
def together(patience: float = 1800.0) -> Iterator[MPIGroup]:
    """Inside the block, this process trains and evaluates together with the others that `mpiexec` has started.

    If a process fails, the others end too, and the error says which one it was. The same happens if a process does not
    come to a sum within `patience` seconds, in which it may evaluate or draw. At its end the block waits for all.
    Matrix products get their share of the machine's cores as threads, unless OMP_NUM_THREADS says otherwise.
    `RuntimeError` if mpi4py or MPI is missing.
    """
    group = MPIGroup(patience)
    with processes.changed_group(group), _share_of_cores(group):
        try:
            yield group
        except BaseException as error:
            group.end(error)
            raise
        group.end()


def _share_of_cores(group: MPIGroup) -> Any:
    """Inside the block, the processes of a machine do not have more threads than it has cores."""
    if "OMP_NUM_THREADS" in os.environ:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(group.threads)


def first_goes_on() -> None:
    """From here on the first process computes alone; the others end, as by `sys.exit()`."""
    if processes.group().rank > 0:
        raise SystemExit
    processes.leave_group()
