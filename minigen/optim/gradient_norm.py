"""The norm of a gradient, over all parameters together: to watch it, and to clip it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigen.backend import Array, array_module, flattened, memory_order
from minigen.kernels import kernel
from minigen.nn.module import Parameter


def clip_grad_norm(parameters: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients by one factor so that their total norm is at most `max_norm`; returns the norm before.

    Pascanu, Mikolov and Bengio 2013 (arXiv 1211.5063), section 3.2. `ValueError` unless max_norm > 0.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm: expects max_norm > 0, got {max_norm}")
    parameters = list(parameters)
    norm = float(grad_norm(parameters))
    if norm > max_norm:
        for p in parameters:
            if p.grad is not None:
                p.grad.data *= max_norm / norm
    return norm


def grad_norm(parameters: Iterable[Parameter]) -> Array:
    """The norm of all gradients together, in float64: a 0-d array on their device, for which nothing waits."""
    gradients = [flattened(p.grad.data, memory_order(p.grad.data)) for p in parameters if p.grad is not None]
    xp = array_module(*gradients)
    sums = xp.zeros(1 if xp is np else 4096)  # on a GPU, as many threads add squares
    gradients += [xp.empty(0)] * (-len(gradients) % len(_LETTERS))
    for first in range(0, len(gradients), len(_LETTERS)):
        _add_squares(*gradients[first : first + len(_LETTERS)], len(sums), sums)
    return xp.sqrt(sums.sum())


_LETTERS = "abcdefgh"  # the names of eight gradients, which one kernel reads


@kernel(
    "".join(f"raw {x.upper()} {x}, " for x in _LETTERS) + "int64 threads",
    "float64 sum",
    "".join(f"for (ptrdiff_t k = i; k < {x}.size(); k += threads) sum += double({x}[k]) * {x}[k];" for x in _LETTERS),
)
def _add_squares(*args: Any) -> None:
    *gradients, _, sums = args
    for g in gradients:
        sums += np.square(g, dtype=np.float64).sum()
