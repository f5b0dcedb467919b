"""b-GAN: its ratios by the slopes of f, its losses by the paper, and where G's loss leads, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen.autograd import grad
from minigen.backend import Device
from minigen.data.toy import GaussianMixture
from minigen.evaluate import integration_grid
from minigen.models import Batch, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.b_gan import BGAN, RATIOS
from minigen.models.zoo.f_gan import DIVERGENCES, FGAN

SLOPES = {  # f'(u), from the paper's f
    "kl": lambda u: np.log(u) + 1,
    "reverse-kl": lambda u: -1 / u,
    "pearson": lambda u: 2 * (u - 1),
    "hellinger": lambda u: 1 - 1 / np.sqrt(u),
    "jensen-shannon": lambda u: np.log(2 * u / (u + 1)),
    "gan": lambda u: np.log(u / (u + 1)),
}
every = pytest.mark.parametrize("name", DIVERGENCES)


def small(name: str, kind: type[FGAN] = BGAN) -> FGAN:
    discriminator = MLPDiscriminator((2,), 4, 1, 2, dropout=0.0)
    return kind(MLPGenerator((2,), 3, 4, 1, tanh=False), discriminator, name)


@every
def test_the_losses_are_the_papers(name: str, device: Device) -> None:
    """D's is the Bregman divergence with f'(r) for the ratio r, without the term that r is not in."""
    gan, f, slope = small(name), DIVERGENCES[name].f, SLOPES[name]
    x, z = device.asarray(np.random.default_rng(0).normal(size=(6, 2)).astype("float32")), gan.noise(6)
    of_data, of_samples = (RATIOS[name](gan.discriminator(v).numpy().astype(float)) for v in (x, gan(z)))
    expected = (of_samples * slope(of_samples) - f(of_samples)).mean() - slope(of_data).mean()
    assert gan.discriminator_loss(Batch(x, z))[0].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert gan.generator_loss(Batch(x, z))[0].item() == pytest.approx(f(of_samples).mean(), rel=1e-4, abs=1e-5)


@every
def test_where_the_loss_of_the_generator_leads(name: str) -> None:
    """With the exact ratio of N(0, 1) and N(m, 1), every sample moved by the same: -m E_p f'(p / q)."""
    f, m = DIVERGENCES[name].f, 0.5
    x, cell = integration_grid(-9, 9, 3600)
    p, q = (np.exp(GaussianMixture([[mean]], 1.0).log_prob(x)) for mean in (0.0, m))
    loss = lambda by: (q * f(np.exp(m * m / 2 - m * (x[:, 0] + by)))).sum() * cell
    found = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert found == pytest.approx(-m * (p * SLOPES[name](p / q)).sum() * cell, rel=1e-4)
    assert (found > 0) == (name in ("reverse-kl", "gan"))  # then m falls towards the data
    if name == "pearson":
        assert found == pytest.approx(-2 * m * (math.exp(m * m) - 1), rel=1e-4)


@every
def test_its_gradient_is_that_of_f_gan_for_the_reverse_kl_only(name: str) -> None:
    both = small(name), small(name, FGAN)
    both[1].load_state_dict(both[0].state_dict())
    z = both[0].noise(8)
    of = lambda gan: grad(gan.generator_loss(Batch(z, z))[0], list(gan.generator.parameters()))
    same = all(np.allclose(a.numpy(), b.numpy(), atol=1e-6) for a, b in zip(*map(of, both), strict=True))
    assert same == (name == "reverse-kl")


@every
def test_each_player_moves_its_own(name: str, check_players: Callable[[Any, Any], None]) -> None:
    check_players(small(name), np.random.default_rng(0).normal(size=(8, 2)).astype("float32"))
