"""Initial values of parameters. The layers use PyTorch's defaults; `dcgan` is the initialisation of the DCGAN paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.autograd import no_grad
from minigen.backend import Shape, current_dtype, device
from minigen.nn.module import Module, Parameter
from minigen.random import normal, uniform


def check_sizes(layer: str, **sizes: Any) -> None:
    """`ValueError` that names the layer and the size, unless every size is an integer from 1 up."""
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{layer}: expects {name} to be an integer from 1 up, got {size!r}")


def fan_in_uniform(shape: Shape, fan_in: int) -> Parameter:
    """Uniform in +-1/sqrt(fan_in), where fan_in is the number of inputs that one output sums over.

    This is PyTorch's default for weights and biases. For weights, it is that of He et al. (2015) with a = sqrt(5).
    """
    bound = 1.0 / math.sqrt(max(fan_in, 1))
    return Parameter(uniform(shape, -bound, bound))


def constant(shape: Shape, value: float) -> Parameter:
    """A parameter with the same value in every entry."""
    return Parameter(device().module.full(shape, value, dtype=current_dtype()))


@no_grad()
def dcgan(module: Module) -> None:
    """Normal(0, 0.02) convolutions, Normal(1, 0.02) batch normalisation, zero biases (Radford et al. 2016, section 4).

    >>> model.apply(nn.init.dcgan)
    """
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if weight is not None and (weight.ndim == 4 or hasattr(module, "track_running_stats")):
        mean = 0.0 if weight.ndim == 4 else 1.0
        weight[...] = normal(weight.shape, mean, 0.02, dtype=weight.dtype, device=weight.device)
        if bias is not None:
            bias[...] = 0.0
