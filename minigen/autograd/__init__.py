"""Automatic differentiation in reverse mode: tensors that remember how they were computed.

An operation is a plain function on arrays, with its derivatives under it, one line an argument:

    @primitive
    def tanh(x):
        return array_module(x).tanh(x)

    tanh.derivatives(x=lambda g, out: g * (1 - out * out))

Called on arrays, it only computes. Called on tensors, it also records a `Node`: the derivatives to apply, the values
that they name, and where their results go. `backward` visits the nodes from the latest to the earliest and applies the
chain rule: `g` is the gradient of the loss with respect to the operation's output, and the derivative returns the
gradient with respect to its argument.

Read in this order: `primitives.py` (what an operation is), `tape.py` (the record and the chain rule), `tensors.py`.
"""

from minigen.autograd.constructors import (
    arange,
    checked_labels,
    full,
    one_hot,
    ones,
    ones_like,
    rand,
    randn,
    zeros,
    zeros_like,
)
from minigen.autograd.modes import detect_anomaly, no_grad
from minigen.autograd.operators import PRIMITIVES
from minigen.autograd.primitives import Primitive, primitive
from minigen.autograd.tape import Node, grad
from minigen.autograd.tensors import Tensor, raw, tensor

__all__ = [
    "PRIMITIVES",
    "Node",
    "Primitive",
    "Tensor",
    "arange",
    "checked_labels",
    "detect_anomaly",
    "full",
    "grad",
    "no_grad",
    "one_hot",
    "ones",
    "ones_like",
    "primitive",
    "rand",
    "randn",
    "raw",
    "tensor",
    "zeros",
    "zeros_like",
]
