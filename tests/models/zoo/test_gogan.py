"""GoGAN: its losses by the paper, and what stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen import nn, optim, train
from minigen.backend import Device
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.gogan import GoGAN


def small(stage: int, **options: float) -> GoGAN:
    generator = lambda: MLPGenerator((2,), 3, 4, 1, tanh=False)
    critic = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1, bias=False), nn.Unflatten(()))
    return GoGAN(generator(), critic, generator() if stage > 1 else None, **options)


def data(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 2)).astype("float32")


@pytest.mark.parametrize("stage", [1, 2])
def test_the_losses_are_the_papers(stage: int, device: Device) -> None:
    """With a margin that some of the pairs reach and others do not."""
    gan = small(stage, margin=0.1)
    x, z = device.asarray(data(8)), gan.noise(8)
    s, t = gan.discriminator(x).numpy(), gan.discriminator(gan(z)).numpy()
    expected = np.maximum(0, 0.1 + t - s).mean()
    assert 0 < (0.1 + t - s > 0).sum() < 8
    if stage == 2:
        expected += np.maximum(0, 0.2 + gan.discriminator(gan.earlier(z)).numpy() - s).mean()
    loss, metrics = gan.discriminator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert float(metrics["wasserstein"]) == pytest.approx(s.mean() - t.mean(), rel=1e-3, abs=1e-6)
    assert gan.generator_loss(Batch(x, z))[0].item() == pytest.approx(-t.mean(), rel=1e-4)


def test_each_player_moves_its_own(check_players: Callable[[Any, Any], None]) -> None:
    check_players(small(2), data(8))


def test_a_round_clips_the_critic_and_leaves_the_earlier_generator() -> None:
    gan = small(2, clip=0.02, k=2)
    before = [p.numpy().copy() for p in gan.earlier.parameters()]
    adam = lambda network: optim.Adam(network.parameters(), 0.1)
    train.Game(gan, {"discriminator": adam(gan.discriminator), "generator": adam(gan.generator)})(data(8))
    assert max(abs(p.numpy()).max() for p in gan.discriminator.parameters()) <= np.float32(0.02)
    for p, was in zip(gan.earlier.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), was)


def test_errors() -> None:
    for options in ({"margin": 0.0}, {"clip": 0.0}):
        with pytest.raises(ValueError, match="GoGAN: expects margin > 0 and clip > 0"):
            small(1, **options)
