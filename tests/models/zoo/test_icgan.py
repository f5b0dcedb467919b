"""IcGAN: D's three terms by the paper, wrong labels, where the labels enter; acGAN's error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen.autograd import Tensor, tensor
from minigen.backend import Device, device_of, to_numpy
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.heads import Heads, MLPTrunk
from minigen.models.zoo.icgan import IcGAN, LateLabels, refinement_error, wrong
from minigen.random import manual_seed

LABELS = np.array([0, 2, 1, 0, 3, 2])


def x_of() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (6, 3, 16, 16)).astype("float32")


def small() -> IcGAN:
    return IcGAN(MLPGenerator((3, 16, 16), 3, 4, 1, classes=4), LateLabels((3, 16, 16), 2, 4))


def test_the_losses_are_the_papers(device: Device) -> None:
    """A real image with a wrong label is half of the fakes; G minimises -log D(G(z, y), y)."""
    gan, x, y = small(), device.asarray(x_of()), device.asarray(LABELS)
    z = gan.noise(6)
    manual_seed(1)
    others = wrong(y, 4)
    d = lambda x, y: 1 / (1 + np.exp(-gan.discriminator(x, y).numpy().astype(float)))
    samples = gan.generator(z, y)
    expected = -np.log(d(Tensor(x), y)).mean()
    expected -= 0.5 * np.log(1 - d(Tensor(x), others)).mean() + 0.5 * np.log(1 - d(samples, y)).mean()
    manual_seed(1)
    assert gan.discriminator_loss(Batch(x, z, y))[0].item() == pytest.approx(expected, rel=1e-4)
    assert gan.generator_loss(Batch(x, z, y))[0].item() == pytest.approx(-np.log(d(samples, y)).mean(), rel=1e-4)


def test_wrong_labels_are_all_others_equally(device: Device) -> None:
    labels = device.asarray(np.arange(4).repeat(3000))
    manual_seed(0)
    found = wrong(labels, 4)
    assert device_of(found) == device and not (to_numpy(found) == to_numpy(labels)).any()
    for label in range(4):
        counts = np.bincount(to_numpy(found)[to_numpy(labels) == label], minlength=4) / 3000
        np.testing.assert_allclose(np.delete(counts, label), 1 / 3, atol=0.04)


def test_each_player_moves_its_own(check_players: Callable) -> None:
    check_players(small().eval(), x_of(), LABELS)


def test_the_labels_enter_after_the_first_layer() -> None:
    d = LateLabels((3, 16, 16), 2, 4).eval()
    assert d.first[0].weight.shape[:2] == (2, 3) and d.rest.net[0].weight.shape[:2] == (4, 2 + 4)
    x = tensor(x_of())
    assert abs(d(x, LABELS).numpy() - d(x, (LABELS + 1) % 4).numpy()).min() > 0


def test_the_error_of_acgan(device: Device) -> None:
    gan, f = small(), Heads(MLPTrunk((3, 16, 16), (3,)), 2).features
    x, y, z = device.asarray(x_of()), device.asarray(LABELS), gan.noise(6)
    found = refinement_error(gan, x, y, f)(z).numpy()
    expected = ((f(Tensor(x)).numpy() - f(gan(z, y)).numpy()) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
