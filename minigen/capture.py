"""Capture a training step on a GPU: its kernels are recorded once, and then launched as one.

To launch a kernel takes a GPU's host about 10 microseconds, and Python decides for another 10 to 50 which one is next;
many kernels of a training step compute less than that. A CUDA graph holds the kernels of a whole step, with the places
in memory from which each reads and to which it writes:

    step = Captured(train.MaximumLikelihood(model, optimizer))
    for images, labels in batches:
        step(images, labels)

The third step with images of one shape is recorded: it runs once in Python, and computes nothing. From then on a step
copies its images to where the graph reads them, and launches the graph. Python does not run in between, so whatever it
decides or counts would stay as it was in the recorded step. Numbers that change are therefore given as functions:
`recomputed`. The optimizers, the learning rate's schedule, the random numbers and the averages of weights use it; a
model must do so for what it computes on the host anew in each step. A step that asks for a value on the GPU, or copies
from the host, cannot be recorded. Then a warning says why, nothing has changed, and it runs kernel by kernel.

Cached sampling is captured in the same way: its step draws a row of pixels (`models/autoregressive.py`).

NVIDIA, "CUDA C++ Programming Guide", chapter "CUDA Graphs".
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import numpy as np

from minigen.backend import Array, array_module, device_of, is_array, multiplies, on_host
from minigen.cublas import Cublas

Numbers = Callable[[], tuple[Any, ...]]
_recording: ContextVar[Graph | None] = ContextVar("the graph that is being recorded", default=None)


def recomputed(compute: Numbers, *dtypes: Any) -> tuple[Any, ...]:
    """The numbers that `compute()` gives; in a captured step, those that it gives when the step is made.

    While a step is recorded `compute` is not called, and the numbers are arrays () of these data types. Each launch
    then calls the functions in the order in which they were given, and puts their numbers into these arrays. Without
    data types, a function is called for what else it does, such as to count steps.
    """
    graph = _recording.get()
    return compute() if graph is None else graph.slots(compute, dtypes)


class Captured:
    """A training step that is captured on a GPU: called like `step`, it does the same. On a CPU it is the step itself.

    step    a function of arrays that returns metrics by name, such as `train.MaximumLikelihood` or `train.Game`. What
            it keeps from one call to the next it must change in place, as the optimizers do.
    """

    WARM_UP = 2
    """Steps before the one that is recorded: they fill caches and compile kernels."""

    def __init__(self, step: Any) -> None:
        self.step, self.parts = step, getattr(step, "parts", {})
        self.look = getattr(step, "look", lambda metrics: None)
        self.graphs: dict[Any, Graph] = {}
        self.calls: dict[Any, int] = {}
        self.refused = False

    def __call__(self, *args: Any) -> dict[str, Any]:
        places = [device_of(x) for x in args if not on_host(x)]
        if self.refused or not places:
            return self.step(*args)
        args = tuple(places[0].asarray(x) if is_array(x) else x for x in args)
        key = tuple((x.shape, x.dtype.str, str(places[0])) if is_array(x) else x for x in args)
        graph = self.graphs.get(key)
        if graph is None or not graph.is_valid():
            self.calls[key] = self.calls.get(key, 0) + 1
            if self.calls[key] <= self.WARM_UP:
                return self.step(*args)
            try:
                graph = self.graphs[key] = Graph(self.step, args)
            except Exception as error:
                self.refused = True
                warnings.warn(
                    f"the step runs kernel by kernel, because it cannot be captured ({type(error).__name__}: {error})",
                    stacklevel=2,
                )
                return self.step(*args)
        return graph(args)


class Graph:
    """The kernels of one call of `step(*args)`, recorded and not yet run."""

    def __init__(self, step: Any, args: tuple[Any, ...]) -> None:
        xp = array_module(*args)
        self.inputs = [xp.empty_like(x) if is_array(x) else x for x in args]
        self.functions: list[tuple[Numbers, list[np.ndarray]]] = []
        self.numbers = np.zeros(1 << 13)  # each in 8 bytes: what the functions give, on the host and on the device
        self.on_device, self.used = xp.zeros(self.numbers.shape), 0
        self.memory = xp.cuda.MemoryPool()  # for this graph alone, because each launch writes to it again
        self.stream = xp.cuda.Stream(non_blocking=True)
        self.cublas = Cublas(xp, self.stream)
        self.state = [(x, x.data) for x in _tensors_of(step)]
        xp.cuda.Device().synchronize()
        try:
            with xp.cuda.using_allocator(self.memory.malloc), self._recorded():
                metrics = step(*self.inputs)
                self.others = {name: x for name, x in metrics.items() if on_host(x)}
                self.names = [name for name in metrics if name not in self.others]
                self.metrics = xp.empty(len(self.names))
                for i, name in enumerate(self.names):
                    self.metrics[i] = metrics[name]
            if not self.is_valid():
                raise RuntimeError("the step does not change its state in place")
        except Exception:
            for x, data in self.state:
                x.data = data  # what was recorded has not been computed
            raise

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Record the kernels that are launched inside the block."""
        token, products = _recording.set(self), multiplies.set(self.cublas.matmul)
        try:
            with self.stream:
                self.stream.begin_capture()
                try:
                    yield
                except BaseException:
                    with suppress(Exception):
                        self.stream.end_capture()
                    raise
                self.graph = self.stream.end_capture()
        finally:
            _recording.reset(token)
            multiplies.reset(products)

    def slots(self, compute: Numbers, dtypes: tuple[Any, ...]) -> tuple[Array, ...]:
        """Arrays () for the numbers of `compute`: see `recomputed`."""
        numbers = range(self.used, self.used + len(dtypes))
        self.used += len(dtypes)
        views = lambda words: [words[i : i + 1].view(dtype)[:1] for i, dtype in zip(numbers, dtypes, strict=True)]
        self.functions.append((compute, views(self.numbers)))
        return tuple(x.reshape(()) for x in views(self.on_device))

    def is_valid(self) -> bool:
        """Whether the step's modules are where they were when it was recorded."""
        return all(x.data is data for x, data in self.state)

    def __call__(self, args: tuple[Any, ...]) -> dict[str, Any]:
        for own, x in zip(self.inputs, args, strict=True):
            if is_array(own):
                own[...] = x
        for compute, places in self.functions:
            for place, number in zip(places, compute(), strict=True):
                place[0] = number
        self.on_device[: self.used] = array_module(self.on_device).asarray(self.numbers[: self.used])
        self.graph.launch()
        values = self.metrics.copy()
        return self.others | {name: values[i] for i, name in enumerate(self.names)}


def _tensors_of(step: Any) -> Iterator[Any]:
    """The parameters and buffers of the step's modules."""
    for part in getattr(step, "parts", {}).values():
        if hasattr(part, "named_tensors"):
            yield from (x for _, x in part.named_tensors())
