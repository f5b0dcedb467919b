"""A discriminator that is an autoencoder (Zhao et al. 2017, arXiv 1609.03126; Berthelot et al. 2017, 1703.10717).

Its output on x is no logit but the error of the reconstruction, an energy: low where it has learned to reconstruct.
`ebgan` and `began` train it to reconstruct the data, and samples badly.
"""

from __future__ import annotations

import math
from typing import Any

from minigen import nn, ops
from minigen.backend import Shape


class AutoencoderDiscriminator(nn.Module):
    """x (N, *shape) -> energies (N,): for each x, the mean over its values of |x - reconstruction|^power.

    `code` and `hidden` are the sizes of the code and of the hidden layers, one in the encoder and one in the decoder.
    `ValueError` if power is not 1 or 2.
    """

    def __init__(self, shape: Shape, code: int = 32, hidden: int = 256, power: int = 2) -> None:
        if power not in (1, 2):
            raise ValueError(f"AutoencoderDiscriminator: expects power 1 or 2, got {power}")
        self.power, size = power, math.prod(shape)
        self.encode = nn.Sequential(nn.Flatten(), nn.Linear(size, hidden), nn.ELU(), nn.Linear(hidden, code))
        """x (N, *shape) -> codes (N, code)"""
        self.decode = decoder(shape, code, hidden)
        """codes (N, code) -> reconstructions (N, *shape)"""

    def energy(self, x: Any, code: Any) -> Any:
        """The energies (N,) of x with these codes."""
        difference = ops.reshape(x - self.decode(code), (len(x), -1))
        return ops.mean(ops.abs(difference) if self.power == 1 else ops.square(difference), axis=1)

    def forward(self, x: Any) -> Any:
        return self.energy(x, self.encode(x))


class DecoderGenerator(nn.Module):
    """z (N, latent_dim) -> samples (N, *shape): a generator built like the decoder, as BEGAN's is."""

    def __init__(self, shape: Shape, latent_dim: int = 64, hidden: int = 256) -> None:
        self.latent_dim, self.net = latent_dim, decoder(shape, latent_dim, hidden)

    def forward(self, z: Any) -> Any:
        return self.net(z)


def decoder(shape: Shape, code: int, hidden: int) -> nn.Sequential:
    """Codes (N, code) -> (N, *shape) through a hidden layer."""
    return nn.Sequential(
        nn.Linear(code, hidden), nn.ELU(), nn.Linear(hidden, math.prod(shape)), nn.Unflatten(tuple(shape))
    )
