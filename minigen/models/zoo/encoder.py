"""Encoders: networks from data x back to the generator's input z, and their training where the generator is fixed."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.backend import Shape
from minigen.distributions import Normal
from minigen.models.dcgan import sides
from minigen.models.game import Batch, Player
from minigen.models.gan import GAN
from minigen.nn import init
from minigen.nn.module import evaluating


class Encoder(nn.Module):
    """x (N, ...) -> codes (N, latent_dim), by a linear layer on the features (N, width) that `body` gives."""

    def __init__(self, body: nn.Module, width: int, latent_dim: int) -> None:
        self.latent_dim = latent_dim
        self.body, self.head = body, nn.Linear(width, latent_dim)

    def features(self, x: Any) -> Any:
        """The last hidden layer, (N, width)."""
        return self.body(x)

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x))


class MLPEncoder(Encoder):
    """x (N, *shape) -> codes (N, latent_dim) through hidden layers with leaky ReLU and batch normalisation."""

    def __init__(self, shape: Shape, latent_dim: int, hidden: int = 256, layers: int = 2) -> None:
        parts: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise([math.prod(shape)] + [hidden] * layers):
            parts += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.LeakyReLU(0.2)]
        super().__init__(nn.Sequential(*parts), hidden, latent_dim)


class ConvEncoder(Encoder):
    """Images (N, C, side, side) -> codes (N, latent_dim) through DCGAN's strided convolutions."""

    def __init__(self, image_shape: Shape, latent_dim: int, features: int = 16) -> None:
        channels, side, _ = image_shape
        *_, last = halved = sides(side)
        widths = [channels] + [features * 2**i for i in range(len(halved) - 1)]
        parts: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            parts += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)]
            parts += [nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
        super().__init__(nn.Sequential(*parts, nn.Flatten()).apply(init.dcgan), widths[-1] * last**2, latent_dim)


class GaussianEncoder(nn.Module):
    """x (N, ...) -> z (N, latent_dim), drawn from q(z | x), whose mean and log variance `net` gives, (N, 2 latent_dim).

    The draw is reparameterized: it has derivatives by the parameters of `net`.
    """

    def __init__(self, net: Encoder) -> None:
        self.net, self.latent_dim = net, net.latent_dim // 2

    def distribution(self, x: Any) -> Normal:
        """q(z | x), of shape (N, latent_dim)."""
        return Normal(*ops.split(self.net(x), 2, axis=1))

    def forward(self, x: Any) -> Tensor:
        return self.distribution(x).sample()


INVERSIONS = ("codes", "samples", "data")


class Inversion(nn.Module):
    """An encoder E, learned after the generator G of a GAN, which stays as it is: a game of one player.

    error     E minimises the mean of the squares of
        "codes"      z - E(G(z))              IcGAN's first encoder, also called a latent regressor
        "samples"    G(z) - G(E(G(z)))        AEGAN (Luo et al. 2017, arXiv 1703.10094)
        "data"       x - G(E(x))              iGAN's predictor (Zhu et al. 2016, arXiv 1609.03552)

    With classes, G gets the labels of the batch. G is in evaluation mode, as it will be used. `ValueError` for another
    error.
    """

    def __init__(self, gan: GAN, encoder: nn.Module, error: str = "codes") -> None:
        if error not in INVERSIONS:
            raise ValueError(f"Inversion: expects error to be one of {INVERSIONS}, got {error!r}")
        self.gan, self.encoder, self.error = gan, encoder, error

    def players(self) -> dict[str, Player]:
        return {"encoder": Player(self.encoder, self.encoder_loss)}

    def noise(self, n: int) -> Tensor:
        return self.gan.noise(n)

    def encoder_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        labels = batch.labels if self.gan.classes else None
        x = batch.data if self.error == "data" else self.gan.sample(labels=labels, z=batch.noise)
        code = self.encoder(x)
        if self.error == "codes":
            return ops.mse_loss(code, batch.noise), {}
        with evaluating(self.gan):
            return ops.mse_loss(self.gan(code, labels), x), {}
