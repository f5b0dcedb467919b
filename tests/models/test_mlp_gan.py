"""The first GAN's networks: maxout by its definition, shapes and ranges, labels beside the input."""

from __future__ import annotations

import numpy as np
import pytest

from minigen import nn
from minigen.autograd import one_hot, tensor
from minigen.backend import Device
from minigen.models import GAN, Maxout, MLPDiscriminator, MLPGenerator


def points(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 2)).astype("float32")


def test_maxout_is_the_largest_piece() -> None:
    layer, x = Maxout(3, 2, pieces=4), points(3).reshape(2, 3)
    weight, bias = layer.linear.weight.numpy(), layer.linear.bias.numpy()
    expected = [
        [max(weight[2 * k + j] @ row + bias[2 * k + j] for k in range(4)) for j in range(2)] for row in x
    ]  # fmt: skip
    np.testing.assert_allclose(layer(tensor(x)).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2,), (1, 4, 4), (3, 2, 5)])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("classes", [None, 3])
def test_shapes_and_ranges(layers: int, shape: tuple[int, ...], classes: int | None) -> None:
    """Images end in a tanh, points need not; the discriminator gives one logit an image, of any size."""
    condition = () if classes is None else (np.array([0, 2, 1, 0]),)
    generator = MLPGenerator(shape, 3, 4, layers, classes)
    discriminator = MLPDiscriminator(shape, 4, layers, classes=classes)
    samples = generator(tensor(100 * points(6).reshape(4, 3)), *condition)
    assert samples.shape == (4, *shape) and (np.abs(samples.numpy()) <= 1).all()
    assert discriminator(samples, *condition).shape == (4,)
    for network in (generator, discriminator):
        assert sum(isinstance(part, nn.Linear) for part in network.modules()) == layers + 1
    points_of = MLPGenerator(shape, 3, 4, layers, classes, tanh=False)
    assert (np.abs(points_of(tensor(1000 * points(6).reshape(4, 3)), *condition).numpy()) > 1).any()


def test_labels_are_one_hot_vectors_beside_the_input(device: Device) -> None:
    gan = GAN(MLPGenerator((2,), 3, 4, 1, classes=3), MLPDiscriminator((2,), 4, 1, 2, dropout=0.0, classes=3))
    x, z, labels = points(4), gan.noise(4), np.array([2, 0, 2, 1])
    hot = np.array([[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]], "float32")
    on = lambda *parts: tensor(np.concatenate(parts, axis=1))
    samples = gan.sample(z=z, labels=labels)
    np.testing.assert_allclose(samples.numpy(), gan.generator.net(on(z.numpy(), hot)).numpy(), rtol=1e-6)
    judged = gan.discriminator(tensor(x), device.asarray(labels))
    np.testing.assert_allclose(judged.numpy(), gan.discriminator.net(on(x, hot)).numpy()[:, 0], rtol=1e-6)
    assert not np.allclose(gan.sample(z=z, labels=(labels + 1) % 3).numpy(), samples.numpy())
    np.testing.assert_array_equal(one_hot(device.asarray(labels), 3).numpy(), hot)


def test_the_hidden_layers_of_a_generator_may_be_normalised() -> None:
    """Before each ReLU; the output is not."""
    net = MLPGenerator((1, 2, 2), 3, 4, layers=2, batch_norm=True).net
    kinds = [type(layer).__name__ for layer in net]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear", "Unflatten", "Tanh"]
