"""LAPGAN: the pyramid reconstructs, the losses of every level by the paper, levels that do not touch each other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from minigen.autograd import Tensor
from minigen.backend import Device
from minigen.models import GAN, Batch, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.lapgan import LAPGAN, DetailGenerator, Level
from minigen.models.zoo.restoration import down, up

IMAGES = np.random.default_rng(0).uniform(-1, 1, size=(6, 1, 8, 8)).astype("float32")
log_sigmoid = lambda v: -np.log(1 + np.exp(-v))


def small() -> LAPGAN:
    judge = lambda side: MLPDiscriminator((1, side, side), 4, 1, 2, dropout=0.0)
    levels: list[GAN] = [GAN(MLPGenerator((1, 2, 2), 3, 8), judge(2))]
    return LAPGAN(levels + [Level(DetailGenerator((1, side, side), 4), judge(side)) for side in (4, 8)])


def test_the_pyramid_reconstructs() -> None:
    """From its smallest image and the detail of each level."""
    pyramid = [IMAGES, down(IMAGES), down(down(IMAGES))]
    details = [larger - np.asarray(up(smaller)) for larger, smaller in pairwise(pyramid)]
    assert max(abs(h).max() for h in details) > 1  # beyond the range of tanh
    image = pyramid[-1]
    for h in details[::-1]:
        np.testing.assert_allclose(down(h), 0, atol=1e-6)
        image = np.asarray(up(image)) + h
    np.testing.assert_allclose(image, IMAGES, atol=1e-6)


def test_the_losses_of_each_level_are_the_papers(device: Device) -> None:
    model = small()
    z, data = model.noise(6), device.asarray(IMAGES)
    assert [part.shape for part in z] == [(6, 3), (6, 16), (6, 64)]
    players = model.players()
    assert [*players] == [f"{name}_{k}" for k in range(3) for name in ("discriminator", "generator")]
    for k, gan in enumerate(model.levels):
        images = down(data, 2 ** (2 - k))
        samples = gan.generator(z[k]) if k == 0 else gan.generator((z[k], up(down(images))))
        s, t = (gan.discriminator(Tensor(x.data)).numpy().astype(float) for x in (Tensor(images), samples))
        for name, expected in (
            ("discriminator", -log_sigmoid(s).mean() - log_sigmoid(-t).mean()),
            ("generator", -log_sigmoid(t).mean()),
        ):
            loss, metrics = players[f"{name}_{k}"].loss(Batch(data, z))
            assert loss.item() == pytest.approx(expected, rel=1e-4)
            assert metrics and all(metric.endswith(f"_{k}") for metric in metrics)


def test_the_detail_depends_on_both_inputs_and_is_not_bounded(device: Device) -> None:
    net = DetailGenerator((3, 4, 4), 4)
    z, blurred = (Tensor(device.asarray(np.random.default_rng(i).normal(size=shape).astype("float32")))
                  for i, shape in enumerate([(2, 16), (2, 3, 4, 4)]))  # fmt: skip
    h = lambda z, blurred: (net((z, blurred)) - blurred).numpy()
    assert h(z, blurred).shape == (2, 3, 4, 4)
    for other in (h(-z, blurred), h(z, -blurred)):
        assert abs(other - h(z, blurred)).max() > 1e-4
    net.net.net[-1].bias.data[...] = 1.7
    assert h(z, blurred).mean() == pytest.approx(1.7, abs=0.1)


def test_samples_grow_from_the_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    """With generators that add no detail, a sample is its smallest image with large pixels."""
    model = small()
    assert model.sample(5).shape == (5, 1, 8, 8)
    for level in list(model.levels)[1:]:
        for p in level.generator.net.net[-1].parameters():
            p.data = 0 * p.data
    x = model.sample(5).numpy()
    np.testing.assert_allclose(x, up(up(down(down(x)))), atol=1e-6)
    assert x.std() > 1e-3
    np.testing.assert_array_equal(model.refine(IMAGES[:, :, :4, :4], 2).numpy(), up(IMAGES[:, :, :4, :4]))


def test_each_player_moves_its_own(check_players: Callable) -> None:
    check_players(small().eval(), IMAGES)
