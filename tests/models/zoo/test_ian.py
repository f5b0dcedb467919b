"""IAN: its losses by the paper, an encoder that leaves D's features alone, the orthogonal regularisation in loops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen import nn
from minigen.autograd import Tensor
from minigen.backend import Device
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.heads import Heads, MLPTrunk
from minigen.models.zoo.ian import IAN, orthogonality
from minigen.random import manual_seed


def x_of() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (6, 2, 2)).astype("float32")


def small(**options: float) -> IAN:
    return IAN(MLPGenerator((2, 2), 3, 4, 1), Heads(MLPTrunk((2, 2), (5,)), 3), **options)


def log_p(logits: Tensor) -> np.ndarray:
    a = logits.numpy().astype(float)
    return a - np.log(np.exp(a).sum(axis=1, keepdims=True))


def test_the_losses_are_the_papers(device: Device) -> None:
    model, x = small(orthogonal=0.0), device.asarray(x_of())
    d, f, z = model.discriminator, model.discriminator.features, model.noise(6)
    manual_seed(2)
    q = model.encode(x)
    images, samples = model.generator(q.sample()), model.generator(z)
    expected = -sum(log_p(d(part))[:, kind].mean() for kind, part in enumerate((Tensor(x), images, samples)))
    manual_seed(2)
    assert model.discriminator_loss(Batch(x, z))[0].item() == pytest.approx(expected, rel=1e-4)

    mean, var = q.mean.numpy(), np.exp(q.log_var.numpy())
    expected = 0.5 * (mean**2 + var - 1 - np.log(var)).sum() / 6 + 3 * abs(x_of() - images.numpy()).sum() / 6
    expected += ((f(Tensor(x)).numpy() - f(images).numpy()) ** 2).sum() / 6
    expected -= log_p(d(images))[:, 0].mean() + log_p(d(samples))[:, 0].mean()
    manual_seed(2)
    assert model.generator_loss(Batch(x, z))[0].item() == pytest.approx(expected, rel=1e-4)


def test_each_player_moves_its_own(check_players: Callable) -> None:
    """The encoder's loss leaves D's features, which it reads, as they are."""
    model = small()
    check_players(model, x_of())
    own = {id(p) for p in model.players()["generator"].module.parameters()}
    assert not any(id(p) in own for p in model.discriminator.parameters())


def test_the_encoder_reads_the_features_of_the_discriminator() -> None:
    model, x = small(), Tensor(x_of())
    code = model.discriminator.features(x).numpy() @ model.code.weight.numpy().T + model.code.bias.numpy()
    np.testing.assert_allclose(model.encode(x).mean.numpy(), code[:, :3], rtol=1e-5)
    np.testing.assert_allclose(model.encode(x).log_var.numpy(), code[:, 3:], rtol=1e-5)


def test_orthogonality(device: Device) -> None:
    """Over the smaller side of each weight; biases do not count; it enters D's loss."""
    net = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 4), nn.Conv2d(1, 2, 2))
    weights = [layer.weight.numpy() for layer in net]
    expected = 0.0
    for w in (weights[0], weights[1].T, weights[2].reshape(2, 4)):
        for i in range(2):
            for j in range(2):
                expected += abs(w[i] @ w[j] - (i == j))
    assert orthogonality(net).item() == pytest.approx(expected, rel=1e-4)
    model, z = small(orthogonal=0.5), small().noise(6)
    manual_seed(0)
    with_it, _ = model.discriminator_loss(Batch(device.asarray(x_of()), z))
    model.orthogonal = 0.0
    manual_seed(0)
    without, _ = model.discriminator_loss(Batch(device.asarray(x_of()), z))
    added = 0.5 * orthogonality(model.discriminator).item()
    assert with_it.item() - without.item() == pytest.approx(added, rel=1e-3)
