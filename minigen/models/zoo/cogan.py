r"""CoGAN: coupled GANs (Liu and Tuzel 2016, arXiv 1606.07536).

Idea: two GANs learn two domains without pairs. They share the layers that decide what is drawn, and so they draw images
that correspond from the same z.

    min over G_1, G_2, max over D_1, D_2   V(D_1, G_1) + V(D_2, G_2)

    G_i(z) = g_i(g(z))    the early layers g are shared, the last one g_i is each one's own
    D_i(x) = d(d_i(x))    the first layer d_i is each one's own, the late layers d are shared

Each V is the value of a plain GAN on one domain, so that no network sees a pair. Any joint distribution with the right
marginals solves both games; the shared layers favour those whose two images are made of the same features.

What differs from a plain GAN: there are two, which get the same z, and their layers are tied.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.models.game import Batch, Player
from minigen.models.gan import GAN


class CoGAN(nn.Module):
    """Two GANs of the same networks, each a `Sequential` called `net`, such as `MLPGenerator` or those of `DCGAN`.

    tied    whether the two generators share all layers but the last, and the two discriminators all but the first

    The data are (N, 2, ...): [:, 0] of the first domain and [:, 1] of the second; see `data.domains.Unpaired`.
    """

    def __init__(self, first: GAN, second: GAN, *, tied: bool = True) -> None:
        self.first, self.second = first, second
        if tied:
            tie(first.generator, second.generator, slice(None, -1))
            tie(first.discriminator, second.discriminator, slice(1, None))

    @property
    def generator(self) -> nn.ModuleList:
        return nn.ModuleList([self.first.generator, self.second.generator])

    @property
    def discriminator(self) -> nn.ModuleList:
        return nn.ModuleList([self.first.discriminator, self.second.discriminator])

    def players(self) -> dict[str, Player]:
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss),
            "generator": Player(self.generator, self.generator_loss),
        }

    def noise(self, n: int) -> Tensor:
        """z (n, latent_dim), the same for both generators."""
        return self.first.noise(n)

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        (one, metrics), (two, others) = (gan.discriminator_loss(part) for gan, part in self._parts(batch))
        return one + two, {name: (metrics[name] + others[name]) / 2 for name in metrics}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        (one, metrics), (two, others) = (gan.generator_loss(part) for gan, part in self._parts(batch))
        return one + two, {name: (metrics[name] + others[name]) / 2 for name in metrics}

    def _parts(self, batch: Batch) -> list[tuple[GAN, Batch]]:
        """Each GAN with the data of its domain; the noise is the same."""
        return [(gan, batch._replace(data=batch.data[:, i])) for i, gan in enumerate((self.first, self.second))]

    @no_grad()
    def sample(self, n: int) -> Tensor:
        """`n` pairs (n, 2, ...), each from one z."""
        z = self.noise(n)
        return ops.stack([self.first.sample(z=z), self.second.sample(z=z)], axis=1)


def tie(first: Any, second: Any, layers: slice) -> None:
    """Put these of the layers with weights of `first.net` in the place of those of `second.net`."""
    weighted = [i for i, layer in enumerate(second.net) if list(layer.parameters())]
    for i in weighted[layers]:
        setattr(second.net, str(i), first.net[i])
