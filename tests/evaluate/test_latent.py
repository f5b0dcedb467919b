"""The latent space: paths against closed forms, projection against least squares, and what it must leave alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.backend import Device, default_dtype, device_of, to_numpy
from minigen.evaluate import latent

SEEDS = st.integers(0, 2**32 - 1)


def points(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(shape)


# -- paths -------------------------------------------------------------------------------------------------------------


def test_linear() -> None:
    path = latent.lerp(np.array([0.0, 4.0]), np.array([2.0, 0.0]), 3)
    np.testing.assert_array_equal(path, [[0, 4], [1, 2], [2, 0]])


def test_slerp_on_a_quarter_of_a_circle() -> None:
    path = latent.slerp(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 4)
    np.testing.assert_allclose(
        path, [(math.cos(math.pi * i / 6), math.sin(math.pi * i / 6)) for i in range(4)], atol=1e-15
    )


@given(SEEDS, st.integers(2, 6), st.integers(2, 7), st.floats(0.1, 10))
def test_slerp_has_equal_angles_and_evenly_changing_norms(seed: int, dim: int, steps: int, scale: float) -> None:
    """Also with ends of different norms; and it stays in the plane of its ends."""
    z1, z2 = points(dim, seed=seed), points(dim, seed=seed + 1, scale=scale)
    norms = np.linalg.norm(z1), np.linalg.norm(z2)
    u, v = z1 / norms[0], z2 / norms[1]
    angle = math.acos(np.clip(u @ v, -1, 1))
    assume(0.01 < angle < math.pi - 0.01)
    path = latent.slerp(z1, z2, steps)
    w = (v - (u @ v) * u) / math.sin(angle)  # with u an orthonormal basis of the plane
    t = np.linspace(0, 1, steps)[:, None]
    expected = ((1 - t) * norms[0] + t * norms[1]) * (np.cos(t * angle) * u + np.sin(t * angle) * w)
    np.testing.assert_allclose(path, expected, rtol=1e-9, atol=1e-9)


@given(SEEDS, st.sampled_from(["float32", "float64"]), st.sampled_from([latent.lerp, latent.slerp]))
def test_the_ends_are_exact_and_the_dtype_stays(seed: int, dtype: str, interpolate: latent.Interpolation) -> None:
    z1, z2 = (points(3, 5, seed=seed + i).astype(dtype) for i in range(2))
    path = interpolate(z1, z2, 6)
    assert path.shape == (6, 3, 5) and path.dtype == dtype
    assert (path[0] == z1).all() and (path[-1] == z2).all()
    for i in range(3):  # each point of a batch has its own circle
        np.testing.assert_allclose(path[:, i], interpolate(z1[i], z2[i], 6), rtol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0, -0.5, 0.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slerp_is_linear_where_there_is_no_circle(factor: float, dtype: str) -> None:
    """In line with each other, also with rounding, or with 0 as an end; beside a pair that has a circle."""
    z1 = points(2, 7).astype(dtype)
    z2 = np.stack([z1[0] * np.dtype(dtype).type(factor), points(7, seed=1).astype(dtype)])
    path = latent.slerp(z1, z2, 5)
    np.testing.assert_allclose(path[:, 0], latent.lerp(z1[0], z2[0], 5), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(path[:, 1], latent.slerp(z1[1], z2[1], 5), rtol=1e-6)


@pytest.mark.parametrize("epsilon", [1e-4, 1e-5])
def test_slerp_of_almost_opposite_points_stays_on_the_sphere(epsilon: float) -> None:
    path = latent.slerp(np.array([1.0, 0.0]), np.array([-math.cos(epsilon), math.sin(epsilon)]), 9)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1, rtol=1e-9)


@given(SEEDS, st.integers(2, 4), st.integers(1, 4), st.sampled_from([latent.lerp, latent.slerp]))
def test_walk(seed: int, count: int, steps: int, interpolate: latent.Interpolation) -> None:
    z = points(count, 3, seed=seed)
    path = latent.walk(z, steps, interpolate)
    assert path.shape == ((count - 1) * steps + 1, 3)
    assert (path[::steps] == z).all()
    for i in range(count - 1):
        np.testing.assert_array_equal(path[i * steps : (i + 1) * steps + 1], interpolate(z[i], z[i + 1], steps + 1))


def test_a_linear_grid_is_bilinear() -> None:
    corners = points(4, 3)
    path = latent.grid(*corners, rows=3, columns=5, interpolate=latent.lerp)
    assert path.shape == (3, 5, 3)
    for i, s in enumerate(np.linspace(0, 1, 3)):
        for j, t in enumerate(np.linspace(0, 1, 5)):
            weights = np.array([(1 - s) * (1 - t), (1 - s) * t, s * (1 - t), s * t])
            np.testing.assert_allclose(path[i, j], weights @ corners, rtol=1e-12)


def test_a_slerp_grid() -> None:
    corners = points(4, 6)
    path = latent.grid(*corners, rows=4, columns=3)
    np.testing.assert_array_equal(path[[0, 0, -1, -1], [0, -1, 0, -1]], corners)
    np.testing.assert_array_equal(path[:, 0], latent.slerp(corners[0], corners[2], 4))
    np.testing.assert_array_equal(path[2], latent.slerp(path[2, 0], path[2, -1], 3))


# -- points ------------------------------------------------------------------------------------------------------------


class Affine(nn.Module):
    """The image of z is W z + b."""

    def __init__(self, dim: int, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.layer = nn.Linear(dim, math.prod(shape))

    def forward(self, z: Any) -> Tensor:
        return ops.reshape(self.layer(z), (-1, *self.shape))


@settings(max_examples=5)
@given(SEEDS)
def test_project_finds_the_least_squares_solution(seed: int) -> None:
    with default_dtype("float64"):
        generator = Affine(2, (1, 2, 3))
    random = np.random.default_rng(seed)
    weight, bias = np.linalg.qr(random.standard_normal((6, 2)))[0] * [1.0, 2.0], random.standard_normal(6)
    generator.load_state_dict({"layer.weight": weight, "layer.bias": bias})
    images = random.standard_normal((3, 1, 2, 3))
    z, error = latent.project(generator, images, 2, restarts=1)
    best, squares, *_ = np.linalg.lstsq(weight, (images.reshape(3, 6) - bias).T)
    np.testing.assert_allclose(z, best.T, atol=1e-4)
    np.testing.assert_allclose(error, squares / 6, rtol=1e-6)


def test_project_finds_the_point_of_a_generated_image_and_leaves_the_generator_alone(device: Device) -> None:
    """On a generator with a nonlinearity, in float32."""
    generator = nn.Sequential(Affine(2, (1, 3, 3)), nn.Tanh())
    before = {name: to_numpy(x).copy() for name, x in generator.state_dict().items()}
    truth = device.asarray(points(2, 2, scale=0.5), np.float32)
    images = generator(Tensor(truth)).detach()
    next(generator.parameters()).grad = marker = Tensor(device.asarray(points(9, 2)))
    z, error = latent.project(generator, images, 2, steps=200, restarts=2)
    assert device_of(z) == device_of(error) == device and z.dtype == np.float32
    assert z.shape == (2, 2) and error.shape == (2,)
    np.testing.assert_allclose(to_numpy(z), to_numpy(truth), atol=1e-3)
    assert to_numpy(error).max() < 1e-6
    first, second = generator.parameters()
    assert first.grad is marker and second.grad is None and first.requires_grad
    for name, x in generator.state_dict().items():
        assert (to_numpy(x) == before[name]).all()


def test_project_keeps_the_best_restart_of_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the image of z is z^2 - 1 below 0.5 and -10 (flat) above it, a start above never comes down."""
    starts = np.array([[[-1.0], [5.0]], [[5.0], [-3.0]]])  # (restarts, N, latent_dim)
    monkeypatch.setattr(latent, "normal", lambda shape, **kwargs: starts.reshape(shape).copy())
    generate = lambda z: ops.reshape(ops.where(z > 0.5, z * 0.0 - 10.0, ops.square(z) - 1.0), (-1, 1, 1, 1))
    z, error = latent.project(generate, np.array([3.0, 8.0]).reshape(2, 1, 1, 1), 1, restarts=2)
    np.testing.assert_allclose(z, [[-2], [-3]], atol=1e-4)
    np.testing.assert_allclose(error, 0, atol=1e-6)


