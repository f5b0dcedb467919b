"""Divergence: detect numbers of a training run that are no longer finite, and say where they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.autograd import detect_anomaly
from minigen.backend import array_module, flattened, memory_order
from minigen.nn import Module, Parameter


class Diverged(RuntimeError):
    """A loss, a gradient, a parameter or other state of training is no longer finite."""


def check_finite(part: str, owner: Any) -> None:
    """Raise `Diverged` if an array in the `state_dict` of this part of a run has values that are NaN or infinite."""
    for name, x in owner.state_dict().items():
        if not bool(array_module(x).isfinite(x).all()):
            raise Diverged(f"{part}: {name} has values that are NaN or infinite")


def check_overflow(part: str, model: Module) -> None:
    """Raise `Diverged` if a gradient or a buffer (such as a running variance) of the model has overflowed.

    A gradient is too large when the sum of its squares overflows; in float32 this is a norm of 1.8e19. Adam and RMSprop
    average these squares: once the average is infinite it stays so, and the parameters hardly move again. While the sum
    is finite, the state of the optimizer is finite too. The sums take less than a hundredth of a step's time.
    """
    sums: dict[str, Any] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for name, x in model.named_tensors():
            if x.grad is not None:
                g = flattened(x.grad.data, memory_order(x.grad.data))
                sums[f"the gradient of {name}"] = g @ g
            elif not isinstance(x, Parameter):
                sums[f"the buffer {name}"] = x.data.sum()
        if math.isfinite(sum(sums.values())):  # one transfer from a GPU
            return
    for name, value in sums.items():
        if not math.isfinite(value):
            raise Diverged(f"{part}: {name} is NaN or infinite, or so large that its squares are")


def origin(model: Any, images: Any, labels: Any) -> str:
    """Where the NaN or infinity in the model's loss of this batch comes from."""
    try:
        check_finite("model", model)
        with detect_anomaly():
            model.loss(images, labels)
    except (Diverged, FloatingPointError) as error:
        return str(error)
    return "computed once more, with other random numbers, it is finite"
