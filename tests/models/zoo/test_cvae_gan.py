"""CVAE-GAN: its losses by the paper, written out; what G sees of D; the conditional VAE that it contains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen.autograd import Tensor, tensor
from minigen.backend import Device
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.cvae_gan import CVAEGAN, mean_distance
from minigen.models.zoo.encoder import GaussianEncoder
from minigen.models.zoo.heads import Heads, MLPTrunk
from minigen.random import manual_seed

LABELS = np.array([0, 2, 2, 0, 0, 2])  # none of class 1


def x_of() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (6, 2, 2)).astype("float32")


def small(**options: float) -> CVAEGAN:
    trunk = lambda: MLPTrunk((2, 2), (5,))
    generator = MLPGenerator((2, 2), 3, 4, 1, classes=3)
    return CVAEGAN(generator, Heads(trunk(), 1), Heads(trunk(), 3), GaussianEncoder(trunk(), 3), **options)


def test_the_losses_are_the_papers(device: Device) -> None:
    model, x, y = small(matching=0.2), device.asarray(x_of()), device.asarray(LABELS)
    batch = Batch(x, model.noise(6), y)
    manual_seed(3)
    q = model.encoder.distribution(Tensor(x))
    reconstructed, samples = model.generator(q.sample(), y), model.generator(batch.noise, y)
    mean, var = q.mean.numpy(), np.exp(q.log_var.numpy())
    expected = 3 * 0.5 * (mean**2 + var - 1 - np.log(var)).sum() / 6
    expected += 0.5 * ((x_of() - reconstructed.numpy()) ** 2).sum() / 6
    for net, groups in ((model.discriminator, [range(6)]), (model.classifier, [[0, 3, 4], [1, 2, 5]])):
        on_data, on_images, on_samples = (net.features(a).numpy() for a in (Tensor(x), reconstructed, samples))
        expected += 0.5 * ((on_data - on_images) ** 2).sum() / 6
        for rows in map(list, groups):
            expected += 0.5 * 0.2 * ((on_data[rows].mean(axis=0) - on_samples[rows].mean(axis=0)) ** 2).sum()
    manual_seed(3)
    assert model.generator_loss(batch)[0].item() == pytest.approx(expected, rel=1e-4)

    d = lambda a: 1 / (1 + np.exp(-model.discriminator(a).numpy().astype(float)))
    expected = -np.log(d(Tensor(x))).mean() - np.log(1 - d(samples)).mean()
    assert model.discriminator_loss(batch)[0].item() == pytest.approx(expected, rel=1e-4)
    logits = model.classifier(Tensor(x)).numpy()
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert model.classifier_loss(batch)[0].item() == pytest.approx(-np.log(p[np.arange(6), LABELS]).mean(), rel=1e-4)


def test_each_player_moves_its_own(check_players: Callable) -> None:
    check_players(small(), x_of(), LABELS)


def test_the_generator_never_sees_the_logit_of_the_discriminator() -> None:
    """Its loss has no derivative by the weights that make the logit from the features."""
    model = small()
    loss, _ = model.generator_loss(Batch(x_of(), model.noise(6), LABELS))
    loss.backward()
    assert model.discriminator.heads[0].weight.grad is None
    assert model.classifier.heads[0].weight.grad is None


def test_the_features_are_not_normalised_over_the_batch() -> None:
    """Otherwise the mean of all that is normalised would be the same for any samples."""
    trunk = lambda: MLPTrunk((2, 2), (5,), batch_norm=True)
    generator = MLPGenerator((2, 2), 3, 4, 1, classes=3)
    d, c, e = Heads(trunk(), 1), Heads(trunk(), 3), GaussianEncoder(trunk(), 3)
    model = CVAEGAN(generator, d, c, e, kl=0.0, features=0.0, matching=2.0)
    z = model.noise(6)
    loss, metrics = model.generator_loss(Batch(x_of(), z, LABELS))
    assert d.training and c.training
    model.eval()
    parts = [(f(Tensor(x_of())).numpy() - f(generator(z, LABELS)).numpy()) for f in (d.features, c.features)]
    expected = (parts[0].mean(axis=0) ** 2).sum()
    expected += sum((parts[1][label == LABELS].mean(axis=0) ** 2).sum() for label in (0, 2))
    assert loss.item() - 0.5 * float(metrics["pixels"]) == pytest.approx(expected, rel=1e-3)


def test_without_features_it_is_a_conditional_vae() -> None:
    model = small(features=0.0, matching=0.0)
    manual_seed(3)
    loss, metrics = model.generator_loss(Batch(x_of(), model.noise(6), LABELS))
    assert loss.item() == pytest.approx(3 * float(metrics["kl"]) + 0.5 * float(metrics["pixels"]))


def test_mean_distance_by_hand() -> None:
    a, b = tensor(np.array([[1.0, 0], [3, 0], [5, 2]])), tensor(np.array([[0.0, 0], [0, 0], [5, 1]]))
    groups = tensor(np.array([[1.0, 0, 0], [1, 0, 0], [0, 0, 1]]))
    assert mean_distance(a, b, groups).item() == pytest.approx(2**2 + 1**2)