def test_search_minimises_any_errors_from_where_it_starts(device: Device) -> None:
    """Of two valleys the nearer one; the start stays as it is; without steps the errors are those of the start."""
    start = device.asarray(np.array([[0.7], [-3.0]], "float32"))
    errors = lambda z: ops.sum(ops.square(ops.square(z) - 4.0), axis=1)  # the smallest at -2 and at 2
    z, left = latent.search(errors, Tensor(start), steps=200, lr=0.1)
    assert device_of(z) == device_of(left) == device and left.shape == (2,)
    np.testing.assert_allclose(to_numpy(z), [[2], [-2]], atol=1e-3)
    np.testing.assert_array_equal(to_numpy(start), np.array([[0.7], [-3.0]], "float32"))
    np.testing.assert_allclose(to_numpy(latent.search(errors, start, steps=0)[1]), [(0.49 - 4) ** 2, 25], rtol=1e-5)


def test_project_works_where_the_images_are(gpu_standin: Device) -> None:
    """Also if another device is the current one."""
    weight = gpu_standin.asarray(np.eye(2))
    generate = lambda z: ops.reshape(ops.matmul(z, weight), (-1, 1, 1, 2))
    z, _ = latent.project(generate, gpu_standin.asarray(points(1, 1, 1, 2)), 2, steps=1, restarts=1)
    assert device_of(z) == gpu_standin


