"""minigen: deep generative models from scratch, on NumPy and CuPy.

The floors, each knowing only those below it: `backend` (NumPy or CuPy), `autograd` (tensors and the chain rule), `ops`
(operations with their derivatives), `nn`, `optim` and `distributions` (layers and what goes with them), `models`,
`evaluate`, `train` and `plot`. `data` stands beside them.
"""

from minigen import autograd, backend, data, distributions, evaluate, models, nn, ops, optim, plot, train
from minigen.autograd import Tensor, detect_anomaly, grad, no_grad, tensor
from minigen.backend import default_dtype, device, manual_seed
from minigen.checkpoint import load, save
from minigen.gradcheck import gradcheck

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "autograd",
    "backend",
    "data",
    "default_dtype",
    "detect_anomaly",
    "device",
    "distributions",
    "evaluate",
    "grad",
    "gradcheck",
    "load",
    "manual_seed",
    "models",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "plot",
    "save",
    "tensor",
    "train",
]
