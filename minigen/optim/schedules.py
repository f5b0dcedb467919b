"""Schedules: the factor of the learning rate, as a function of the number of steps made.

schedule = cosine_decay(steps, warmup=100)
optimizer.lr = lr * schedule(optimizer.steps)        # before every optimizer.step()
"""

from __future__ import annotations

import math
from collections.abc import Callable


def linear_decay(steps: int) -> Callable[[int], float]:
    """A schedule: gives the factor of the learning rate from the number of steps made, of `steps` in all.

    The factor is 1 in the first half and then falls to 0 in a straight line. `ValueError` unless steps >= 1.

    >>> schedule = linear_decay(1000)
    >>> schedule(0), schedule(750), schedule(1000)
    (1.0, 0.5, 0.0)
    """
    if steps < 1:
        raise ValueError(f"linear_decay: expects steps >= 1, got {steps}")
    return lambda step: min(1.0, max(0.0, 2 * (steps - step) / steps))


def cosine_decay(steps: int, warmup: int = 0) -> Callable[[int], float]:
    """A schedule that falls from 1 to 0 along half a cosine (Loshchilov and Hutter 2017, arXiv 1608.03983, section 3).

    In the first `warmup` of the `steps` the factor rises in a straight line. `ValueError` unless 0 <= warmup < steps.

    >>> schedule = cosine_decay(1000)
    >>> schedule(0), schedule(500), schedule(1000)
    (1.0, 0.5, 0.0)
    """
    if not 0 <= warmup < steps:
        raise ValueError(f"cosine_decay: expects 0 <= warmup < steps, got warmup={warmup}, steps={steps}")

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = min(1.0, (step - warmup) / (steps - warmup))
        return (1 + math.cos(math.pi * done)) / 2

    return factor
