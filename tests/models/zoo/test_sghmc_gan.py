"""SGHMC's GAN: its losses by the paper, the noise in its gradient, samples of all generators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen import nn
from minigen.autograd import Tensor, grad
from minigen.backend import Device
from minigen.models import Batch, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.sghmc_gan import SGHMCGAN


def small(generators: int = 3, points: int = 100, **options: float) -> SGHMCGAN:
    networks = [MLPGenerator((2,), 3, 4, 1, tanh=False) for _ in range(generators)]
    return SGHMCGAN(networks, MLPDiscriminator((2,), 4, 1, 2, dropout=0.0), points, **options)


def data(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 2)).astype("float32")


def test_the_losses_are_the_papers(device: Device) -> None:
    gan, x = small(alpha=0.0, sigma=0.5), device.asarray(data())
    z = gan.noise(6)
    s = gan.discriminator(x).numpy()
    t = [gan.discriminator(g(z[j])).numpy() for j, g in enumerate(gan.generator)]
    against = [np.log1p(np.exp(-s)).mean() + np.log1p(np.exp(u)).mean() for u in t]
    assert gan.discriminator_loss(Batch(x, z))[0].item() == pytest.approx(np.log(np.exp(against).sum()), rel=1e-4)
    prior = sum((p.numpy() ** 2).sum() for p in gan.generator.parameters()) / (2 * 0.5**2)
    expected = sum(np.log1p(np.exp(-u)).mean() for u in t) + prior / 100
    assert gan.generator_loss(Batch(x, z))[0].item() == pytest.approx(expected, rel=1e-4)


def test_a_perfect_discriminator_is_known_by_its_loss() -> None:
    """It is log 3, where D's loss against each of three generators is 0."""
    gan = small()
    gan.discriminator.forward = lambda x: x[:, 0]
    x = np.full((6, 2), 100, "float32")
    gan.forward = lambda z: [Tensor(-x)] * 3
    loss = gan.discriminator_loss(Batch(x, gan.noise(6)))[0].item()
    assert loss == pytest.approx(np.log(3)) and loss < gan.players()["discriminator"].perfect < loss + 0.1


def test_the_noise_has_its_variance_and_comes_anew() -> None:
    """Without D and prior, the gradient of the weights is n / N."""
    gan = small(points=10, alpha=0.08, sigma=1e6)
    parameters = list(gan.generator.parameters())
    draw = lambda: np.concatenate([g.numpy().ravel() for g in grad(gan.prior_and_noise(), parameters)])
    noise = np.stack([draw() for _ in range(60)])
    assert noise.std() == pytest.approx(0.4, rel=0.03) and abs(noise.mean()) < 0.02
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(noise[:, :20].T)[~np.eye(20, dtype=bool)]).max() < 0.6  # each weight has its own


def test_each_player_moves_its_own(check_players: Callable[[Any, Any], None]) -> None:
    check_players(small(), data(8))


class Constant(nn.Module):
    latent_dim = 1

    def __init__(self, value: float) -> None:
        self.value = nn.init.constant((1,), value)

    def forward(self, z: Any) -> Any:
        return 0 * z + self.value


def test_samples_are_of_all_generators(device: Device) -> None:
    gan = SGHMCGAN([Constant(j) for j in range(4)], MLPDiscriminator((1,)), 10)
    x = gan.sample(4002).numpy()[:, 0]
    assert x.shape == (4002,) and gan.sample(3).shape == (3, 1)
    for part in (x, x[:2000]):
        np.testing.assert_allclose(np.bincount(part.astype(int)) / len(part), 0.25, atol=0.03)
    assert {int(gan.sample(1).item()) for _ in range(40)} == {0, 1, 2, 3}


def test_errors() -> None:
    for options in ({"generators": 0}, {"points": 0}, {"alpha": -1.0}, {"sigma": 0.0}):
        with pytest.raises(ValueError, match="SGHMCGAN: expects a generator or more, points >= 1"):
            small(**options)
