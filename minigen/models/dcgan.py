"""DCGAN: deep convolutional GAN (Radford et al. 2016, arXiv 1511.06434; the lecture, "DCGAN").

The paper's guidelines:

    - strided convolutions in the discriminator, fractionally strided (transposed) ones in the generator, no pooling
    - batch normalisation in both, but not at the generator's output and the discriminator's input
    - no hidden fully connected layers: z is a 1 x 1 image with latent_dim channels
    - ReLU in the generator, tanh at its output
    - LeakyReLU with slope 0.2 in the discriminator
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from minigen import nn, ops
from minigen.backend import Shape
from minigen.models.gan import GAN
from minigen.models.labels import with_labels
from minigen.models.objectives import OBJECTIVES
from minigen.models.tricks import Tricks
from minigen.nn import init


def sides(size: int) -> list[int]:
    """The sides of the feature maps from the image down, each half of the one before, rounded up: 28, 14, 7, 4."""
    result = [size]
    while result[-1] > 4:
        result.append((result[-1] + 1) // 2)
    return result


def _kernel(large: int, small: int) -> int:
    """The kernel size that, with stride 2 and padding 1, takes side `large` to `small`, and transposed back."""
    return 4 if large == 2 * small else 3


class DCGANGenerator(nn.Module):
    """z (N, latent_dim) -> images (N, C, side, side) in [-1, 1]; `features` channels before the last layer."""

    def __init__(self, image_shape: Shape, latent_dim: int, features: int, classes: int | None = None) -> None:
        self.latent_dim, self.classes = latent_dim, classes
        channels, side, _ = image_shape
        *inner, last = sides(side)[::-1]  # such as 4, 7, 14 and 28
        widths = [features * 2**i for i in reversed(range(len(inner)))]  # such as 128, 64, 32
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_dim + (classes or 0), widths[0], inner[0], bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for (small, large), (inputs, outputs) in zip(pairwise(inner), pairwise(widths), strict=True):
            layers += [
                nn.ConvTranspose2d(inputs, outputs, _kernel(large, small), stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        layers += [nn.ConvTranspose2d(widths[-1], channels, _kernel(last, inner[-1]), stride=2, padding=1), nn.Tanh()]
        self.net = nn.Sequential(*layers).apply(init.dcgan)

    def forward(self, z: Any, labels: Any = None) -> Any:
        z = with_labels(z, labels, self.classes)
        return self.net(ops.reshape(z, (*z.shape, 1, 1)))


class DCGANDiscriminator(nn.Module):
    """Images (N, C, side, side) -> logits (N,); `features` channels after the first layer."""

    def __init__(self, image_shape: Shape, features: int, classes: int | None = None, batch_norm: bool = True) -> None:
        self.classes = classes
        channels, side, _ = image_shape
        inputs, outputs = channels + (classes or 0), features
        layers: list[nn.Module] = []
        for i, (large, small) in enumerate(pairwise(sides(side))):
            normalised = batch_norm and i > 0
            layers.append(nn.Conv2d(inputs, outputs, _kernel(large, small), stride=2, padding=1, bias=not normalised))
            layers += [nn.BatchNorm2d(outputs)] if normalised else []
            layers.append(nn.LeakyReLU(0.2))
            inputs, outputs = outputs, 2 * outputs
        self.net = nn.Sequential(*layers, nn.Conv2d(inputs, 1, sides(side)[-1])).apply(init.dcgan)

    def forward(self, x: Any, labels: Any = None) -> Any:
        return ops.reshape(self.net(with_labels(x, labels, self.classes)), (-1,))


class DCGAN(GAN):
    """A DCGAN for square images (C, side, side), side 8 ... 64 or more, with pixels in [-1, 1].

    features                channels of the widest maps; they double as the side halves
    discriminator_features  those of the discriminator, if it is to have others than the generator
    classes                 number of classes, for a conditional GAN
    the rest                as in `GAN`

    The critic of "wasserstein-gp" has no batch normalisation, because the penalty concerns each image by itself.
    `ValueError` for other image shapes and for numbers below 1.
    """

    def __init__(
        self,
        image_shape: Shape = (1, 28, 28),
        latent_dim: int = 100,
        features: int = 32,
        objective: str = "non-saturating",
        k: int | None = None,
        *,
        discriminator_features: int | None = None,
        classes: int | None = None,
        penalty: float | None = None,
        tricks: Tricks | None = None,
    ) -> None:
        d_features = features if discriminator_features is None else discriminator_features
        if len(image_shape) != 3 or image_shape[1] != image_shape[2] or image_shape[1] < 8:
            raise ValueError(f"DCGAN: expects square images (C, side, side) from 8 x 8 up, got {tuple(image_shape)}")
        if min(image_shape[0], latent_dim, features, d_features, 1 if classes is None else classes) < 1:
            raise ValueError(
                f"DCGAN: expects 1 or more of each, got {image_shape[0]} channels, latent_dim={latent_dim}, "
                f"features={features}, discriminator_features={d_features}, classes={classes}"
            )
        penalised = objective in OBJECTIVES and OBJECTIVES[objective].penalty > 0
        generator = DCGANGenerator(image_shape, latent_dim, features, classes)
        discriminator = DCGANDiscriminator(image_shape, d_features, classes, batch_norm=not penalised)
        super().__init__(generator, discriminator, objective, k, penalty=penalty, tricks=tricks)
        self.image_shape = tuple(image_shape)
