"""Losses. Those of probabilities are computed from logits, so that nothing overflows.

The option `reduction` is "mean", "sum", or "none" for the loss of each element. A loss never broadcasts its target:
`ValueError` for shapes that do not fit, `TypeError` for a target of the wrong kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd import primitive
from minigen.backend import Array, array_module, floating, on_host
from minigen.kernels import kernel
from minigen.ops.elementwise import negative, sigmoid, softplus, square
from minigen.ops.reductions import log_softmax, mean, reciprocal, sum
from minigen.ops.shaping import along_axis, expand_dims, squeeze, take_along_axis

__all__ = ["mse_loss", "binary_cross_entropy_with_logits", "cross_entropy"]


def _reduced(values: Any, reduction: str) -> Any:
    if reduction == "none":
        return values
    if reduction not in ("mean", "sum"):
        raise ValueError(f'expects reduction "mean", "sum" or "none", got {reduction!r}')
    return mean(values) if reduction == "mean" else sum(values)


def _share(count: int, reduction: str) -> float:
    """The part of the gradient that reaches each of `count` values."""
    return reciprocal(count) if reduction == "mean" else 1.0


def _check_same_shape(name: str, x: Array, target: Array) -> None:
    _check_array(target)
    if x.shape != target.shape:
        raise ValueError(f"{name} has shape {x.shape} but target has {target.shape}; a loss does not broadcast")


def _check_array(target: Any) -> None:
    if not hasattr(target, "shape"):
        raise TypeError(f"expects target to be an array or a tensor, got {type(target).__name__}")


# -- squared error ---------------------------------------------------------------------------------------------------


@primitive
def mse_loss(x: Array, target: Array, *, reduction: str = "mean") -> Array:
    """The squared error (x - target)^2, of two arrays of one shape."""
    _check_same_shape("x", x, target)
    return _reduced(square(floating(x) - floating(target)), reduction)


mse_loss.derivatives(
    x=lambda g, x, target, reduction: 2.0 * g * _share(x.size, reduction) * (x - target),
    target=lambda g, x, target, reduction: 2.0 * g * _share(x.size, reduction) * (target - x),
)


# -- binary cross-entropy --------------------------------------------------------------------------------------------


def _reference_binary_cross_entropy(logits: Any, target: Any, *, reduction: str = "mean") -> Any:
    return _reduced(softplus(logits) - logits * target.astype(logits.dtype), reduction)


@primitive(reference=_reference_binary_cross_entropy)
def binary_cross_entropy_with_logits(logits: Array, target: Array, *, reduction: str = "mean") -> Array:
    """-log p(target) in nats where p(1) = sigmoid(logits): log(1 + e^l) - l t. Targets in [0, 1], shaped as logits."""
    _check_same_shape("logits", logits, target)
    return _reduced(_binary_cross_entropies(floating(logits), target), reduction)


@kernel("T l, U t", "T out", "out = (l > 0 ? l : T(0)) - l * t + log1p(exp(-abs(l)))")
def _binary_cross_entropies(logits: Array, target: Array) -> Array:
    xp, target = array_module(logits), floating(target)
    out = xp.abs(logits, out=xp.empty_like(logits))  # with `out`, a result without axes stays an array
    xp.negative(out, out=out)
    xp.exp(out, out=out)
    xp.log1p(out, out=out)
    out += xp.maximum(logits, 0)
    out -= logits * target
    return out


@kernel("T l, U t, T g, T share", "T of_logits", "of_logits = g * share * (sigmoid(l) - t)")
def _binary_cross_entropy_gradient(logits: Array, target: Array, g: Array, share: float) -> Array:
    return g * share * (sigmoid(logits) - target)


binary_cross_entropy_with_logits.derivatives(
    logits=lambda g, logits, target, reduction: _binary_cross_entropy_gradient(
        logits, target, g, _share(logits.size, reduction)
    ),
    target=lambda g, logits, reduction: g * _share(logits.size, reduction) * -logits,
)


# -- cross-entropy ---------------------------------------------------------------------------------------------------


def _at_target(log_probabilities: Any, target: Any) -> Any:
    """The entry of the target class at each place: (N, classes, ...) -> (N, ...)."""
    return squeeze(take_along_axis(log_probabilities, expand_dims(target, 1), 1), 1)


def _reference_cross_entropy(logits: Any, target: Any, *, reduction: str = "mean") -> Any:
    return _reduced(negative(_at_target(log_softmax(logits, 1), target)), reduction)


@primitive(reference=_reference_cross_entropy, saves=("probabilities",))
def cross_entropy(logits: Array, target: Array, *, reduction: str = "mean") -> Any:
    """-log softmax(logits)[target] in nats: logits (N, classes, ...), integer targets (N, ...) in 0 ... classes - 1."""
    _check_array(target)
    if target.dtype.kind not in "iu":
        raise TypeError(f"expects integer classes as target, got {target.dtype}")
    if logits.ndim < 2 or logits.shape[:1] + logits.shape[2:] != target.shape:
        raise ValueError(f"logits (N, classes, ...) are {logits.shape} but target (N, ...) is {target.shape}")
    if on_host(target) and target.size and not 0 <= target.min() <= target.max() < logits.shape[1]:
        raise ValueError(f"target holds classes {target.min()} ... {target.max()} but logits have {logits.shape[1]}")
    probabilities, out = _cross_entropies(floating(logits), target)
    return _reduced(out, reduction), probabilities


# In a kernel, the logits of element i of the target are at the places first, first + inner, first + 2 inner, ...
_PLACES = """
    const ptrdiff_t classes = logits.shape()[1], inner = logits.size() / logits.shape()[0] / classes;
    const ptrdiff_t first = i + i / inner * (classes - 1) * inner;
