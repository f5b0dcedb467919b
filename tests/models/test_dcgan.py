"""DCGAN: exact sides, the paper's five guidelines and its initialisation, classes, and one z, one image."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from minigen import nn
from minigen.autograd import Tensor, no_grad, tensor
from minigen.backend import Device, to_numpy
from minigen.models import DCGAN, DCGANDiscriminator, Tricks
from minigen.models.objectives import OBJECTIVES, gradient_penalty
from minigen.testing import check_module

every_objective = pytest.mark.parametrize("objective", OBJECTIVES)
CONVOLUTIONS, NORMS = (nn.Conv2d, nn.ConvTranspose2d), (nn.BatchNorm1d, nn.BatchNorm2d)


def chain(network: Any) -> Iterator[tuple[nn.Module, list[nn.Module]]]:
    """Each convolution, with what follows up to the next."""
    layers = list(network.net)
    starts = [i for i, layer in enumerate(layers) if isinstance(layer, CONVOLUTIONS)]
    assert starts[0] == 0
    return ((layers[i], layers[i + 1 : j]) for i, j in pairwise([*starts, len(layers)]))


def as_bytes(module: nn.Module) -> dict[str, bytes]:
    return {name: to_numpy(x).tobytes() for name, x in module.state_dict().items()}


# -- shapes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_every_side_from_8_to_64(channels: int) -> None:
    for side in range(8, 65):
        gan = DCGAN((channels, side, side), latent_dim=2, features=1)
        images = gan.sample(2)
        assert images.shape == (2, channels, side, side) and np.abs(images.numpy()).max() <= 1
        assert gan.discriminator(images).shape == (2,)


def test_the_maps_halve_and_the_features_double() -> None:
    gan = DCGAN((1, 28, 28), latent_dim=10, features=4, discriminator_features=2)
    up = [(layer.weight.shape[:2], layer.weight.shape[2]) for layer, _ in chain(gan.generator)]
    down = [(layer.weight.shape[:2], layer.weight.shape[2]) for layer, _ in chain(gan.discriminator)]
    assert up == [((10, 16), 4), ((16, 8), 3), ((8, 4), 4), ((4, 1), 4)]  # 1 -> 4 -> 7 -> 14 -> 28, (in, out, ...)
    assert down == [((2, 1), 4), ((4, 2), 4), ((8, 4), 3), ((1, 8), 4)]  # and back, weights (out, in, ...)


# -- the five guidelines, and the initialisation -----------------------------------------------------------------------


@every_objective
@pytest.mark.parametrize("side", [8, 13, 28])
def test_the_guidelines(side: int, objective: str) -> None:
    gan = DCGAN((3, side, side), 4, 2, objective, classes=3)
    kinds = {type(part) for part in gan.modules()} - {type(gan), type(gan.generator), type(gan.discriminator)}
    assert kinds <= {nn.Sequential, *CONVOLUTIONS, nn.BatchNorm2d, nn.ReLU, nn.LeakyReLU, nn.Tanh}  # no Linear, no pool

    first, *strided = up = list(chain(gan.generator))
    assert all(isinstance(layer, nn.ConvTranspose2d) for layer, _ in up)
    assert first[0].options["stride"] == 1 and all(layer.options["stride"] == 2 for layer, _ in strided)
    for _, after in up[:-1]:
        assert [type(layer) for layer in after] == [nn.BatchNorm2d, nn.ReLU]
    assert [type(layer) for layer in up[-1][1]] == [nn.Tanh]

    *strided, last = down = list(chain(gan.discriminator))
    assert all(isinstance(layer, nn.Conv2d) for layer, _ in down)
    assert all(layer.options["stride"] == 2 for layer, _ in strided) and last[0].options["stride"] == 1
    for i, (_, after) in enumerate(strided):
        normalised = i > 0 and objective != "wasserstein-gp"  # whose penalty is on each image's own slope
        assert [type(layer) for layer in after] == [nn.BatchNorm2d] * normalised + [nn.LeakyReLU]
        assert after[-1].negative_slope == 0.2
    assert last[1] == []

    for layer, after in (*up, *down):  # the shift of a batch normalisation is bias enough
        assert (layer.bias is None) == any(isinstance(part, NORMS) for part in after)


def test_batch_normalisation_has_its_own_eps_and_momentum(device: Device) -> None:
    """eps 1e-5 and momentum 0.1, not one in the place of the other: as written, and as it acts."""
    gan = DCGAN((1, 16, 16), 4, 2)
    norms = [part for part in gan.modules() if isinstance(part, NORMS)]
    assert len(norms) == 3 and all((norm.eps, norm.momentum) == (1e-5, 0.1) for norm in norms)
    for norm in norms:
        n = norm.running_mean.shape[0]
        x = 1e-2 * np.random.default_rng(0).normal(3, 1, size=(6, n, 4, 4)).astype("float32")
        y = norm(tensor(x)).numpy() / norm.weight.numpy().reshape(1, n, 1, 1)
        np.testing.assert_allclose(y.var(axis=(0, 2, 3)), x.var((0, 2, 3)) / (x.var((0, 2, 3)) + 1e-5), rtol=1e-3)
        np.testing.assert_allclose(norm.running_mean.numpy(), 0.1 * x.mean(axis=(0, 2, 3)), rtol=1e-4)


def test_the_initialisation() -> None:
    """Normal(0, 0.02), scales of batch normalisation Normal(1, 0.02), biases 0."""
    gan = DCGAN((3, 28, 28), features=16)
    scales = []
    for part in gan.modules():
        if isinstance(part, CONVOLUTIONS):
            w = part.weight.numpy()
            assert w.std() == pytest.approx(0.02, rel=4 / np.sqrt(2 * w.size)), w.shape
            assert abs(w.mean()) < 5 * 0.02 / np.sqrt(w.size)
            assert part.bias is None or not part.bias.numpy().any()
        elif isinstance(part, NORMS):
            scales.append(part.weight.numpy())
            assert not part.bias.numpy().any()
    scale = np.concatenate(scales)
    assert len(scale) == (64 + 32 + 16) + (32 + 64)
    assert scale.mean() == pytest.approx(1, abs=0.01) and scale.std() == pytest.approx(0.02, rel=0.35)


# -- the penalty through convolutions ----------------------------------------------------------------------------------


class Penalized(nn.Module):
    """The gradient penalty of a critic."""

    def __init__(self, critic: nn.Module) -> None:
        self.critic = critic

    def forward(self, data: Tensor, samples: Tensor) -> Tensor:
        return gradient_penalty(self.critic, data, samples)


def test_derivatives_of_the_penalty_by_the_critics_parameters() -> None:
    data, samples = (Tensor(x) for x in np.random.default_rng(0).normal(size=(2, 3, 1, 8, 8)))
    check_module(Penalized(DCGANDiscriminator((1, 8, 8), 2, batch_norm=False)), data, samples)


# -- one z, one image --------------------------------------------------------------------------------------------------


def test_one_z_gives_one_image_whatever_its_batch(device: Device) -> None:
    gan = DCGAN((1, 8, 8), 4, 2)
    for _ in range(3):  # the running statistics are not the batch's
        gan.generator(gan.noise(6))
    gan.discriminator.net[1].eval()  # a mode of its own
    modes, before = [part.training for part in gan.modules()], as_bytes(gan)
    z = gan.noise(5)
    images = gan.sample(z=z)
    for i in range(5):
        np.testing.assert_allclose(gan.sample(z=z[i : i + 1]).numpy()[0], images.numpy()[i], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(gan.sample(z=z).numpy(), images.numpy())
    assert [part.training for part in gan.modules()] == modes and as_bytes(gan) == before
    with no_grad():  # afterwards training is training: an image depends on its batch
        assert not np.allclose(gan.generator(z).numpy(), gan.generator(z[:2]).numpy()[0], rtol=1e-2)
    assert as_bytes(gan) != before


# -- classes -----------------------------------------------------------------------------------------------------------


def test_labels_matter_to_both_players(device: Device) -> None:
    """As channels beside z, and as constant maps beside the image."""
    gan = DCGAN((1, 8, 8), 4, 2, classes=3)
    z, labels = gan.noise(4), np.array([0, 1, 2, 1])
    hot = np.eye(3, dtype="float32")[labels]
    images = gan.sample(z=z, labels=labels)
    gan.eval()
    stacked = tensor(np.concatenate([z.numpy(), hot], axis=1).reshape(4, 7, 1, 1))
    np.testing.assert_allclose(gan.generator.net(stacked).numpy(), images.numpy(), rtol=1e-5, atol=1e-7)
    assert not np.allclose(gan.sample(z=z, labels=(labels + 1) % 3).numpy(), images.numpy(), rtol=1e-3)
    logits = gan.discriminator(images, device.asarray(labels))
    maps = np.broadcast_to(hot[:, :, None, None], (4, 3, 8, 8))
    stacked = tensor(np.concatenate([images.numpy(), maps], axis=1))
    np.testing.assert_allclose(gan.discriminator.net(stacked).numpy().ravel(), logits.numpy(), rtol=1e-5, atol=1e-7)
    others = gan.discriminator(images, device.asarray((labels + 1) % 3))
    assert not np.allclose(others.numpy(), logits.numpy(), rtol=1e-3)
    with pytest.raises(ValueError, match=r"^DCGAN: expects labels, got none$"):
        gan.sample(2)
    with pytest.raises(ValueError, match=r"^DCGAN: expects integers \(N,\) in 0 ... 2"):
        gan.sample(2, np.array([0, 3]))
    with pytest.raises(ValueError, match=r"^DCGAN: expects no labels, it has no classes$"):
        DCGAN((1, 8, 8), 4, 2).sample(2, labels[:2])


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 7, 7), (1, 8, 9), (8, 8), (1, 1, 8, 8)])
def test_images_that_it_does_not_take(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^DCGAN: expects square images \(C, side, side\) from 8 x 8 up, got \("):
        DCGAN(shape)


@pytest.mark.parametrize("name", ["latent_dim", "features", "discriminator_features", "classes", "image_shape"])
def test_numbers_that_it_does_not_take(name: str) -> None:
    options: dict[str, Any] = {"image_shape": (1, 8, 8), name: (0, 8, 8) if name == "image_shape" else 0}
    with pytest.raises(ValueError, match=r"^DCGAN: expects 1 or more of each, got "):
        DCGAN(**options)


def test_the_options_of_a_gan_hold() -> None:
    gan = DCGAN((1, 8, 8), 4, 2, "wasserstein-gp", k=3, penalty=2.0, tricks=Tricks("sphere"))
    assert (gan.k, gan.objective.penalty, gan.tricks.noise) == (3, 2.0, "sphere")
    with pytest.raises(ValueError, match=r"^GAN: expects objective to be one of"):
        DCGAN((1, 8, 8), 4, 2, "wgan")
