"""f-GAN: the rows of its table by the definition of the conjugate, the bound by quadrature, the losses by the paper."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from minigen.backend import Device
from minigen.data.toy import GaussianMixture
from minigen.evaluate import integration_grid, jensen_shannon_divergence, kl_divergence
from minigen.models import Batch, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.f_gan import DIVERGENCES, FGAN, f_divergence

PAPER = {  # tables 1 and 2, and table 6: g(v), f*(t), f'(1)
    "kl": (lambda v: v, lambda t: np.exp(t - 1), 1),
    "reverse-kl": (lambda v: -np.exp(-v), lambda t: -1 - np.log(-t), -1),
    "pearson": (lambda v: v, lambda t: t**2 / 4 + t, 0),
    "hellinger": (lambda v: 1 - np.exp(-v), lambda t: t / (1 - t), 0),
    "jensen-shannon": (lambda v: np.log(2) - np.log(1 + np.exp(-v)), lambda t: -np.log(2 - np.exp(t)), 0),
    "gan": (lambda v: -np.log(1 + np.exp(-v)), lambda t: -np.log(1 - np.exp(t)), -math.log(2)),
}
every = pytest.mark.parametrize("name", DIVERGENCES)
V = np.linspace(-1.5, 3, 19)


def small(name: str, **options: bool) -> FGAN:
    discriminator = MLPDiscriminator((2,), 4, 1, 2, dropout=0.0)
    return FGAN(MLPGenerator((2,), 3, 4, 1, tanh=False), discriminator, name, **options)


@every
def test_the_rows_are_the_papers(name: str) -> None:
    row, (g, conjugate, threshold) = DIVERGENCES[name], PAPER[name]
    np.testing.assert_allclose(row.activation(V), g(V))
    np.testing.assert_allclose(row.conjugate(V), conjugate(g(V)), atol=1e-12)
    assert row.threshold == threshold
    assert row.f(np.float64(1.0)) == pytest.approx(-2 * math.log(2) if name == "gan" else 0)


@every
def test_the_conjugate_is_the_largest_of_the_lines(name: str) -> None:
    """f*(t) = sup_u (u t - f(u)), for every t that D can give; f'(1) is the slope of f at 1."""
    row, u = DIVERGENCES[name], np.exp(np.linspace(-9, 9, 60_001))
    for v in V:
        assert (u * row.activation(v) - row.f(u)).max() == pytest.approx(row.conjugate(v), abs=1e-3)
    slope = (row.f(np.float64(1 + 1e-6)) - row.f(np.float64(1 - 1e-6))) / 2e-6
    assert slope == pytest.approx(row.threshold, abs=1e-8)


@every
def test_the_bound_is_tight_for_the_best_discriminator_only(name: str) -> None:
    """The best has T = f'(p / q); the divergences that `evaluate` has are those."""
    row = DIVERGENCES[name]
    x, cell = integration_grid(-9, 9, 1800)
    log_p, log_q = GaussianMixture([[0.0]], 1.0).log_prob(x), GaussianMixture([[0.7]], 1.2).log_prob(x)
    p, q = np.exp(log_p), np.exp(log_q)
    divergence = f_divergence(name, p, q, cell).item()
    known = {
        "kl": kl_divergence(log_p, log_q, cell),
        "reverse-kl": kl_divergence(log_q, log_p, cell),
        "pearson": ((p - q) ** 2 / q).sum() * cell,
        "hellinger": ((np.sqrt(p) - np.sqrt(q)) ** 2).sum() * cell,
        "jensen-shannon": 2 * jensen_shannon_divergence(log_p, log_q, cell),
        "gan": 2 * jensen_shannon_divergence(log_p, log_q, cell) - math.log(4),
    }
    assert divergence == pytest.approx(known[name], abs=1e-9)
    ratio = p / q
    best = {  # v with g(v) = f'(p / q)
        "kl": 1 + np.log(ratio),
        "reverse-kl": np.log(ratio),
        "pearson": 2 * (ratio - 1),
        "hellinger": np.log(ratio) / 2,
        "jensen-shannon": np.log(ratio),
        "gan": np.log(ratio),
    }[name]
    bound = lambda v: (p * row.activation(v) - q * row.conjugate(v)).sum() * cell
    assert bound(best) == pytest.approx(divergence, abs=1e-9)
    for other in (best + 0.1, 0.9 * best, np.sin(3 * x[:, 0])):
        assert bound(other) < divergence - 1e-4


@every
@pytest.mark.parametrize("tricky", [False, True])
def test_the_losses_are_the_papers(name: str, tricky: bool, device: Device) -> None:
    gan, (g, conjugate, threshold) = small(name, tricky=tricky), PAPER[name]
    x, z = device.asarray(np.random.default_rng(0).normal(size=(6, 2)).astype("float32")), gan.noise(6)
    s = gan.discriminator(x).numpy().astype(float)
    t = gan.discriminator(gan(z)).numpy().astype(float)
    loss, metrics = gan.discriminator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(-(g(s).mean() - conjugate(g(t)).mean()), rel=1e-4, abs=1e-5)
    assert float(metrics["bound"]) == pytest.approx(-loss.item(), rel=1e-4, abs=1e-5)
    assert float(metrics["right"]) == ((g(s) > threshold).mean() + (g(t) <= threshold).mean()) / 2
    loss, _ = gan.generator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(-(g(t) if tricky else conjugate(g(t))).mean(), rel=1e-4, abs=1e-5)


@every
def test_each_player_moves_its_own(name: str, check_players: Callable) -> None:
    check_players(small(name), np.random.default_rng(0).normal(size=(8, 2)).astype("float32"))


def test_a_divergence_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"FGAN: expects divergence to be one of \('kl', .*\), got 'tv'"):
        small("tv")