def test_arithmetic() -> None:
    glasses_man, man, woman = np.array([[1.0, 1, 0], [3, 1, 0]]), np.array([[1.0, 1, 0]]), points(4, 3)
    expected = [1 + woman[:, 0].mean(), woman[:, 1].mean(), woman[:, 2].mean()]
    np.testing.assert_allclose(latent.arithmetic(glasses_man, man, woman), expected, rtol=1e-12)


def test_everything_works_on_a_gpu(device: Device) -> None:
    z = [points(3, 4, seed=i) for i in range(4)]
    on = [device.asarray(x) for x in z]
    for f in (
        lambda a, b, c, d: latent.slerp(a, b, 3),
        lambda a, b, c, d: latent.lerp(Tensor(a), Tensor(b), 3),
        lambda a, b, c, d: latent.walk(c, 2),
        lambda a, b, c, d: latent.grid(a[0], b[0], c[0], d[0], 2, 3),
        lambda a, b, c, d: latent.arithmetic(a, b, c),
    ):
        there = f(*on)
        assert device_of(there) == device
        np.testing.assert_allclose(to_numpy(there), f(*z), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: latent.lerp(points(2), points(3), 5), r"lerp: .* got \(2,\) float64, \(3,\)"),
        (lambda: latent.slerp(points(2), points(2), 1), "slerp: .*steps >= 2.*steps=1"),
        (lambda: latent.lerp(np.arange(2), np.arange(2), 3), "lerp: .*floats.* int64"),
        (lambda: latent.walk(points(1, 2), 3), "walk: expects two or more points .*got 1 points"),
        (lambda: latent.walk(points(2, 2), 0), "walk: .*steps=0"),
        (lambda: latent.arithmetic(points(2, 3), points(2, 3), points(3)), r"arithmetic: .*\(K, latent_dim\).*\(3,\)"),
        (lambda: latent.arithmetic(points(2, 3), points(0, 3), points(2, 3)), r"arithmetic: .*\(0, 3\)"),
        (lambda: latent.project(lambda z: z, np.zeros((1, 1, 2, 2), np.uint8), 2), "project: .*floats.*uint8"),
        (lambda: latent.project(lambda z: z, points(1, 1, 2, 2), 2, restarts=0), "project: .*restarts >= 1.* 0"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
