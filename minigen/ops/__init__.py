"""Every operation: its forward computation on arrays, and right under it its derivatives.

Each takes arrays of NumPy or CuPy, or tensors; with a tensor among its arguments it returns tensors and is recorded.
"""

from minigen.ops.convolution import conv2d, conv_transpose2d, masked_conv2d
from minigen.ops.elementwise import (
    abs,
    add,
    astype,
    clip,
    divide,
    equal,
    exp,
    greater,
    greater_equal,
    leaky_relu,
    less,
    less_equal,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    pow,
    relu,
    sigmoid,
    sign,
    softplus,
    sqrt,
    square,
    subtract,
    tanh,
    where,
)  # fmt: skip
from minigen.ops.linear import linear, matmul
from minigen.ops.losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from minigen.ops.normalization import batch_norm, dropout
from minigen.ops.recurrent import lstm_cell
from minigen.ops.reductions import log_softmax, logsumexp, max, mean, min, softmax, sum, var
from minigen.ops.shaping import (
    broadcast_to,
    concat,
    expand_dims,
    flip,
    getitem,
    pad,
    permute_dims,
    reshape,
    split,
    squeeze,
    stack,
)  # fmt: skip

__all__ = [
    "abs", "add", "astype", "batch_norm", "binary_cross_entropy_with_logits", "broadcast_to", "clip", "concat",
    "conv2d", "conv_transpose2d", "cross_entropy", "divide", "dropout", "equal", "exp", "expand_dims", "flip",
    "getitem", "greater", "greater_equal", "leaky_relu", "less", "less_equal", "linear", "log", "log1p",
    "log_softmax", "logsumexp", "lstm_cell", "masked_conv2d", "matmul", "max", "maximum", "mean", "min", "minimum",
    "mse_loss", "multiply", "negative", "not_equal", "pad", "permute_dims", "pow", "relu", "reshape", "sigmoid",
    "sign", "softmax", "softplus", "split", "sqrt", "square", "squeeze", "stack", "subtract", "sum", "tanh", "var",
    "where",
]  # fmt: skip
