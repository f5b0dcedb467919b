"""C-RNN-GAN: what each row and each feature depends on, the losses by the paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen.autograd import Tensor, grad, tensor
from minigen.backend import Device
from minigen.models import Batch
from minigen.models.zoo.c_rnn_gan import CRNNGAN, RecurrentDiscriminator, RecurrentGenerator

SHAPE, STEPS = (1, 8, 3), 4


def small(matching: bool = True) -> CRNNGAN:
    return CRNNGAN(RecurrentGenerator(SHAPE, STEPS, 2, 5), RecurrentDiscriminator(SHAPE, STEPS, 3), matching)


def data(n: int = 5) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n, *SHAPE)).astype("float32")


def depends(f: Callable[[Tensor], Tensor], on: Tensor, axis: int) -> np.ndarray:
    """Whether f depends on each slice of its argument along an axis."""
    (slope,) = grad(f(on).sum(), on)
    return abs(slope.numpy()).max(axis=tuple(i for i in range(on.ndim) if i != axis)) > 0


@pytest.mark.parametrize("t", range(4))
def test_a_part_depends_on_the_noise_up_to_it_and_a_feature_on_its_side(t: int) -> None:
    gan = small()
    z, x = tensor(gan.noise(2).numpy(), requires_grad=True), tensor(data(2), requires_grad=True)
    parts = depends(lambda z: gan.generator(z)[:, 0, 2 * t : 2 * t + 2], z, 1).reshape(4, 2).all(axis=1)
    np.testing.assert_array_equal(parts, np.arange(4) <= t)
    feature = lambda part: lambda x: gan.discriminator.features(x)[:, t, part]
    np.testing.assert_array_equal(depends(feature(slice(3)), x, 2), np.arange(8) // 2 <= t)
    np.testing.assert_array_equal(depends(feature(slice(3, 6)), x, 2), np.arange(8) // 2 >= t)


def test_the_parts_by_the_equation(device: Device) -> None:
    """In a loop over the steps, with the part before as input."""
    g = RecurrentGenerator(SHAPE, STEPS, 2, 5)
    z = np.random.default_rng(1).normal(size=(3, 8)).astype("float32")
    found = g(tensor(z)).numpy()
    weight, bias = g.part.weight.numpy(), g.part.bias.numpy()
    before, state = np.zeros((3, 6), "float32"), None
    for t in range(4):
        state = g.cell(tensor(np.concatenate([z[:, 2 * t : 2 * t + 2], before], axis=1)), state)
        before = np.tanh(state[0].numpy() @ weight.T + bias)
        np.testing.assert_allclose(found[:, 0, 2 * t : 2 * t + 2], before.reshape(3, 2, 3), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("matching", [True, False])
def test_the_losses_are_the_papers(matching: bool, device: Device) -> None:
    gan, x = small(matching), device.asarray(data())
    z, d = gan.noise(5), gan.discriminator
    on_data, on_samples = (d.features(v).numpy() for v in (tensor(data()), gan(z)))
    weight, bias = d.verdict.weight.numpy(), d.verdict.bias.numpy()
    s, t = ((f @ weight[0] + bias).mean(axis=1) for f in (on_data, on_samples))
    loss = gan.discriminator_loss(Batch(x, z))[0].item()
    assert loss == pytest.approx(np.log1p(np.exp(-s)).mean() + np.log1p(np.exp(t)).mean(), rel=1e-4)
    expected = ((on_data.mean(axis=0) - on_samples.mean(axis=0)) ** 2).mean()
    if not matching:
        expected = np.log1p(np.exp(-t)).mean()
    assert gan.generator_loss(Batch(x, z))[0].item() == pytest.approx(expected, rel=1e-4)


def test_each_player_moves_its_own(check_players: Callable[[Any, Any], None]) -> None:
    for matching in (True, False):
        check_players(small(matching), data(8))


def test_a_shape_without_such_parts() -> None:
    for network in (RecurrentGenerator, RecurrentDiscriminator):
        with pytest.raises(ValueError, match=r"C-RNN-GAN: expects a shape with 5 equal parts, got \(1, 8, 3\)"):
            network(SHAPE, 5)
