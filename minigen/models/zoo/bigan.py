r"""BiGAN: adversarial feature learning (Donahue et al. 2017, arXiv 1605.09782).

Idea: an encoder E plays on the generator's side, and D judges pairs: an image with its code, or a code with its image.

    min_{G, E} max_D   E_data log D(x, E(x))  +  E_z log(1 - D(G(z), z))

Where D cannot tell the pairs apart, the two joint distributions are one, and E is G's inverse (the paper's theorem 2):
no loss compares x with G(E(x)), and yet they come to be alike. G and E minimise both terms with the labels swapped,

    E softplus(s) + E softplus(-t),   s = D's logit of (x, E(x)),  t = that of (G(z), z)

because E has a part in the data's term: stepping both on -log D(G(z), z) alone would teach E nothing.

What differs from a plain GAN: D's second input, and the encoder. `encoder.Inversion` learns E after G, as AEGAN does.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array
from minigen.models.game import Batch, Player
from minigen.models.gan import GAN
from minigen.models.tricks import Tricks


class PairDiscriminator(nn.Module):
    """x (N, ...) and codes (N, latent_dim) -> logits (N,): `net` reads the features (N, width) of x and the code.

    A trunk of an image should not normalise its first layer over the batch: this would take away what all images of the
    batch have in common, such as the black edge of digits, and D would not see that samples lack it.
    """

    def __init__(self, trunk: nn.Module, net: nn.Module) -> None:
        self.trunk, self.net = trunk, net

    def forward(self, x: Any, z: Any) -> Any:
        return self.net(ops.concat([self.trunk(x), z], axis=1))


class BiGAN(GAN):
    """A GAN with an encoder x -> z (N, latent_dim) and a discriminator of pairs; `noise` is the distribution of z."""

    def __init__(
        self, generator: nn.Module, encoder: nn.Module, discriminator: nn.Module, noise: str = "uniform"
    ) -> None:
        super().__init__(generator, discriminator, tricks=Tricks(noise=noise))
        self.encoder = encoder

    @property
    def both(self) -> nn.ModuleList:
        """G and E, who play together."""
        return nn.ModuleList([self.generator, self.encoder])

    def players(self) -> dict[str, Player]:
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss),
            "generator": Player(self.both, self.generator_loss),
        }

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        x, z = Tensor(raw(batch.data)), batch.noise
        with no_grad():
            code, samples = self.encoder(x), self.generator(z)
        s, t = self.discriminator(x, code), self.discriminator(samples, z)
        return self.objective.discriminator(s, t), self.objective.metrics(s.data, t.data)

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G and E minimise: D's loss with the labels swapped."""
        x, z = Tensor(raw(batch.data)), batch.noise
        s, t = self.discriminator(x, self.encoder(x)), self.discriminator(self.generator(z), z)
        return self.objective.discriminator(t, s), {}

    def reconstruct(self, x: Any) -> Tensor:
        """G(E(x)), in the current mode."""
        return self.generator(self.encoder(x))
