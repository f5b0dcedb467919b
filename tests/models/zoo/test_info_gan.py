"""InfoGAN: the code in z, the bound by enumeration, the losses by the paper's formula."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from minigen.autograd import tensor
from minigen.backend import Device, device_of
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.heads import Heads, MLPTrunk
from minigen.models.zoo.info_gan import InfoGAN


def small(weight: float = 1.0) -> InfoGAN:
    return InfoGAN(MLPGenerator((2,), 10, 4, 1), Heads(MLPTrunk((2,), (6,)), 1, 5), 3, 2, weight)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_the_code_in_z(device: Device) -> None:
    z = small().noise(3000)
    assert z.shape == (3000, 10) and z.dtype == np.float32 and device_of(z.data) == device
    noise, c, u = np.split(z.numpy(), [5, 8], axis=1)
    assert ((c == 0) | (c == 1)).all() and (c.sum(axis=1) == 1).all()
    np.testing.assert_allclose(c.mean(axis=0), 1 / 3, atol=0.03)
    for x in (noise, u):
        assert -1 <= x.min() < -0.99 and 0.99 < x.max() <= 1
        assert x.std() == pytest.approx(1 / math.sqrt(3), abs=0.02)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_losses_are_the_papers(weight: float, device: Device) -> None:
    """-log Q with a softmax of logits, and a normal with deviation 1; H(c) with the density 1/2 of the numbers."""
    gan = small(weight)
    x, z = device.asarray(random(8, 2)), gan.noise(8)
    (s, _), (t, q) = (tuple(y.numpy().astype(float) for y in gan.discriminator(images)) for images in (x, gan(z)))
    code, of_class, of_numbers = z.numpy()[:, 5:].astype(float), math.log(3), 2 * math.log(2)
    for i in range(8):
        k = code[i, :3].argmax()
        of_class += math.log(math.exp(q[i, k]) / sum(math.exp(v) for v in q[i, :3])) / 8
        for mean, u in zip(q[i, 3:], code[i, 3:], strict=True):
            of_numbers += math.log(math.exp(-((u - mean) ** 2) / 2) / math.sqrt(2 * math.pi)) / 8
    log_d = lambda v: np.log(1 / (1 + np.exp(-v))).mean()
    loss, metrics = gan.discriminator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(-log_d(s) - log_d(-t) - weight * (of_class + of_numbers), rel=1e-4)
    assert float(metrics["nats"]) == pytest.approx(of_class, rel=1e-3, abs=1e-5)
    loss, _ = gan.generator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(-log_d(t) - weight * (of_class + of_numbers), rel=1e-4)


def test_the_bound_of_a_code_that_is_read_and_of_one_that_is_not() -> None:
    """log K nats, and 0: Q names every class, or none."""
    gan = small()
    z = gan.noise(50)
    code = z.numpy()[:, 5:]
    of_class, of_numbers = gan.read(tensor(np.hstack([100 * code[:, :3], code[:, 3:]])), z)
    assert of_class.item() == pytest.approx(math.log(3))
    assert of_numbers.item() == pytest.approx(2 * math.log(2) - math.log(2 * math.pi), rel=1e-5)
    assert gan.read(tensor(np.zeros((50, 5), "float32")), z)[0].item() == pytest.approx(0, abs=1e-6)


def test_each_player_moves_its_own(check_players: Callable) -> None:
    check_players(small(), random(8, 2))


def test_z_that_has_no_place_for_the_code() -> None:
    with pytest.raises(ValueError, match="InfoGAN: expects latent_dim > 5, the code's, got 5"):
        InfoGAN(MLPGenerator((2,), 5, 4, 1), Heads(MLPTrunk((2,), (6,)), 1, 5), 3, 2)


def test_a_loss_below_zero_is_no_sign_of_failure() -> None:
    assert small().players()["discriminator"].perfect is None
