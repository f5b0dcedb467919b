"""Improved GAN: its losses by the paper's formula; minibatch discrimination against loops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen.autograd import tensor
from minigen.backend import Device, default_dtype
from minigen.models import GAN, Batch, MLPGenerator
from minigen.models.zoo.heads import Heads, Labelled, MLPTrunk
from minigen.models.zoo.improved_gan import TARGETS, ImprovedGAN, MinibatchDiscrimination, MinibatchDiscriminator
from minigen.testing import check_module


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def small(target: str = "features") -> ImprovedGAN:
    generator = MLPGenerator((2,), 3, 4, 1)
    few = Labelled(*map(generator.device.asarray, (random(4, 2, seed=1), np.array([0, 1, 2, 1]))))
    return ImprovedGAN(generator, Heads(MLPTrunk((2,), (5, 6)), 3), few, target)


@pytest.mark.parametrize("target", TARGETS)
def test_the_losses_are_the_papers(target: str, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the softmax over K + 1 classes, the last of which, the samples', has the logit 0."""
    gan = small(target)
    x, z, few = device.asarray(random(8, 2)), gan.noise(8), gan.few.draw(8)
    monkeypatch.setattr(gan.few, "draw", lambda n: few)

    def probabilities(images: object) -> np.ndarray:
        e = np.exp(np.pad(gan.discriminator(images).numpy().astype(float), ((0, 0), (0, 1))))
        return e / e.sum(axis=1, keepdims=True)  # (N, K + 1)

    p, q, named = map(probabilities, (x, gan(z), few[0]))
    named = named[range(8), few[1].numpy()] / named[:, :3].sum(axis=1)
    loss, metrics = gan.discriminator_loss(Batch(x, z))
    expected = -np.log(named).mean() - 0.5 * np.log(1 - p[:, 3]).mean() - 0.5 * np.log(q[:, 3]).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert float(metrics["D(x)"]) == pytest.approx(1 - p[:, 3].mean(), rel=1e-4)
    loss, _ = gan.generator_loss(Batch(x, z))
    if target == "class":
        expected = -np.log(q[:, :3].max(axis=1)).mean()
    else:
        f, g = (gan.discriminator.features(images).numpy().mean(axis=0) for images in (x, gan(z)))
        expected = ((f - g) ** 2).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("target", TARGETS)
def test_each_player_of_the_classifier_moves_its_own(target: str, check_players: Callable) -> None:
    check_players(small(target), random(8, 2))


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(
        ValueError, match=r"ImprovedGAN: expects target to be one of \('features', 'class'\), got 'mode'"
    ):
        small("mode")


def test_minibatch_discrimination_against_loops(device: Device) -> None:
    layer = MinibatchDiscrimination(3, kernels=4, size=2)
    f = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    out = layer(tensor(f)).numpy()
    m = (f @ layer.linear.weight.numpy().T).reshape(5, 4, 2)
    expected = np.zeros((5, 4))
    for i in range(5):
        for j in range(5):
            for b in range(4):
                if j != i:
                    expected[i, b] += np.exp(-sum(abs(m[i, b, c] - m[j, b, c]) for c in range(2)))
    np.testing.assert_allclose(out[:, :3], f, rtol=1e-6)
    np.testing.assert_allclose(out[:, 3:], expected, rtol=1e-4, atol=1e-5)


def test_its_derivatives() -> None:
    with default_dtype("float64"):
        check_module(MinibatchDiscrimination(3, 2, 2), np.random.default_rng(1).normal(size=(4, 3)))


def test_alike_examples_are_close() -> None:
    layer = MinibatchDiscrimination(2, kernels=3)
    np.testing.assert_allclose(layer(tensor(np.ones((6, 2), "float32"))).numpy()[:, 2:], 5, rtol=1e-5)


def test_the_logit_of_an_example_depends_on_its_batch() -> None:
    d = MinibatchDiscriminator((2,), 8, pieces=2, kernels=3)
    x = np.random.default_rng(2).normal(size=(4, 2)).astype("float32")
    with_others, alone = d(tensor(x)).numpy(), d(tensor(x[:1])).numpy()
    assert with_others.shape == (4,) and with_others[0] != pytest.approx(alone[0], abs=1e-4)


def test_each_player_moves_its_own(check_players: Callable) -> None:
    gan = GAN(MLPGenerator((2,), 3, 8), MinibatchDiscriminator((2,), 8, 1, 2, kernels=3), "minimax")
    check_players(gan, np.random.default_rng(0).normal(size=(8, 2)).astype("float32"))
