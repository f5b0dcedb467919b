r"""ALI: adversarially learned inference (Dumoulin et al. 2017, arXiv 1606.00704).

Idea: BiGAN with an encoder that gives a distribution, so that the game does inference: which z may have made this x?

    q(x, z) = p_data(x) q(z | x),   q(z | x) = N(mu(x), sigma(x)^2)     z = mu(x) + sigma(x) e,  e ~ N(0, 1)
    p(x, z) = p(z) p(x | z),        p(z) = N(0, 1),                     x = G(z)

D tells pairs of the one from pairs of the other. Where it cannot, all that follows from the joint distributions is
equal too: samples are like the data, codes of the data are like the prior, and q(z | x) is the posterior p(z | x).

What differs from BiGAN: the encoder draws its code. Its losses, with swapped labels for G and E, are BiGAN's.
"""

from __future__ import annotations

from typing import Any

from minigen import nn
from minigen.autograd import Tensor
from minigen.models.zoo.bigan import BiGAN
from minigen.models.zoo.encoder import GaussianEncoder


class ALI(BiGAN):
    """A GAN with an encoder that draws its codes, and a discriminator of pairs. z is normal."""

    encoder: GaussianEncoder

    def __init__(self, generator: nn.Module, encoder: GaussianEncoder, discriminator: nn.Module) -> None:
        super().__init__(generator, encoder, discriminator, noise="normal")

    def reconstruct(self, x: Any) -> Tensor:
        """G of the most probable code, in the current mode."""
        return self.generator(self.encoder.distribution(x).mean)
