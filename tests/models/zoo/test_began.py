"""BEGAN: its losses by the paper, and its controller on scalar players whose balance is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen.autograd import tensor
from minigen.backend import Device
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator
from minigen.models.zoo.began import BEGAN
from minigen.optim import SGD
from minigen.train import Game


def small(**options: float) -> BEGAN:
    return BEGAN(MLPGenerator((3,), 2, 4, 1, tanh=False), AutoencoderDiscriminator((3,), 2, 4, power=1), **options)


def data(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3)).astype("float32")


def test_the_losses_are_the_papers(device: Device) -> None:
    gan, x = small(gamma=0.4), device.asarray(data())
    z = gan.noise(6)
    gan.balance[...] = 0.3
    error = lambda v: abs(v - gan.discriminator.decode(gan.discriminator.encode(v))).mean().item()
    of_data, of_samples = error(tensor(x)), error(gan(z))
    loss, metrics = gan.discriminator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(of_data - 0.3 * of_samples, rel=1e-4)
    assert float(metrics["M"]) == pytest.approx(of_data + abs(0.4 * of_data - of_samples), rel=1e-4)
    assert gan.generator_loss(Batch(x, z))[0].item() == pytest.approx(of_samples, rel=1e-4)


def test_each_player_moves_its_own(check_players: Callable[[Any, Any], None]) -> None:
    gan = small()
    gan.balance[...] = 0.5
    check_players(gan, data(8))


@pytest.mark.parametrize(("slope", "rest"), [(0.5, 0.6), (0.2, 1.0), (-1.0, 0.0)])
def test_the_controller_comes_to_rest(slope: float, rest: float, device: Device) -> None:
    """Scalar players: L(x) = 1 and L(G) = 0.2 + slope k. gamma = 0.5 asks for k = 0.3 / slope, within [0, 1]."""
    gan = small(gamma=0.5, gain=0.05)
    control, xp = gan.players()["discriminator"].after, device.module
    gan.balance[...] = 0.9 if rest else 0.0
    for _ in range(600):
        k = gan.balance.item()
        of_samples = 0.2 + slope * k if slope > 0 else 0.7
        control({"L(x)": xp.asarray(1.0, "float32"), "L(G(z))": xp.asarray(of_samples, "float32")})
        assert 0 <= gan.balance.item() <= 1
    assert gan.balance.item() == pytest.approx(rest, abs=1e-3)
    assert gan.balance.device == device and gan.balance.dtype == np.float32


def test_a_round_moves_k_once_and_a_checkpoint_keeps_it(device: Device) -> None:
    gan = small(gamma=1.0, gain=0.1)
    sgd = lambda network: SGD(network.parameters(), 1e-9)
    game = Game(gan, {"discriminator": sgd(gan.discriminator), "generator": sgd(gan.generator)})
    found = game(device.asarray(data()))
    moved = 0.1 * (found["L(x)"] - found["L(G(z))"])
    assert gan.balance.item() == pytest.approx(float(moved), abs=1e-6) and float(moved) > 0.001
    other = small()
    other.load_state_dict(gan.state_dict())
    assert other.balance.item() == gan.balance.item()


def test_errors() -> None:
    for options in ({"gamma": 0.0}, {"gamma": 1.5}, {"gain": 0.0}):
        with pytest.raises(ValueError, match="BEGAN: expects 0 < gamma <= 1 and gain > 0"):
            small(**options)