"""


@kernel(
    "raw T logits, S target",
    "raw T probabilities, T out",
    _PLACES
    + """
    T largest = logits[first], total = 0;
    for (ptrdiff_t k = 1; k < classes; ++k) largest = max(largest, logits[first + k * inner]);
    for (ptrdiff_t k = 0; k < classes; ++k)
        total += probabilities[first + k * inner] = exp(logits[first + k * inner] - largest);
    for (ptrdiff_t k = 0; k < classes; ++k) probabilities[first + k * inner] /= total;
    const bool exists = target >= 0 && target < classes;  // NaN for a class that does not exist
    out = exists ? log(total) - (logits[first + target * inner] - largest) : T(0) / T(0);
    """,
)
def _cross_entropies(logits: Array, target: Array) -> tuple[Array, Array]:
    """softmax(logits), and log(sum of e^l) - l[target] where the l are the logits less the largest."""
    shifted = logits - np.fmax.reduce(logits, axis=1, keepdims=True)  # faster than `max`; NaN comes back with the sum
    at_target = _at_target(shifted, target)
    probabilities = np.exp(shifted, out=shifted)
    total = probabilities.sum(axis=1, keepdims=True)
    probabilities *= 1 / total
    return probabilities, np.log(total[:, 0]) - at_target


@kernel(
    "raw T probabilities, S target, T g, T share",
    "raw T of_logits",
    _PLACES.replace("logits", "probabilities")
    + """
    for (ptrdiff_t k = 0; k < classes; ++k)
        of_logits[first + k * inner] = g * share * (probabilities[first + k * inner] - (k == target));
    """,
)
def _cross_entropy_gradient(probabilities: Array, target: Array, g: Array, share: float) -> Array:
    """softmax(logits) - one_hot(target), each place weighted with its share of g"""
    xp = array_module(g)
    weight = xp.expand_dims(g * share, 1) if g.ndim else g * share
    out = xp.multiply(probabilities, weight, out=xp.empty_like(probabilities))  # in the memory order of the logits
    out[along_axis(expand_dims(target, 1), 1, out.shape)] -= weight
    return out


cross_entropy.derivatives(
    logits=lambda g, probabilities, target, reduction: _cross_entropy_gradient(
        probabilities, target, g, _share(target.size, reduction)
    )
)
