"""minigen: deep generative models from scratch, on NumPy and CuPy.

Its modules, from the lowest up; each imports only lower ones: `backend` (NumPy or CuPy), `capture` (a training step as
one launch on a GPU), `kernels` (a formula as one launch), `random` (random numbers), `autograd` (tensors and
reverse-mode differentiation), `ops` (operations with their derivatives), `nn`, `optim` and `distributions`, `models`,
`evaluate`, `train` and `plot`. `testing` checks operations and layers; `weights` builds models from their files; `data`
(data sets and batches) needs only `backend` and `random`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minigen import autograd, backend, nn, ops, optim, random
from minigen.autograd import (
    Tensor,
    arange,
    detect_anomaly,
    full,
    grad,
    no_grad,
    one_hot,
    ones,
    ones_like,
    rand,
    randn,
    tensor,
    zeros,
    zeros_like,
)
from minigen.backend import default_dtype, device
from minigen.checkpoint import save
from minigen.gradcheck import gradcheck
from minigen.graph import graph
from minigen.profile import profile
from minigen.random import manual_seed
from minigen.weights import load

if TYPE_CHECKING:
    from minigen import data, distributions, evaluate, models, plot, testing, train

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "arange",
    "autograd",
    "backend",
    "data",
    "default_dtype",
    "detect_anomaly",
    "device",
    "distributions",
    "evaluate",
    "full",
    "grad",
    "gradcheck",
    "graph",
    "load",
    "manual_seed",
    "models",
    "nn",
    "no_grad",
    "one_hot",
    "ones",
    "ones_like",
    "ops",
    "optim",
    "plot",
    "profile",
    "rand",
    "randn",
    "random",
    "save",
    "tensor",
    "testing",
    "train",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> Any:
    """Import the upper modules, such as `minigen.train`, when they are first used."""
    if name in __all__:
        return import_module(f"minigen.{name}")
    raise AttributeError(f"module 'minigen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
