"""Batch normalisation and dropout: the layers that behave differently in training and in evaluation."""

from __future__ import annotations

from typing import Any

from minigen import backend
from minigen.autograd import primitive, raw
from minigen.backend import Array, array_module, device_of
from minigen.ops.elementwise import sqrt
from minigen.ops.reductions import mean, sum_per_channel, var
from minigen.ops.shaping import reshape

# -- batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167) --------------------------------------------------


def _axes(x: Any) -> tuple[int, ...]:
    """Every axis but the channels'."""
    return (0, *range(2, x.ndim))


def _per_channel(values: Any, x: Any) -> Any:
    """(C,) as (1, C, 1, ...), to broadcast against x."""
    return None if values is None else reshape(values, (1, -1) + (1,) * (x.ndim - 2))


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    x = x if weight is None else x * _per_channel(weight, x)
    return x if bias is None else x + _per_channel(bias, x)


def _reference_batch_norm(x: Any, weight: Any, bias: Any, *, eps: float, running: Any = None) -> Any:
    """y = weight (x - mean) / sqrt(var + eps) + bias, mean and var over the batch."""
    normalized = (x - mean(x, _axes(x), True)) / sqrt(var(x, _axes(x), True) + eps)
    return _affine(normalized, weight, bias)


@primitive(reference=_reference_batch_norm, saves=("normalized", "inverse_std", "sums"))
def _batch_norm_of_batch(x: Array, weight: Array | None, bias: Array | None, *, eps: float, running: Any = None) -> Any:
    """The reference in fewer passes; moves the running statistics (mean, var, momentum) towards the batch's."""
    n = x.size // x.shape[1]
    batch_mean = sum_per_channel(x) / n
    normalized = x - _per_channel(batch_mean, x)
    batch_var = sum_per_channel(normalized * normalized) / n
    inverse_std = 1.0 / array_module(x).sqrt(batch_var + eps)
    normalized *= _per_channel(inverse_std, x)
    if running is not None:
        running_mean, running_var, momentum = running
        running_mean += momentum * (batch_mean - running_mean)
        running_var += momentum * (batch_var * (n / (n - 1)) - running_var)
    return _affine(normalized, weight, bias), normalized, inverse_std, []


def _sums(g: Array, normalized: Array, sums: list) -> tuple[Array, Array]:
    """sum g and sum g normalized over the batch, (C,) each; all three derivatives need them, so they are kept."""
    if not sums or sums[0] is not g:
        sums[:] = [g, sum_per_channel(g), sum_per_channel(g * normalized)]
    return sums[1], sums[2]


def _batch_norm_gradient(g: Array, weight: Array | None, normalized: Array, inverse_std: Array, sums: list) -> Array:
    """weight inverse_std (g - mean g - normalized mean(g normalized))"""
    n = g.size // g.shape[1]
    of_g, of_product = _sums(g, normalized, sums)
    out = normalized * _per_channel(of_product * (-1.0 / n), g)
    out += g
    out -= _per_channel(of_g * (1.0 / n), g)
    out *= _per_channel(inverse_std if weight is None else inverse_std * weight, g)
    return out


_batch_norm_of_batch.derivatives(
    x=_batch_norm_gradient,
    weight=lambda g, normalized, sums: _sums(g, normalized, sums)[1].copy(),
    bias=lambda g, normalized, sums: _sums(g, normalized, sums)[0].copy(),
)


def batch_norm(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """y = weight (x - mean) / sqrt(var + eps) + bias for each channel of x (N, C, ...); the rest are (C,).

    In training, mean and var are the batch's, and the running ones, if not None, move towards them in place by
    `momentum` (the running variance towards the unbiased one). In evaluation they are the running ones.
    """
    if x.ndim < 2:
        raise ValueError(f"batch_norm: takes x (N, C, ...), got {x.shape}")
    parameters = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    for name, parameter in parameters.items():
        if parameter is not None and parameter.shape != (x.shape[1],):
            raise ValueError(f"batch_norm: x has {x.shape[1]} channels {x.shape} but {name} is {parameter.shape}")
    if training:
        if x.size == x.shape[1]:
            raise ValueError(f"batch_norm: training needs more than one value a channel, got {x.shape}")
        running = None
        if running_mean is not None:
            running = (raw(running_mean), raw(running_var), momentum)
        return _batch_norm_of_batch(x, weight, bias, eps=eps, running=running)
    if running_mean is None:
        raise ValueError("batch_norm: evaluation needs running_mean and running_var")
    inverse_std = (raw(running_var) + float(eps)) ** -0.5
    scale = inverse_std if weight is None else weight * inverse_std
    shift = -raw(running_mean) * scale if bias is None else bias - raw(running_mean) * scale
    return _affine(x, scale, shift)


# -- dropout (Srivastava et al. 2014) --------------------------------------------------------------------------------


@primitive(saves=("mask",))
def _drop(x: Array, *, p: float) -> Any:
    mask = (backend.uniform(x.shape, dtype=x.dtype, device=device_of(x)) >= p).astype(x.dtype)
    mask *= 1.0 / (1.0 - p)
    return x * mask, mask


_drop.derivatives(x=lambda g, mask: g * mask)


def dropout(x: Any, p: float = 0.5, *, training: bool = True) -> Any:
    """Each value becomes 0 with probability p, and the others grow by 1 / (1 - p); in evaluation x itself."""
    if not 0 <= p < 1:
        raise ValueError(f"dropout: takes a probability 0 <= p < 1, got {p}")
    return _drop(x, p=p) if training and p > 0 else x
