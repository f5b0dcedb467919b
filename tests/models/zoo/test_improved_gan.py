"""Improved GAN: minibatch discrimination against loops, and what it changes in a discriminator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen.autograd import tensor
from minigen.backend import Device, default_dtype
from minigen.models import GAN, MLPGenerator
from minigen.models.zoo.improved_gan import MinibatchDiscrimination, MinibatchDiscriminator
from minigen.testing import check_module


def test_minibatch_discrimination_against_loops(device: Device) -> None:
    layer = MinibatchDiscrimination(3, kernels=4, size=2)
    f = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    out = layer(tensor(f)).numpy()
    m = (f @ layer.linear.weight.numpy().T).reshape(5, 4, 2)
    expected = np.zeros((5, 4))
    for i in range(5):
        for j in range(5):
            for b in range(4):
                if j != i:
                    expected[i, b] += np.exp(-sum(abs(m[i, b, c] - m[j, b, c]) for c in range(2)))
    np.testing.assert_allclose(out[:, :3], f, rtol=1e-6)
    np.testing.assert_allclose(out[:, 3:], expected, rtol=1e-4, atol=1e-5)


def test_its_derivatives() -> None:
    with default_dtype("float64"):
        check_module(MinibatchDiscrimination(3, 2, 2), np.random.default_rng(1).normal(size=(4, 3)))


def test_alike_examples_are_close() -> None:
    layer = MinibatchDiscrimination(2, kernels=3)
    np.testing.assert_allclose(layer(tensor(np.ones((6, 2), "float32"))).numpy()[:, 2:], 5, rtol=1e-5)


def test_the_logit_of_an_example_depends_on_its_batch() -> None:
    d = MinibatchDiscriminator((2,), 8, pieces=2, kernels=3)
    x = np.random.default_rng(2).normal(size=(4, 2)).astype("float32")
    with_others, alone = d(tensor(x)).numpy(), d(tensor(x[:1])).numpy()
    assert with_others.shape == (4,) and with_others[0] != pytest.approx(alone[0], abs=1e-4)


def test_each_player_moves_its_own(check_players: Callable) -> None:
    gan = GAN(MLPGenerator((2,), 3, 8), MinibatchDiscriminator((2,), 8, 1, 2, kernels=3), "minimax")
    check_players(gan, np.random.default_rng(0).normal(size=(8, 2)).astype("float32"))
