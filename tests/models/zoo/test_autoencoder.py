"""The discriminator that is an autoencoder: its energies against a loop, and its code."""

from __future__ import annotations

import numpy as np
import pytest

from minigen.autograd import tensor
from minigen.backend import Device
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator, DecoderGenerator
from minigen.testing import check_module


@pytest.mark.parametrize("power", [1, 2])
def test_the_energy_is_the_mean_error_of_each_example(power: int, device: Device) -> None:
    d = AutoencoderDiscriminator((1, 3, 2), code=2, hidden=4, power=power)
    x = np.random.default_rng(0).normal(size=(5, 1, 3, 2)).astype("float32")
    energies, code = d(tensor(x)).numpy(), d.encode(tensor(x))
    reconstructions = d.decode(code).numpy()
    assert code.shape == (5, 2) and reconstructions.shape == x.shape
    expected = [
        np.mean([abs(a - b) ** power for a, b in zip(x[i].flat, reconstructions[i].flat, strict=True)])
        for i in range(5)
    ]
    np.testing.assert_allclose(energies, expected, rtol=1e-5)


def test_its_derivatives() -> None:
    check_module(AutoencoderDiscriminator((3,), 2, 4).astype("float64"), np.random.default_rng(1).normal(size=(4, 3)))


def test_the_generator_is_built_like_the_decoder() -> None:
    d, g = AutoencoderDiscriminator((1, 3, 2), code=5, hidden=4), DecoderGenerator((1, 3, 2), latent_dim=5, hidden=4)
    g.net.load_state_dict(d.decode.state_dict())
    z = tensor(np.random.default_rng(0).normal(size=(3, 5)).astype("float32"))
    np.testing.assert_array_equal(g(z).numpy(), d.decode(z).numpy())


def test_another_power() -> None:
    with pytest.raises(ValueError, match="AutoencoderDiscriminator: expects power 1 or 2, got 3"):
        AutoencoderDiscriminator((2,), power=3)
