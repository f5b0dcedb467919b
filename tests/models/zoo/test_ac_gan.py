"""AC-GAN: losses by the paper's formula, the decoder of ArtGAN, whose parameters each loss moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen.backend import Device
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.ac_gan import ACGAN
from minigen.models.zoo.heads import Heads, MLPTrunk

LABELS = np.array([0, 1, 2, 2, 1, 0, 0, 1])


def small(decoder: bool = False) -> ACGAN:
    art = MLPGenerator((2,), 6, 5) if decoder else None
    return ACGAN(MLPGenerator((2,), 3, 4, 1, classes=3), Heads(MLPTrunk((2,), (6,)), 1, 3), art)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("decoder", [False, True])
def test_the_losses_are_the_papers(decoder: bool, device: Device) -> None:
    """Cross-entropies of the logits: no softmax goes before them."""
    gan = small(decoder)
    x, y, z = device.asarray(random(8, 2)), device.asarray(LABELS), gan.noise(8)

    def log_probabilities(images: object) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
        """log D, log(1 - D), mean log p(label), the classes that D names."""
        s, c = (out.numpy().astype(float) for out in gan.discriminator(images))
        p = np.exp(c) / np.exp(c).sum(axis=1, keepdims=True)
        d = 1 / (1 + np.exp(-s))
        return np.log(d).mean(), np.log(1 - d).mean(), np.log(p[range(8), LABELS]).mean(), p.argmax(axis=1)

    is_data, _, of_data, _ = log_probabilities(x)
    passes, is_sample, of_samples, named = log_probabilities(gan(z, y))
    expected = -(is_data + is_sample + of_data + of_samples)
    if gan.decoder is not None:
        expected += 0.5 * ((gan.decoder(gan.discriminator.features(x)).numpy() - random(8, 2)) ** 2).mean()
    loss, metrics = gan.discriminator_loss(Batch(x, z, y))
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert float(metrics["named"]) == pytest.approx((named == LABELS).mean())
    loss, _ = gan.generator_loss(Batch(x, z, y))
    assert loss.item() == pytest.approx(-passes - of_samples, rel=1e-4)


@pytest.mark.parametrize("decoder", [False, True])
def test_each_player_moves_its_own(decoder: bool, check_players: Callable) -> None:
    gan = small(decoder)
    check_players(gan, random(8, 2), LABELS)
    of_players = [p for player in gan.players().values() for p in player.module.parameters()]
    assert len(of_players) == len(list(gan.parameters()))


def test_without_labels() -> None:
    gan = small()
    with pytest.raises(ValueError, match="ACGAN: expects labels, got none"):
        gan.discriminator_loss(Batch(random(8, 2), gan.noise(8)))
