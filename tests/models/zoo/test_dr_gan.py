"""DR-GAN: the losses by the paper's formula, whose parameters each moves, two labels in one number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import minigen
from minigen.backend import Device
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.dr_gan import DRGAN
from minigen.models.zoo.heads import Heads, MLPTrunk

DIGITS, COLOURS = np.array([0, 2, 1, 1, 0, 2, 2, 0]), np.array([1, 0, 0, 1, 1, 1, 0, 1])


def small() -> DRGAN:
    encoder = Heads(MLPTrunk((2,), (5,)), 3)
    return DRGAN(encoder, MLPGenerator((2,), 7, 6, 1, classes=2), Heads(MLPTrunk((2,), (6,)), 4, 2), noise_dim=4)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_the_losses_are_the_papers(device: Device) -> None:
    gan = small()
    x, y = device.asarray(random(8, 2)), device.asarray(2 * DIGITS + COLOURS)
    z, poses = gan.noise(8)
    asked = gan.device.asarray(poses)

    def log_probabilities(images: object) -> tuple[np.ndarray, np.ndarray]:
        outputs = [out.numpy().astype(float) for out in gan.discriminator(images)]
        identity, pose = (np.log(np.exp(v) / np.exp(v).sum(axis=1, keepdims=True)) for v in outputs)
        return identity, pose

    (identity, pose), (of_samples, pose_of_samples) = log_probabilities(x), log_probabilities(gan(x, asked, z))
    every = range(8)
    expected = -identity[every, DIGITS].mean() - pose[every, COLOURS].mean() - of_samples[:, 3].mean()
    assert gan.discriminator_loss(Batch(x, (z, poses), y))[0].item() == pytest.approx(expected, rel=1e-4)
    places = [int(c) for c in poses]
    expected = -of_samples[every, DIGITS].mean() - pose_of_samples[every, places].mean()
    assert gan.generator_loss(Batch(x, (z, poses), y))[0].item() == pytest.approx(expected, rel=1e-4)


def test_each_player_moves_its_own(check_players: Callable) -> None:
    gan = small()
    check_players(gan, random(8, 2), 2 * DIGITS + COLOURS)
    of_players = [p for player in gan.players().values() for p in player.module.parameters()]
    assert len(of_players) == len(list(gan.parameters()))


def test_the_poses_at_random_and_those_that_are_asked_for(device: Device) -> None:
    gan = small()
    z, poses = gan.noise(2000)
    assert z.shape == (2000, 4) and z.numpy().std() == pytest.approx(1, abs=0.05)
    assert float(poses.mean()) == pytest.approx(0.5, abs=0.05) and int(poses.max()) == 1
    x = device.asarray(random(4, 2))
    for c in (0, 1):
        asked = device.asarray(np.full(4, c))
        minigen.manual_seed(1)
        turned = gan.turned(x, asked)
        minigen.manual_seed(1)
        np.testing.assert_array_equal(turned.numpy(), gan(x, asked, gan.noise(4)[0]).numpy())
