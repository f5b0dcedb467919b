r"""AffGAN: amortised MAP inference for super-resolution (Sønderby et al. 2017, arXiv 1610.04490).

Idea: of all large images that a small one may come from, the mean is blurred; a GAN gives one that looks like data.

An image y fits the small image x if the means of its blocks of pixels are x: A y = x. Such y are an affine space, and
G is projected onto it, with the pseudo-inverse A^+, which makes each pixel a block:

    y = g(x) + A^+ (x - A g(x)),   so that A y = x, whatever the weights of g are

What is left is to make the images likely. D tells the y, with density q, from data, with density p. The logit of the
best D is s(y) = log p(y) / q(y), and so G minimises a Kullback-Leibler divergence:

    KL(q || p) = H(q, p) - H(q) = -E_q s(y)

This is where MAP comes from: H(q, p) alone would be the most probable image for each x. Both densities lie on thin
sets, where that ratio does not exist; noise on D's inputs, which decays, makes it exist (`Tricks.instance_noise`).

What differs from a plain GAN: images in place of z, a last layer without weights, and G's loss -E s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.backend import Array
from minigen.models.game import Batch
from minigen.models.gan import GAN
from minigen.models.objectives import OBJECTIVES
from minigen.models.tricks import Tricks
from minigen.models.zoo.restoration import down, up


class Projected(nn.Module):
    """x (N, C, h, w) -> the images (N, C, factor h, factor w) of a network g, projected so that `down` gives x."""

    def __init__(self, net: nn.Module, factor: int) -> None:
        self.net, self.factor = net, factor

    def forward(self, x: Any) -> Any:
        y = self.net(x)
        return y + up(x - down(y, self.factor), self.factor)


class AffGAN(GAN):
    """A GAN that makes small images larger. Its data are large images, and `gan(x)` enlarges x (N, C, h, w).

    net            x (N, C, h, w) -> images (N, C, factor h, factor w)
    discriminator  images -> logits (N,)
    """

    generator: Projected

    def __init__(self, net: nn.Module, discriminator: nn.Module, factor: int = 4, tricks: Tricks | None = None) -> None:
        super().__init__(Projected(net, factor), discriminator, tricks=tricks)
        self.objective = replace(OBJECTIVES["non-saturating"], generator=lambda t: -ops.mean(t))

    def noise(self, n: int) -> None:  # type: ignore[override]
        """None: the small images of the batch stand for z."""

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        return super().discriminator_loss(self.with_small(batch))

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        return super().generator_loss(self.with_small(batch))

    def with_small(self, batch: Batch) -> Batch:
        """The batch, with its images made smaller in the noise's place."""
        return batch._replace(noise=down(batch.data, self.generator.factor))
