"""`Linear` and `Embedding`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import nn
from minigen.autograd import tensor
from minigen.backend import Device, default_dtype
from minigen.testing.strategies import SEEDS, shapes


@given(lead=shapes(max_dims=3), n=st.integers(1, 4), m=st.integers(1, 4), bias=st.booleans(), seed=SEEDS)
def test_linear_is_a_sum_over_features(
    lead: tuple[int, ...], n: int, m: int, bias: bool, seed: int, device: Device
) -> None:
    """y[..., j] = b[j] + sum over i of W[j, i] x[..., i]"""
    with default_dtype("float64"):
        layer = nn.Linear(n, m, bias=bias)
    assert (layer.bias is not None) == bias
    x = np.random.default_rng(seed).normal(size=(*lead, n))
    weight, b = layer.weight.numpy(), layer.bias.numpy() if bias else np.zeros(m)
    expected = np.zeros((*lead, m))
    for index in np.ndindex(*lead):
        for j in range(m):
            expected[(*index, j)] = b[j] + sum(weight[j, i] * x[(*index, i)] for i in range(n))
    for mode in (True, False):
        y = layer.train(mode)(tensor(x))
        assert y.shape == expected.shape and y.device == device
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_linear_gets_the_gradients_of_the_sum(device: Device) -> None:
    """With y = x W^T + b and L = sum of g y: dL/dx = g W, dL/dW = g^T x, dL/db = the sum of g over the rows."""
    layer, random = nn.Linear(3, 2), np.random.default_rng(0)
    x, g = random.normal(size=(4, 5, 3)).astype("float32"), random.normal(size=(4, 5, 2)).astype("float32")
    leaf = tensor(x, requires_grad=True)
    layer(leaf).backward(tensor(g))
    np.testing.assert_allclose(leaf.grad.numpy(), g @ layer.weight.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.weight.grad.numpy(), np.einsum("abj,abi->ji", g, x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer.bias.grad.numpy(), g.sum((0, 1)), rtol=1e-5, atol=1e-5)
    assert leaf.grad.dtype == layer.weight.grad.dtype == layer.bias.grad.dtype == np.float32


def test_linear_refuses_what_does_not_fit(device: Device) -> None:
    layer = nn.Linear(3, 2)
    with pytest.raises(ValueError, match=r"^linear: x has \(2,\) features \(5, 2\) but weight \(out, in\) is \(2, 3\)"):
        layer(tensor(np.ones((5, 2), "float32")))
    with pytest.raises(TypeError, match=r"^linear: the dtypes do not agree"):
        layer(tensor(np.ones((5, 3), "float64")))


def test_linear_refuses_another_device(gpu_standin: Device) -> None:
    layer = nn.Linear(3, 2)
    with pytest.raises(ValueError, match=r"^linear: .*x is on gpu:0, weight is on cpu"):
        layer(tensor(np.ones((5, 3), "float32"), device=gpu_standin))


# -- embedding ---------------------------------------------------------------------------------------------------------


@given(
    shape=shapes(),
    n=st.integers(1, 5),
    m=st.integers(1, 3),
    dtype=st.sampled_from(["int64", "int32", "uint8"]),
    as_tensor=st.booleans(),
    seed=SEEDS,
)
def test_embedding_takes_rows(
    shape: tuple[int, ...], n: int, m: int, dtype: str, as_tensor: bool, seed: int, device: Device
) -> None:
    """y[..., :] = W[x[...], :], and the gradient of a row is the sum over all places that took it."""
    random, layer = np.random.default_rng(seed), nn.Embedding(n, m)
    index = random.integers(0, n, shape).astype(dtype)
    g = random.normal(size=(*shape, m)).astype("float32")
    y = layer(tensor(index) if as_tensor else device.asarray(index))
    weight, expected, gradient = layer.weight.numpy(), np.zeros((*shape, m)), np.zeros((n, m))
    for place in np.ndindex(*shape):
        expected[place] = weight[index[place]]
        gradient[index[place]] += g[place]
    np.testing.assert_array_equal(y.numpy(), expected)
    y.backward(tensor(g))
    np.testing.assert_allclose(layer.weight.grad.numpy(), gradient, rtol=1e-5, atol=1e-5)
    assert y.dtype == layer.weight.grad.dtype == np.float32 and y.device == device


@pytest.mark.parametrize(
    ("x", "got"),
    [
        (np.ones(2, "float32"), "float32"),
        (np.array([True]), "bool"),
        ([0, 1], "list"),
        (1, "int"),
        (tensor([0.0, 1.0]), "float32"),
    ],
    ids=["floats", "booleans", "list", "number", "tensor of floats"],
)
def test_embedding_takes_integers(x: Any, got: str) -> None:
    with pytest.raises(TypeError, match=f"^Embedding: expects an array of integers, got {got}$"):
        nn.Embedding(3, 2)(x)


def test_embedding_refuses_what_is_out_of_range() -> None:
    with pytest.raises(IndexError, match=r"index 3 is out of bounds .*with size 3"):
        nn.Embedding(3, 2)(np.array([0, 3]))


def test_embedding_does_not_wrap_around() -> None:
    with pytest.raises(IndexError, match=r"^Embedding: expects integers 0 ... 4, got -1$"):
        nn.Embedding(5, 2)(np.array([0, -1]))
