"""BiGAN and ALI: the losses by the paper, with labels swapped for G and E; what D sees, and whom each loss moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen import Tensor, grad
from minigen.backend import Device, default_dtype
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.ali import ALI
from minigen.models.zoo.bigan import BiGAN, PairDiscriminator
from minigen.models.zoo.encoder import GaussianEncoder
from minigen.models.zoo.heads import Heads, MLPTrunk
from minigen.random import manual_seed
from minigen.testing import check_module


def x_of(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n, 2, 2)).astype("float32")


def bigan() -> BiGAN:
    encoder = Heads(MLPTrunk((2, 2), (5,)), 3)
    return BiGAN(
        MLPGenerator((2, 2), 3, 4, 1),
        encoder,
        PairDiscriminator(MLPTrunk((2, 2), (4,)), Heads(MLPTrunk((7,), (4,)), 1)),
    )


def ali() -> ALI:
    encoder = GaussianEncoder(MLPTrunk((2, 2), (5,)), 3)
    return ALI(
        MLPGenerator((2, 2), 3, 4, 1),
        encoder,
        PairDiscriminator(MLPTrunk((2, 2), (4,)), Heads(MLPTrunk((7,), (4,)), 1)),
    )


@pytest.mark.parametrize("make", [bigan, ali])
def test_the_losses_are_the_papers(make: Callable[[], BiGAN], device: Device) -> None:
    """D = sigmoid of the logit of a pair; G and E minimise both terms, with the labels of the two swapped."""
    model = make()
    x, z = device.asarray(x_of()), model.noise(6)
    manual_seed(1)
    code = model.encoder(x)
    d = lambda x, z: 1 / (1 + np.exp(-model.discriminator(x, z).numpy().astype(float)))
    on_data, on_samples = d(Tensor(x), code), d(model.generator(z), z)
    for player, a, b in (("discriminator", on_data, on_samples), ("generator", on_samples, on_data)):
        manual_seed(1)
        loss, _ = model.players()[player].loss(Batch(x, z))
        assert loss.item() == pytest.approx(-np.log(a).mean() - np.log(1 - b).mean(), rel=1e-4)


@pytest.mark.parametrize("make", [bigan, ali])
def test_each_player_moves_its_own(make: Callable[[], BiGAN], check_players: Callable) -> None:
    check_players(make(), x_of())


@pytest.mark.parametrize("make", [bigan, ali])
def test_both_parts_of_the_pair_count(make: Callable[[], BiGAN]) -> None:
    """D's logit depends on the image and on the code, and the encoder's loss only on its own term."""
    model = make()
    x, z = Tensor(x_of(), requires_grad=True), Tensor(model.noise(6).data, requires_grad=True)
    for slope in grad(model.discriminator(x, z).sum(), [x, z]):
        assert (abs(slope.numpy()).reshape(6, -1).max(axis=1) > 0).all()


def test_the_discriminator_of_pairs() -> None:
    with default_dtype("float64"):
        d = PairDiscriminator(MLPTrunk((2, 2), (4,)), Heads(MLPTrunk((7,), (4,)), 1))
        check_module(d, x_of().astype(float), np.random.default_rng(1).normal(size=(6, 3)))
    assert d(x_of().astype(float), np.zeros((6, 3))).shape == (6,)


def test_codes_and_reconstructions() -> None:
    """BiGAN's z are uniform, ALI's normal; ALI reconstructs from the mean code, BiGAN from the code."""
    manual_seed(0)
    assert abs(bigan().noise(2000).numpy()).max() <= 1 < abs(ali().noise(2000).numpy()).max()
    model, x = ali(), Tensor(x_of())
    mean = model.generator(model.encoder.distribution(x).mean).numpy()
    np.testing.assert_array_equal(model.reconstruct(x).numpy(), mean)
    assert abs(model.generator(model.encoder(x)).numpy() - mean).max() > 0.01
    model = bigan()
    np.testing.assert_array_equal(model.reconstruct(x).numpy(), model.generator(model.encoder(x)).numpy())
