"""Bayesian GAN: its losses by the paper; on a linear Gaussian model, the ratio and the posterior in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen import nn, ops
from minigen.autograd import Tensor, grad, no_grad
from minigen.backend import Device, default_dtype
from minigen.models import Batch, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.bayesian_gan import BayesianGAN
from minigen.random import normal


def simulate(n: int) -> tuple[Any, Any]:
    """z ~ N(0, 1), x ~ N(z, 1): so x ~ N(0, 2) and z | x ~ N(x / 2, 1 / 2)."""
    z = normal((n, 1))
    return z + normal((n, 1)), z


def small() -> BayesianGAN:
    posterior = MLPGenerator((1,), 3, 4, 1, tanh=False)  # of x and two numbers of noise
    return BayesianGAN(simulate, posterior, MLPDiscriminator((2,), 4, 1, 2, dropout=0.0), latent_dim=2)


def test_the_losses_are_the_papers(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    x, z = simulate(5)
    monkeypatch.setattr(model, "simulate", lambda n: (x, z))
    data, noise = simulate(5)[0], model.noise(5)
    pairs = lambda x, z: ops.concat([Tensor(x), z], axis=1)
    inferred = model.posterior(pairs(data, noise))
    s, t = (model.ratio(pair).numpy() for pair in (pairs(x, Tensor(z)), pairs(data, inferred)))
    loss, _ = model.ratio_loss(Batch(data, noise))
    assert loss.item() == pytest.approx(np.log1p(np.exp(-s)).mean() + np.log1p(np.exp(t)).mean(), rel=1e-4)
    assert model.posterior_loss(Batch(data, noise))[0].item() == pytest.approx(-t.mean(), rel=1e-4, abs=1e-6)


def test_each_player_moves_its_own(check_players: Callable[[Any, Any], None]) -> None:
    check_players(small(), np.random.default_rng(0).normal(size=(8, 1)).astype("float32"))


class Linear(nn.Module):
    """z = slope x + deviation noise."""

    def __init__(self, slope: float, deviation: float) -> None:
        self.slope, self.deviation = nn.init.constant((1,), slope), nn.init.constant((1,), deviation)

    def forward(self, pair: Any) -> Any:
        return self.slope * pair[:, :1] + self.deviation * pair[:, 1:]


class Ratio(nn.Module):
    """The best one against q(z | x) = N(slope x, deviation^2): log p(x, z) - log q(x) q(z | x), with q(x) = p(x)."""

    def __init__(self, slope: float, deviation: float) -> None:
        self.slope, self.deviation = slope, deviation

    def forward(self, pair: Any) -> Any:
        x, z = pair[:, 0], pair[:, 1]
        log_q = -0.5 * ops.square((z - self.slope * x) / self.deviation) - math.log(self.deviation)
        return -ops.square(z - x / 2) + math.log(2) / 2 - log_q


@pytest.mark.parametrize(("slope", "deviation"), [(0.5, math.sqrt(0.5)), (0.2, 1.0), (0.9, 0.4)])
def test_with_the_best_ratio_the_loss_is_the_divergence(slope: float, deviation: float) -> None:
    """KL(q || p) of the two Gaussians, averaged over x; its gradient is 0 at the posterior alone."""
    n = 200_000
    with default_dtype("float64"), no_grad():
        model = BayesianGAN(simulate, Linear(slope, deviation), Ratio(slope, deviation), 1)
        x, noise = simulate(n)[0], normal((n, 1))
        loss = model.posterior_loss(Batch(x, Tensor(noise)))[0].item()
    expected = deviation**2 - 0.5 + 2 * (slope - 0.5) ** 2 - math.log(deviation * math.sqrt(2))
    assert loss == pytest.approx(expected, abs=0.02)
    with default_dtype("float64"):
        gradient = grad(model.posterior_loss(Batch(x, Tensor(noise)))[0], list(model.posterior.parameters()))
    # d/dslope 2 (slope - 1/2)^2 and d/ddeviation (deviation^2 - log deviation)
    exact = [4 * (slope - 0.5), 2 * deviation - 1 / deviation]
    np.testing.assert_allclose([g.numpy()[0] for g in gradient], exact, atol=0.05)


def test_an_inference_is_a_draw(device: Device) -> None:
    """Of the posterior of its own x, without derivatives."""
    model = BayesianGAN(simulate, Linear(0.5, math.sqrt(0.5)), Ratio(0.5, math.sqrt(0.5)), 1)
    z = model.infer(device.asarray(np.full((20_000, 1), 3.0, "float32")))
    assert z.device == device and not z.requires_grad
    assert z.numpy().mean() == pytest.approx(1.5, abs=0.03) and z.numpy().std() == pytest.approx(0.707, abs=0.02)
