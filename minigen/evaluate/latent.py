"""The latent space of a generator: interpolation, projection of images, and arithmetic.

A generator is any function from points z (N, latent_dim) to images (N, C, H, W), such as `gan.generator` in evaluation
mode. Points are arrays of NumPy or CuPy, (..., latent_dim); the results are such arrays of the same dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from minigen import ops
from minigen.autograd import Tensor, grad, no_grad, raw
from minigen.backend import Array, array_module
from minigen.nn import Parameter
from minigen.optim import Adam
from minigen.random import normal

Interpolation = Callable[[Any, Any, int], Array]
Errors = Callable[[Tensor], Tensor]
"""z (N, latent_dim) -> an error for each, (N,), which depends on no other point"""


# -- paths -------------------------------------------------------------------------------------------------------------


def lerp(z1: Any, z2: Any, steps: int) -> Array:
    """(1 - t) z1 + t z2 for `steps` values of t from 0 to 1: (steps, ..., latent_dim).

    In many dimensions nearly all draws from Normal(0, 1) have about the same norm, and the midpoint of two draws has a
    norm sqrt(2) times smaller. The generator has hardly seen such points in training: see `slerp`.
    """
    z1, z2, t = _ends("lerp", z1, z2, steps)
    return ((1 - t) * z1 + t * z2).astype(z1.dtype)


def slerp(z1: Any, z2: Any, steps: int) -> Array:
    """Spherical interpolation: equal angles along the great circle from z1 to z2, (steps, ..., latent_dim).

        sin((1 - t) angle) / sin(angle) z1 + sin(t angle) / sin(angle) z2        for z1 and z2 of norm 1

    For other norms, the norm changes linearly along the path, so it stays near the norms that the generator was trained
    on (White 2016, arXiv 1609.04468). If z1, z2 and 0 lie on one line, the path is that of `lerp`.
    """
    z1, z2, t = _ends("slerp", z1, z2, steps)
    xp = array_module(z1)
    a, b = z1.astype(np.float64), z2.astype(np.float64)
    norm_of = lambda z: xp.sqrt((z * z).sum(axis=-1, keepdims=True))
    norm_a, norm_b = norm_of(a), norm_of(b)
    u, v = a / xp.where(norm_a > 0, norm_a, 1.0), b / xp.where(norm_b > 0, norm_b, 1.0)
    angle = 2 * xp.arctan2(norm_of(u - v), norm_of(u + v))  # accurate also near 0 and pi, unlike the arc cosine
    sine = xp.sin(angle)
    in_line = (sine < 1e-6) | (norm_a == 0) | (norm_b == 0)
    sine = xp.where(in_line, 1.0, sine)
    norm = (1 - t) * norm_a + t * norm_b
    path = norm * (xp.sin((1 - t) * angle) / sine * u + xp.sin(t * angle) / sine * v)
    path[0], path[-1] = a, b
    return xp.where(in_line, (1 - t) * a + t * b, path).astype(z1.dtype)


def walk(points: Any, steps: int, interpolate: Interpolation = slerp) -> Array:
    """From each point (P, ..., latent_dim) to the next in `steps` equal steps: ((P - 1) steps + 1, ..., latent_dim).

    Append the first point to come back to it.
    """
    points = raw(points)
    if len(points) < 2 or steps < 1:
        raise ValueError(f"walk: expects two or more points and steps >= 1, got {len(points)} points, steps={steps}")
    legs = [interpolate(z1, z2, steps + 1)[:-1] for z1, z2 in pairwise(points)]
    return array_module(points).concatenate([*legs, points[-1:]])


def grid(
    top_left: Any,
    top_right: Any,
    bottom_left: Any,
    bottom_right: Any,
    rows: int,
    columns: int,
    interpolate: Interpolation = slerp,
) -> Array:
    """Points between four corners (latent_dim,), first down both sides, then across: (rows, columns, latent_dim)."""
    left, right = interpolate(top_left, bottom_left, rows), interpolate(top_right, bottom_right, rows)
    return interpolate(left, right, columns).swapaxes(0, 1)


def _ends(name: str, z1: Any, z2: Any, steps: int) -> tuple[Array, Array, Array]:
    """The two ends, and t (steps, 1, ...), checked."""
    z1, z2 = raw(z1), raw(z2)
    if z1.shape != z2.shape or z1.ndim < 1 or z1.dtype.kind != "f" or steps < 2:
        raise ValueError(
            f"{name}: expects two points (..., latent_dim) of floats and steps >= 2, "
            f"got {z1.shape} {z1.dtype}, {z2.shape} {z2.dtype}, steps={steps}"
        )
    return z1, z2, array_module(z1).linspace(0, 1, steps).reshape(-1, *[1] * z1.ndim)


# -- points ------------------------------------------------------------------------------------------------------------


def project(
    generate: Callable[[Tensor], Tensor],
    images: Any,
    latent_dim: int,
    *,
    steps: int = 300,
    lr: float = 0.2,
    restarts: int = 4,
) -> tuple[Array, Array]:
    """GAN inversion: the points z (N, latent_dim) whose images are nearest to `images` (N, C, H, W), and errors (N,).

    Gradient descent on z (Adam) from `restarts` normal draws for each image; the best result is kept. The error is the
    mean squared error over the values of an image. The generator's parameters and gradients do not change.
    """
    target = raw(images)
    if steps < 1 or restarts < 1 or latent_dim < 1 or target.dtype.kind != "f" or target.size == 0:
        raise ValueError(
            f"project: expects images (N, C, H, W) of floats, and latent_dim, steps and restarts >= 1, "
            f"got {target.shape} {target.dtype}, {latent_dim}, {steps} and {restarts}"
        )
    n, xp = len(target), array_module(target)
    start = normal((restarts * n, latent_dim), dtype=target.dtype, device=Tensor(target).device)
    target = xp.concatenate([target] * restarts)

    def errors(z: Tensor) -> Tensor:
        """(restarts N,)"""
        squares = ops.mse_loss(generate(z), target, reduction="none")
        return ops.mean(ops.reshape(squares, (restarts * n, -1)), axis=1)

    z, found = search(errors, start, steps=steps, lr=lr)
    found = found.reshape(restarts, n)
    best = found.argmin(axis=0), xp.arange(n)
    return z.reshape(restarts, n, latent_dim)[best], found[best]


def search(errors: Errors, start: Any, *, steps: int = 300, lr: float = 0.2) -> tuple[Array, Array]:
    """The points z (N, latent_dim) to which gradient descent (Adam) comes from `start`, and their errors (N,)."""
    z = Parameter(raw(start).copy())
    optimizer = Adam([z], lr)
    for _ in range(steps):
        (z.grad,) = grad(ops.sum(errors(z)), z)
        optimizer.step()
    with no_grad():
        return z.data, errors(z).data


def arithmetic(positive: Any, minus: Any, plus: Any) -> Array:
    """mean(positive) - mean(minus) + mean(plus), such as "man with glasses - man + woman": (latent_dim,).

    Each argument has several points (K, latent_dim) whose images share a property; single points work less well
    (Radford et al. 2016, arXiv 1511.06434, section 6.3.2).
    """
    points = [raw(z) for z in (positive, minus, plus)]
    if any(z.ndim != 2 or z.shape[1] != points[0].shape[-1] or len(z) == 0 for z in points):
        raise ValueError(f"arithmetic: expects three arrays (K, latent_dim), got {[z.shape for z in points]}")
    a, b, c = (z.mean(axis=0) for z in points)
    return a - b + c
