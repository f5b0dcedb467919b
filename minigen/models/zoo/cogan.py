r"""CoGAN: coupled GANs (Liu and Tuzel 2016, arXiv 1606.07536).

Idea: two GANs learn two domains from images without pairs. They share the layers that decide what is drawn, and draw
corresponding images from the same z.

    min over G_1, G_2, max over D_1, D_2   V(D_1, G_1) + V(D_2, G_2)

    G_i(z) = g_i(g(z))     g, the early layers, is shared: what is drawn; g_i, the last one, how it looks
    D_i(x) = d(d_i(x))     d, the late layers, is shared; d_i, the first one, is its own

Each V is the value of a plain GAN on one domain, so nothing sees a pair. The shared layers alone favour joint
distributions whose two images correspond, over the product of the marginals, which solves the two games just as well.

What differs from a plain GAN: there are two, with the same z, and layers are tied.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.models.game import Batch, Player
from minigen.models.gan import GAN


class CoGAN(nn.Module):
    """Two GANs of the same architecture, whose four networks are each a `Sequential` called `net`.

    tied    whether the generators share all layers but the last with weights, and the discriminators all but the first

    The data are pairs (N, 2, ...) in which [:, 0] and [:, 1] have nothing to do with each other; see `data.domains`.
    """

    def __init__(self, first: GAN, second: GAN, *, tied: bool = True) -> None:
        self.first, self.second = first, second
        if tied:
            share(first.generator.net, second.generator.net, keep=_weighted(second.generator.net)[-1])  # type: ignore
            share(first.discriminator.net, second.discriminator.net, keep=_weighted(second.discriminator.net)[0])  # type: ignore

    def players(self) -> dict[str, Player]:
        first, second = self.first, self.second
        return {
            "discriminator": Player(nn.ModuleList([first.discriminator, second.discriminator]), self.discriminator_loss),
            "generator": Player(nn.ModuleList([first.generator, second.generator]), self.generator_loss),
        }
