"""Encoders: networks from data x back to the generator's input z, and their training where the generator is fixed.

E = Heads(ConvTrunk((1, 28, 28)), 50)             # z = E(x) (N, 50)
E = GaussianEncoder(ConvTrunk((1, 28, 28)), 50)   # z ~ q(z | x) (N, 50)
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.distributions import Normal
from minigen.models.game import Batch, Player
from minigen.models.gan import GAN
from minigen.models.zoo.heads import Heads
from minigen.nn.module import evaluating


class GaussianEncoder(Heads):
    """x (N, ...) -> z (N, latent_dim), drawn from q(z | x), whose mean and log variance are the outputs of two heads.

    The draw is reparameterized: it has derivatives by the parameters.
    """

    def __init__(self, trunk: nn.Module, latent_dim: int) -> None:
        super().__init__(trunk, latent_dim, latent_dim)

    def distribution(self, x: Any) -> Normal:
        """q(z | x), of shape (N, latent_dim)."""
        return Normal(*self.read(self.features(x)))

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
