"""Normalisation over a batch, an example or an image, and dropout."""

from __future__ import annotations

from typing import Any

from minigen.autograd import primitive
from minigen.backend import Array, Shape, array_module, device_of
from minigen.kernels import kernel
from minigen.ops.elementwise import sqrt, square
from minigen.ops.parallel import all_reduce
from minigen.ops.reductions import mean, sum_per_channel, var
from minigen.ops.shaping import reshape
from minigen.processes import Part
from minigen.random import uniform

__all__ = ["batch_norm", "normalize", "layer_norm", "instance_norm", "dropout"]


def _standardized(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    """(x - mean) / sqrt(var + eps), mean and var over these axes."""
    return (x - mean(x, axes, True)) / sqrt(var(x, axes, True) + eps)


# -- batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167) --------------------------------------------------


def _axes(x: Any) -> tuple[int, ...]:
    """Every axis but that of the channels."""
    return (0, *range(2, x.ndim))


def _per_channel(values: Any, x: Any) -> Any:
    """(C,) as (1, C, 1, ...), to broadcast against x."""
    return reshape(values, (1, -1) + (1,) * (x.ndim - 2))


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    x = x if weight is None else x * _per_channel(weight, x)
    return x if bias is None else x + _per_channel(bias, x)


def _batch_mean(x: Any, part: Part | None) -> Any:
    """The mean of each channel over the batch, (1, C, 1, ...); x are the own rows of it."""
    of_rows = mean(x, _axes(x), True)
    return of_rows if part is None else all_reduce(part.weight * of_rows, group=part.group)


def _reference_batch_norm(
    x: Any, weight: Any = None, bias: Any = None, *, eps: float = 1e-5, part: Part | None = None
) -> Any:
    """y = weight (x - mean) / sqrt(var + eps) + bias, mean and var over the batch."""
    centred = x - _batch_mean(x, part)
    return _affine(centred / sqrt(_batch_mean(square(centred), part) + eps), weight, bias)


@primitive(reference=_reference_batch_norm, several=True, byproducts=2, saves=("normalized", "inverse_std"))
def batch_norm(
    x: Array, weight: Array | None = None, bias: Array | None = None, *, eps: float = 1e-5, part: Part | None = None
) -> Any:
    """y = weight (x - mean) / sqrt(var + eps) + bias for each channel of x (N, C, ...), over all its other axes.

    Returns y, and the batch's mean and variance (C,), with which a layer updates its running statistics. No gradient
    flows through these two. `part` says that x are the rows of a batch that one of several processes takes: mean and
    variance are those of the whole batch (synchronised batch normalisation).
    """
    _check_channels("batch_norm", x, weight=weight, bias=bias)
    n = _values_per_channel(x, part)
    if n < 2:
        raise ValueError(f"expects more than one value a channel, x is {x.shape}")
    total = _over_processes(sum_per_channel(x), part)
    centred, squares = _centred(x, _per_channel(total, x), n)
    squares = _over_processes(sum_per_channel(squares), part)
    batch_mean, batch_var, inverse_std = _statistics(total, squares, n, eps)
    weight, bias = 1.0 if weight is None else _per_channel(weight, x), 0.0 if bias is None else _per_channel(bias, x)
    normalized, out = _scaled(centred, _per_channel(inverse_std, x), weight, bias)
    return (out, batch_mean, batch_var), normalized, inverse_std


def _values_per_channel(x: Array, part: Part | None) -> int:
    """Over how many values the mean of a channel is taken."""
    n = x.size // x.shape[1]
    return n if part is None else part.whole(n)


def _over_processes(sums: Array, part: Part | None) -> Array:
    """Sums over the whole batch, given those over the own rows."""
    return sums if part is None else part.group.sum(sums / part.copies)


@kernel("T x, T total, T n", "T centred, T square", "centred = x - total / n; square = centred * centred")
def _centred(x: Array, total: Array, n: int) -> tuple[Array, Array]:
    centred = x - total / n
    return centred, centred * centred


@kernel(
    "T total, T squares, T n, T eps",
    "T mean, T var, T inverse_std",
    "mean = total / n; var = squares / n; inverse_std = 1 / sqrt(var + eps)",
)
def _statistics(total: Array, squares: Array, n: int, eps: float) -> tuple[Array, Array, Array]:
    batch_var = squares / n
    return total / n, batch_var, 1.0 / array_module(total).sqrt(batch_var + eps)


@kernel(
    "T x, T inverse_std, T weight, T bias",
    "T normalized, T out",
    "normalized = x * inverse_std; out = normalized * weight + bias",
)
def _scaled(x: Array, inverse_std: Array, weight: Array, bias: Array) -> tuple[Array, Array]:
    x *= inverse_std
    out = x * weight
    out += bias
    return x, out


@batch_norm.derivatives_together("x", "weight", "bias")
def _(g: Array, weight: Array | None, normalized: Array, inverse_std: Array, part: Part | None) -> dict[str, Array]:
    """For x: weight inverse_std (g - mean g - normalized mean(g normalized)); the means are over the whole batch"""
    n = _values_per_channel(g, part)
    sum_of_g, sum_of_product = sum_per_channel(g), sum_per_channel(g * normalized)
    scale = inverse_std if weight is None else inverse_std * weight
    sums = _per_channel(_over_processes(sum_of_g, part), g), _per_channel(_over_processes(sum_of_product, part), g)
    x = _batch_norm_gradient(g, normalized, *sums, _per_channel(scale, g), 1.0 / n)
    return {"x": x, "weight": sum_of_product, "bias": sum_of_g}


@kernel(
    "T g, T normalized, T sum_of_g, T sum_of_product, T scale, T part",
    "T x",
    "x = (g - normalized * (sum_of_product * part) - sum_of_g * part) * scale",
)
def _batch_norm_gradient(
    g: Array, normalized: Array, sum_of_g: Array, sum_of_product: Array, scale: Array, part: float
) -> Array:
    x = normalized * (sum_of_product * -part)
    x += g
    x -= sum_of_g * part
    x *= scale
    return x


def normalize(x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, *, eps: float = 1e-5) -> Any:
    """weight (x - mean) / sqrt(var + eps) + bias for each channel of x (N, C, ...), with a given mean and var (C,).

    This is batch normalisation in evaluation mode, with the running statistics: the result for one example does not
    depend on the others.
    """
    _check_channels("batch_norm", x, mean=mean, var=var, weight=weight, bias=bias)
    inverse_std = (var + float(eps)) ** -0.5
    scale = inverse_std if weight is None else weight * inverse_std
    return _affine(x, scale, -mean * scale if bias is None else bias - mean * scale)


def _check_channels(operation: str, x: Any, **parameters: Any) -> None:
    """Check that x has channels, and each parameter one value for each channel."""
    if x.ndim < 2:
        raise ValueError(f"{operation}: expects x (N, C, ...), got {x.shape}")
    for name, values in parameters.items():
        if values is not None and values.shape != (x.shape[1],):
            raise ValueError(f"{operation}: x has {x.shape[1]} channels {x.shape} but {name} is {values.shape}")


# -- layer normalisation (Ba et al. 2016, arXiv 1607.06450) ----------------------------------------------------------


def layer_norm(x: Any, normalized_shape: Shape, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """weight (x - mean) / sqrt(var + eps) + bias for each example of x (..., *normalized_shape), over its values.

    weight and bias have the normalized shape. The result for one example does not depend on the others.
    """
    shape = tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(f"layer_norm: expects x (..., *normalized_shape) for {shape}, got {x.shape}")
    for name, values in (("weight", weight), ("bias", bias)):
        if values is not None and values.shape != shape:
            raise ValueError(f"layer_norm: expects a {name} {shape}, as normalized_shape, got {values.shape}")
    x = _standardized(x, tuple(range(-len(shape), 0)), eps)
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


# -- instance normalisation (Ulyanov et al. 2016, arXiv 1607.08022) --------------------------------------------------


def instance_norm(x: Any, weight: Any = None, bias: Any = None, *, eps: float = 1e-5) -> Any:
    """weight (x - mean) / sqrt(var + eps) + bias for each channel of each image of x (N, C, H, W), over its pixels."""
    if x.ndim < 3:
        raise ValueError(f"instance_norm: expects x (N, C, ...), got {x.shape}")
    _check_channels("instance_norm", x, weight=weight, bias=bias)
    return _affine(_standardized(x, tuple(range(2, x.ndim)), eps), weight, bias)


# -- dropout (Srivastava et al. 2014) --------------------------------------------------------------------------------


@primitive(name="dropout", saves=("mask",))
def _drop(x: Array, *, p: float) -> Any:
    """Dropout in training."""
    return _dropped(x, uniform(x.shape, dtype=x.dtype, device=device_of(x)), p)


@kernel("T x, T u, T p", "T out, T mask", "mask = T(u >= p) / (1 - p); out = x * mask")
def _dropped(x: Array, u: Array, p: float) -> tuple[Array, Array]:
    mask = (u >= p).astype(x.dtype)
    mask *= 1.0 / (1.0 - p)
    return x * mask, mask


_drop.derivatives(x=lambda g, mask: g * mask)


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """Set each value to 0 with probability p, and multiply the others by 1 / (1 - p); in evaluation, x itself."""
    if not 0 <= p < 1:
        raise ValueError(f"dropout: expects a probability 0 <= p < 1, got {p}")
    return _drop(x, p=p) if training and p > 0 else x
