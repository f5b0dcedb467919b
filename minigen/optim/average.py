"""Averages of weights (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigen.autograd import Tensor
from minigen.backend import Array, blocks, flattened, memory_order, row_major
from minigen.capture import recomputed
from minigen.kernels import kernel
from minigen.nn.module import Module, load_arrays


@kernel("T current, T share", "T average", "average += share * (current - average)")
def _move(current: Array, share: float, average: Array) -> None:
    average += share * (current - average)


class WeightEMA:
    """An exponential moving average of a module's weights, often better than the last ones.

    Running statistics of batch normalisation are averaged with the parameters. The decay warms up: for the n-th update
    it is at most (1 + n) / (10 + n), so that the average of a short run is not one of its initial weights.

    >>> ema = WeightEMA(generator, decay=0.999)
    >>> ...                                  # after every optimizer.step():
    >>> ema.update()
    >>> with ema.applied():                  # inside, the module has the averaged weights
    ...     generator.sample(64)
    """

    def __init__(self, module: Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"WeightEMA: expects decay in [0, 1), got {decay}")
        self.module, self.decay = module, decay
        self.updates = 0
        with module.device:
            self.average = {name: x.data.copy(order="K") for name, x in self._averaged()}

    def _averaged(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, x) for name, x in self.module.named_tensors() if x.dtype.kind == "f")

    def update(self) -> None:
        """average = decay average + (1 - decay) weights"""
        recomputed(self._count)
        for name, p in self._averaged():
            (share,) = recomputed(self._share, p.dtype)
            order = memory_order(p.data)
            average, current = (flattened(x, order) for x in (self.average[name], p.data))
            for block in blocks(p.data):
                _move(current[block], share, average[block])

    def _count(self) -> tuple[()]:
        self.updates += 1
        return ()

    def _share(self) -> tuple[float]:
        """The share of the present weights in the average."""
        return (1 - min(self.decay, (1 + self.updates) / (10 + self.updates)),)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averaged weights inside the block, and its own again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, p in self._averaged():
            current = p.data.copy()
            p.data[...] = self.average[name]
            p.data = p.data  # tells the tape that it changed
            self.average[name][...] = current

    def state_dict(self) -> dict[str, Array]:
        """The averages by name, and "number of updates", a name that no attribute has."""
        averages = {name: row_major(x) for name, x in self.average.items()}
        return {**averages, "number of updates": np.array(self.updates)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`. `ValueError`, with nothing changed, if it does not fit the module."""
        updates = Tensor(np.array(self.updates))
        own = {"number of updates": updates, **{name: Tensor(x) for name, x in self.average.items()}}
        warmed_up = {"number of updates": np.array(10**9)}  # for states of before there was a warm-up
        load_arrays(own, warmed_up | dict(state), type(self).__name__)
        self.updates = updates.item()
