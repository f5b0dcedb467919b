r"""IcGAN: invertible conditional GANs for image editing (Perarnau et al. 2016, arXiv 1611.06355).

Idea: encode an image into what is asked for, y, and the rest, z; replace y; and let a conditional GAN draw it again.

    image x  ->  z = E_z(x), y = E_y(x)  ->  G(z, y'),  with y' in place of y

First a conditional GAN learns G. Its D also gets real images with a wrong y as fakes, so that it minds the condition:

    -E log D(x, y)  -  1/2 E log(1 - D(x, y_wrong))  -  1/2 E log(1 - D(G(z, y), y))

Then, with G fixed, E_z learns to find z from G(z, y) by squared error (`encoder.Inversion`), and E_y learns to find y
from real images, here by cross-entropy (`evaluate.Classifier`).

What differs from a conditional GAN: the second term of D's loss, and what comes after. z keeps what y does not say.

acGAN (1702.01983) refines z so that the reconstruction looks like x to a classifier's features: see `refinement_error`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array, Shape, device_of
from minigen.models.dcgan import DCGANDiscriminator
from minigen.models.game import Batch
from minigen.models.gan import GAN
from minigen.nn import init
from minigen.random import random_generator


class IcGAN(GAN):
    """A conditional GAN whose D learns to reject real images with a wrong label."""

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        x, (labels,) = Tensor(raw(batch.data)), self._condition(batch.labels)
        with no_grad():
            samples = self.generator(batch.noise, labels)
        s, t = self.discriminator(x, labels), self.discriminator(samples, labels)
        w = self.discriminator(x, wrong(labels, self.classes))
        fakes = 0.5 * (ops.mean(ops.softplus(w)) + ops.mean(ops.softplus(t)))
        return ops.mean(ops.softplus(-s)) + fakes, self.objective.metrics(s.data, t.data)


def wrong(labels: Array, classes: Any) -> Array:
    """For each label (N,), one of the others, all with equal probability."""
    steps = random_generator().integers(1, classes, size=len(labels))
    return (labels + device_of(labels).asarray(steps)) % classes


class LateLabels(nn.Module):
    """Images (N, C, side, side) and labels (N,) -> logits (N,): DCGAN's D, where labels enter after the first layer."""

    def __init__(self, image_shape: Shape, features: int, classes: int) -> None:
        channels, side, _ = image_shape
        self.classes = classes
        self.first = nn.Sequential(nn.Conv2d(channels, features, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.rest = DCGANDiscriminator((features, side // 2, side // 2), 2 * features, classes)
        self.first.apply(init.dcgan)

    def forward(self, x: Any, labels: Any) -> Any:
        return self.rest(self.first(x), labels)


def refinement_error(
    gan: GAN, images: Any, labels: Any, features: Callable[[Any], Tensor]
) -> Callable[[Tensor], Tensor]:
    """acGAN's error of z as the code of each image (N, ...): the squared difference of a classifier's features."""
    with no_grad():
        target = features(Tensor(raw(images)))
    return lambda z: ops.sum(ops.square(features(gan(z, labels)) - target), axis=1)
