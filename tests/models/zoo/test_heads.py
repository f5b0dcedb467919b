"""Discriminators with heads: shapes, what the heads share, derivatives, noise in training only, few labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minigen
from minigen import nn
from minigen.autograd import tensor
from minigen.backend import Device, default_dtype, device_of, to_numpy
from minigen.models import GAN, DCGANDiscriminator, MLPGenerator
from minigen.models.zoo.heads import ConvTrunk, Heads, Labelled, MLPTrunk
from minigen.testing import check_module


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("trunk", [lambda: MLPTrunk((1, 8, 8), (6, 5)), lambda: ConvTrunk((1, 8, 8), 3)])
def test_the_heads_read_the_features_of_one_trunk(trunk: object, device: Device) -> None:
    d = Heads(trunk(), 1, 4, nn.Sequential(nn.Linear(trunk().width, 3), nn.ReLU())).eval()  # type: ignore[operator]
    x = device.asarray(random(2, 1, 8, 8))
    f, outputs = d.features(x), d(x)
    assert f.shape == (2, d.trunk.width) and [y.shape for y in outputs] == [(2,), (2, 4), (2, 3)]
    weight, bias = (to_numpy(p.data) for p in (d.heads[1].weight, d.heads[1].bias))
    np.testing.assert_allclose(outputs[1].numpy(), f.numpy() @ weight.T + bias, rtol=1e-4, atol=1e-5)
    for read, y in zip(d.read(f), outputs, strict=True):
        np.testing.assert_array_equal(read.numpy(), y.numpy())


def test_one_head_is_a_discriminator() -> None:
    d = Heads(MLPTrunk((2,), (5,)), 1)
    gan = GAN(MLPGenerator((2,), 3, 4), d)
    assert gan.loss(random(6, 2)).shape == () and Heads(d.trunk, 7)(random(6, 2)).shape == (6, 7)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_convolutional_trunk_is_dcgans(batch_norm: bool) -> None:
    minigen.manual_seed(0)
    trunk = ConvTrunk((3, 28, 28), 2, batch_norm)
    minigen.manual_seed(0)
    whole = DCGANDiscriminator((3, 28, 28), 2, batch_norm=batch_norm)
    x, last = random(2, 3, 28, 28), whole.net[-1]
    assert trunk.width == last.weight.size  # type: ignore[attr-defined]
    logits = trunk(tensor(x)).numpy() @ last.weight.numpy().reshape(-1) + last.bias.numpy()  # type: ignore[attr-defined]
    np.testing.assert_allclose(whole(tensor(x)).numpy(), logits, rtol=1e-4, atol=1e-5)


def test_derivatives() -> None:
    with default_dtype("float64"):
        check_module(Heads(MLPTrunk((3,), (4,)), 2), random(5, 3).astype(float))


def test_noise_on_the_input_and_on_each_layer_in_training_only() -> None:
    x = tensor(np.ones((4000, 2), "float32"))
    trunk = MLPTrunk((2,), (3,), input_noise=0.3, noise=0.5)
    assert trunk.net[1](x).numpy().std() == pytest.approx(0.3, rel=0.05)
    assert trunk.net[-1](x).numpy().std() == pytest.approx(0.5, rel=0.05)
    trunk.eval()
    np.testing.assert_array_equal(trunk(x).numpy()[0], trunk(x).numpy()[1])


def test_few_labelled_examples(device: Device, tmp_path: Path) -> None:
    images, labels = random(5, 1, 2, 2), np.arange(5)
    few = Labelled(device.asarray(images), device.asarray(labels))
    x, y = few.draw(100)
    assert device_of(x.data) == device_of(y.data) == device
    np.testing.assert_array_equal(x.numpy(), images[y.numpy()])
    assert set(y.numpy()) == set(range(5)) and not list(few.parameters())
    assert few.draw(100)[1].numpy().tolist() != y.numpy().tolist()


def test_a_trunk_normalised_over_the_batch() -> None:
    """Before each LeakyReLU: a constant input of the batch cannot be seen."""
    trunk = MLPTrunk((2,), (6, 5), batch_norm=True)
    x = random(8, 2)
    np.testing.assert_allclose(trunk(tensor(x)).numpy(), trunk(tensor(x + 3)).numpy(), atol=1e-4)
    assert abs(MLPTrunk((2,), (6, 5))(tensor(x)).numpy() - trunk(tensor(x)).numpy()).max() > 0.1
