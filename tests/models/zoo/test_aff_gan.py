"""AffGAN: what it enlarges fits exactly, its losses by the paper, and the divergence that G minimises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen import nn, ops
from minigen.autograd import Tensor, grad
from minigen.backend import Device, default_dtype
from minigen.models import Batch, DCGANDiscriminator
from minigen.models.tricks import Tricks
from minigen.models.zoo.aff_gan import AffGAN, Projected
from minigen.models.zoo.restoration import Hourglass, down

IMAGES = np.random.default_rng(0).uniform(-1, 1, size=(6, 1, 8, 8)).astype("float32")


def small(**options: float) -> AffGAN:
    tricks = Tricks(**options)  # type: ignore[arg-type]
    return AffGAN(Hourglass(1, 1, 4, 0, 2), DCGANDiscriminator((1, 8, 8), 4, batch_norm=False), tricks=tricks)


class Given(nn.Module):
    """A network whose output is a given image."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image

    def forward(self, x: Tensor) -> Tensor:
        return Tensor(self.image)


def test_what_it_enlarges_fits_whatever_the_weights_are(device: Device) -> None:
    gan = small()
    for factor in (1.0, 30.0):
        for p in gan.parameters():
            p.data = factor * p.data
        x = down(device.asarray(IMAGES), 4)
        y = gan(x)
        assert y.shape == (6, 1, 8, 8) and abs(gan.generator.net(x).numpy()).max() > 1e-3
        np.testing.assert_allclose(down(y, 4).numpy(), down(IMAGES, 4), atol=1e-6 * factor)


def test_the_projection_is_the_nearest_image_that_fits() -> None:
    """Its difference to g(x) is orthogonal to all differences of images that fit."""
    generator = np.random.default_rng(1)
    guess, x = generator.normal(size=(1, 1, 4, 4)), generator.normal(size=(1, 1, 2, 2))
    y = Projected(Given(guess), 2)(Tensor(x)).numpy()
    other = Projected(Given(generator.normal(size=guess.shape)), 2)(Tensor(x)).numpy()
    assert ((y - guess) * (other - y)).sum() == pytest.approx(0, abs=1e-12)
    again = Projected(Given(y), 2)(Tensor(x)).numpy()
    np.testing.assert_allclose(again, y, atol=1e-12)


def test_the_losses_are_the_papers(device: Device) -> None:
    gan, batch = small(), Batch(device.asarray(IMAGES), None)
    x, y = Tensor(batch.data), gan(down(batch.data, 4))
    s, t = (gan.discriminator(images).numpy().astype(float) for images in (x, y))
    log_sigmoid = lambda v: -np.log(1 + np.exp(-v))
    loss, _ = gan.discriminator_loss(batch)
    assert loss.item() == pytest.approx(-log_sigmoid(s).mean() - log_sigmoid(-t).mean(), rel=1e-4)
    assert gan.generator_loss(batch)[0].item() == pytest.approx(-t.mean(), rel=1e-4, abs=1e-6)


def test_the_generator_descends_the_divergence() -> None:
    """Of its samples from data, both normal: with the best D the gradient of -E s is that of KL(q || p)."""

    class Best(nn.Module):
        """log p / q, for data N(0, 1) and samples N(1, 1)."""

        def forward(self, x: Tensor) -> Tensor:
            return 0.5 - x[:, 0]

    with default_dtype("float64"):
        gan = small()
        mu = Tensor(np.ones(1), requires_grad=True)
        y = mu + Tensor(np.random.default_rng(2).normal(size=(100_000, 1)))
        (slope,) = grad(gan.objective.generator(Best()(y)), mu)
    assert slope.item() == pytest.approx(1)  # KL(N(mu, 1) || N(0, 1)) = mu^2 / 2


def test_the_noise_on_both_inputs_decays(device: Device) -> None:
    """D's inputs differ from the images by noise of the right size, in both of its losses' halves."""
    gan, seen = small(instance_noise=0.5, instance_noise_rounds=100), []
    gan.discriminator = Watched(gan.discriminator, seen)
    for round, std in ((0, 0.5), (50, 0.25), (100, 0.0)):
        seen.clear()
        gan.discriminator_loss(Batch(device.asarray(IMAGES), None, round=round))
        gan.generator_loss(Batch(device.asarray(IMAGES), None, round=round))
        y = gan(down(device.asarray(IMAGES), 4)).numpy()
        for images, clean in zip(seen, (IMAGES, y, y), strict=True):
            assert (images - clean).std() == pytest.approx(std, rel=0.2)


class Watched(nn.Module):
    def __init__(self, net: nn.Module, seen: list) -> None:
        self.net, self.seen = net, seen

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.numpy())
        return self.net(x)


def test_each_player_moves_its_own(check_players: Callable) -> None:
    check_players(small().eval(), IMAGES)


def test_a_sample_is_made_of_small_images() -> None:
    x = down(IMAGES, 4)
    assert small().sample(z=x).shape == IMAGES.shape
    (slope,) = grad(ops.sum(small()(given := Tensor(x, requires_grad=True))), given)
    assert slope.shape == x.shape
