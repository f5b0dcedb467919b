"""BS-GAN: its weights and its gradient by enumeration of all patterns, its losses by the paper."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from minigen import nn, ops
from minigen.autograd import Tensor, grad, tensor
from minigen.backend import Device, default_dtype, to_numpy
from minigen.models import Batch, MLPDiscriminator, MLPGenerator
from minigen.models.zoo import bs_gan
from minigen.models.zoo.bs_gan import BitGenerator, BoundarySeekingGAN, ContinuousBoundarySeekingGAN, log_prob
from minigen.random import manual_seed

EVERY = np.array(list(product((0.0, 1.0), repeat=3)))  # (8, 3)
P_DATA = np.array([1, 2, 3, 4, 5, 6, 7, 8]) / 36


class Ratio(nn.Module):
    """The best discriminator of bits (N, 3) with g(x) from these logits: s(x) = log p_data(x) / g(x)."""

    def __init__(self, logits: np.ndarray) -> None:
        log_g = np.asarray(log_prob(EVERY[:, None], logits[None]))[:, 0]
        self.s = np.log(P_DATA) - log_g

    def forward(self, x: Any) -> Any:
        return Tensor(self.s[(to_numpy(x.data) @ [4, 2, 1]).astype(int)])


def test_with_the_best_discriminator_the_gradient_is_that_of_the_divergence() -> None:
    """Of KL(data || g), for one z and very many samples."""
    with default_dtype("float64"):
        generator = BitGenerator((3,), 1, 2, 1)
        z = Tensor(np.ones((1, 1)))
        gan = BoundarySeekingGAN(generator, Ratio(generator.logits(z).numpy()[0]), draws=400_000)
        manual_seed(0)
        loss, metrics = gan.generator_loss(Batch(None, z))
        log_g = log_prob(EVERY[:, None], generator.logits(z))[:, 0]  # (8,)
        bias = generator.net[-2].bias
        (found,), (expected,) = grad(loss, bias), grad(-ops.sum(P_DATA * log_g), bias)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=0.01)
    assert abs(expected.numpy()).max() > 0.05
    g = np.exp(log_g.numpy())
    assert g.sum() == pytest.approx(1)
    assert float(metrics["effective"]) == pytest.approx(400_000 / (P_DATA**2 / g).sum(), rel=0.02)


def test_the_loss_is_the_papers(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a loop over z and samples; the weights are constants."""
    gan = BoundarySeekingGAN(BitGenerator((2, 2), 3, 4, 1), MLPDiscriminator((2, 2), 4, 1, 2, dropout=0.0), draws=5)
    z, drawn = gan.noise(3), []
    draw = bs_gan.draw
    monkeypatch.setattr(bs_gan, "draw", lambda logits: drawn.append(draw(logits)) or drawn[-1])
    loss, _ = gan.generator_loss(Batch(None, z))
    x, logits = drawn[0], gan.generator.logits(z).numpy()
    assert x.shape == (5, 3, 2, 2) and set(np.unique(x.numpy())) <= {0, 1}
    expected = 0.0
    for n in range(3):
        s = np.array([gan.discriminator(x[m, n : n + 1]).item() for m in range(5)])
        w = np.exp(s) / np.exp(s).sum()
        p = 1 / (1 + np.exp(-logits[n]))
        for m in range(5):
            bits = x.numpy()[m, n]
            expected -= w[m] * np.log(np.where(bits == 1, p, 1 - p)).sum() / 3
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_each_player_moves_its_own(check_players: Callable) -> None:
    gan = BoundarySeekingGAN(BitGenerator((4,), 3, 8), MLPDiscriminator((4,), 4, 1, 2, dropout=0.0))
    check_players(gan, (np.random.default_rng(0).random((8, 4)) < 0.5).astype("float32"))


def test_the_continuous_loss_is_the_papers(device: Device) -> None:
    """(log D - log (1 - D))^2 / 2"""
    gan = ContinuousBoundarySeekingGAN(
        MLPGenerator((2,), 3, 4, 1, tanh=False), MLPDiscriminator((2,), 4, 1, 2, dropout=0.0)
    )
    z = gan.noise(6)
    p = 1 / (1 + np.exp(-gan.discriminator(gan(z)).numpy().astype(float)))
    expected = ((np.log(p) - np.log(1 - p)) ** 2).mean() / 2
    assert gan.generator_loss(Batch(z, z))[0].item() == pytest.approx(expected, rel=1e-3)


def test_the_continuous_loss_leads_to_the_boundary() -> None:
    """With the best D of data N(0, 1) and samples N(m, 1) its derivative for m is m^3 / 2."""
    gan = ContinuousBoundarySeekingGAN(MLPGenerator((1,), 1), MLPDiscriminator((1,)))
    for m in (-0.5, 1.0):
        shift = tensor(np.float32(m), requires_grad=True)
        x = shift + np.random.default_rng(0).normal(size=400_000).astype("float32")
        (slope,) = grad(gan.objective.generator(m * m / 2 - m * x), shift)  # the best logit, as a fixed function
        assert slope.item() == pytest.approx(m**3 / 2, abs=0.01)


def test_each_player_of_the_continuous_form_moves_its_own(check_players: Callable) -> None:
    networks = MLPGenerator((2,), 3, 4, 1, tanh=False), MLPDiscriminator((2,), 4, 1, 2, dropout=0.0)
    check_players(
        ContinuousBoundarySeekingGAN(*networks), np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    )


def test_bits_are_drawn_with_their_probabilities(device: Device) -> None:
    logits = tensor(np.array([-2.0, 0.0, 3.0], "float32"))
    manual_seed(1)
    x = bs_gan.draw(ops.broadcast_to(logits, (40_000, 3)))
    assert x.device == device and x.dtype == np.float32
    np.testing.assert_allclose(x.numpy().mean(axis=0), 1 / (1 + np.exp([2.0, 0.0, -3.0])), atol=0.01)
