"""The modules without parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import nn
from minigen.autograd import grad, tensor
from minigen.backend import Device, to_numpy
from minigen.random import manual_seed
from minigen.testing.strategies import SEEDS, shapes


@pytest.mark.parametrize(
    ("layer", "oracle"),
    [
        (nn.ReLU(), lambda x: max(x, 0.0)),
        (nn.LeakyReLU(), lambda x: x if x > 0 else 0.01 * x),
        (nn.LeakyReLU(0.2), lambda x: x if x > 0 else 0.2 * x),
        (nn.Tanh(), math.tanh),
        (nn.Sigmoid(), lambda x: 1 / (1 + math.exp(-x))),
        (nn.Identity(), lambda x: x),
        (nn.Softplus(), lambda x: math.log(1 + math.exp(x))),
        (nn.Softplus(beta=2.0), lambda x: math.log(1 + math.exp(2 * x)) / 2),
        (nn.SiLU(), lambda x: x / (1 + math.exp(-x))),
        (nn.ELU(), lambda x: x if x > 0 else math.exp(x) - 1),
        (nn.ELU(0.3), lambda x: x if x > 0 else 0.3 * (math.exp(x) - 1)),
    ],
    ids=lambda x: repr(x) if isinstance(x, nn.Module) else "",
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", [True, False])
def test_values(layer: nn.Module, oracle: Callable[[float], float], dtype: str, mode: bool, device: Device) -> None:
    x = np.array([[-3.0, -0.5, 0.0], [0.25, 1.0, 3.0]], dtype)
    leaf = tensor(x, requires_grad=True)
    y = layer.train(mode)(leaf)
    tolerance = 1e-6 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(y.numpy(), [[oracle(float(v)) for v in row] for row in x], rtol=tolerance)
    y.sum().backward()
    assert y.dtype == leaf.grad.dtype == dtype and y.device == device
    assert not list(layer.parameters()) and not layer.state_dict()


def test_elu_and_silu_do_not_overflow(device: Device) -> None:
    x = tensor([-1e4, 0.0, 1e4], requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        for layer, values, slopes in [(nn.ELU(2.0), [-2, 0, 1e4], [0, 2, 1]), (nn.SiLU(), [0, 0, 1e4], [0, 0.5, 1])]:
            y = layer(x)
            (g,) = grad(y.sum(), x)
            np.testing.assert_allclose(y.numpy(), values)
            np.testing.assert_allclose(g.numpy(), slopes)


def test_elu_keeps_small_values() -> None:
    np.testing.assert_allclose(nn.ELU()(tensor([-1e-5, -1e-12])).numpy(), [math.expm1(-1e-5), -1e-12], rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_is_along_one_axis(axis: int, device: Device) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    y = nn.Softmax(axis)(tensor(x)).numpy()
    np.testing.assert_allclose(y, np.exp(x) / np.exp(x).sum(axis, keepdims=True), rtol=1e-12)
    assert repr(nn.Softmax(axis)) == f"Softmax(axis={axis})"


@given(n=st.integers(1, 3), rest=shapes(), seed=SEEDS)
def test_flatten_and_unflatten(n: int, rest: tuple[int, ...], seed: int, device: Device) -> None:
    x = np.random.default_rng(seed).normal(size=(n, *rest)).astype("float32")
    flat = nn.Flatten()(tensor(x))
    assert flat.shape == (n, math.prod(rest))
    for i in range(n):  # in row-major order
        assert to_numpy(flat.data)[i].tolist() == x[i].ravel().tolist()
    np.testing.assert_array_equal(nn.Unflatten(rest)(flat).numpy(), x)


def test_unflatten_into_another_size(device: Device) -> None:
    with pytest.raises(ValueError, match=r"^reshape: .*\(2, 5\)"):
        nn.Unflatten((2, 3))(tensor(np.ones((2, 5), "float32")))


# -- dropout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_in_training(p: float, device: Device) -> None:
    """Each value becomes 0 or grows by 1 / (1 - p); the number of zeros is binomial, to five standard deviations."""
    n = 40_000
    x = tensor(np.full((n,), 2.0, "float32"), requires_grad=True)
    layer = nn.Dropout(p)
    y = layer(x)
    kept = y.numpy() != 0
    assert abs(n - kept.sum() - n * p) < 5 * math.sqrt(n * p * (1 - p))
    np.testing.assert_allclose(y.numpy(), np.where(kept, 2 / (1 - p), 0), rtol=1e-6)
    (gradient,) = grad(y.sum(), [x])
    np.testing.assert_allclose(gradient.numpy(), np.where(kept, 1 / (1 - p), 0), rtol=1e-6)
    assert y.dtype == gradient.dtype == np.float32 and y.device == device
    assert (layer(x).numpy() != y.numpy()).any()  # another mask every time


def test_dropout_neighbours_are_independent(device: Device) -> None:
    """As a mask shared along an axis would not be."""
    dropped = nn.Dropout(0.5)(tensor(np.ones((200, 200), "float32"))).numpy() == 0
    for shifted in (dropped[1:, :] & dropped[:-1, :], dropped[:, 1:] & dropped[:, :-1]):
        assert abs(shifted.mean() - 0.25) < 0.02


def test_dropout_in_evaluation_is_nothing(device: Device) -> None:
    x = tensor(np.ones((10, 10), "float32"))
    np.testing.assert_array_equal(nn.Dropout(0.9).eval()(x).numpy(), x.numpy())
    np.testing.assert_array_equal(nn.Dropout(0.0)(x).numpy(), x.numpy())


def test_dropout_is_the_same_on_every_device(gpu_standin: Device) -> None:
    x = np.ones((10, 10), "float32")
    manual_seed(3)
    here = nn.Dropout()(tensor(x)).numpy()
    manual_seed(3)
    np.testing.assert_array_equal(nn.Dropout()(tensor(x, device=gpu_standin)).numpy(), here)


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, math.nan])
def test_dropout_takes_a_probability(p: float) -> None:
    with pytest.raises(ValueError, match=f"^Dropout: expects a probability 0 <= p < 1, got {p}"):
        nn.Dropout(p)
