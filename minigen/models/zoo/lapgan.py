r"""LAPGAN: a Laplacian pyramid of GANs (Denton et al. 2015, arXiv 1506.05751).

Idea: draw a small image, and let a GAN for each doubling of the side add the detail that is missing.

A Laplacian pyramid takes an image I apart into a blurred image l, which one of half the side gives, and the detail h:

    l = up(down(I)),   h = I - l,   I = l + h

At each level G gives a detail for l and a plane of noise z, and D sees the image that it makes. The levels are trained
separately, each with l from the data, and one after the other makes the samples:

    min_G max_D   E log D(l + h)  +  E log(1 - D(l + G(z, l)))
    I_0 = G_0(z_0),   I_k = l_k + G_k(z_k, l_k),   l_k = up(I_{k-1})

h has both signs, and twice the range of I: G's last layer is linear.

What differs from a plain GAN: there is one for each level, and all but the first have l as a second input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from minigen import nn, ops
from minigen.autograd import Tensor, raw
from minigen.backend import Array, Shape
from minigen.models.game import Batch, Player
from minigen.models.gan import GAN
from minigen.models.zoo.restoration import Hourglass, down, up

Loss = Callable[[Batch], tuple[Tensor, dict[str, Array]]]


class DetailGenerator(nn.Module):
    """(z (N, H W), l (N, C, H, W)) -> images l + G(z, l), where z is one more channel of the input."""

    def __init__(self, shape: Shape, features: int = 16, halvings: int = 1) -> None:
        channels, height, width = shape
        self.latent_dim = height * width
        self.net = Hourglass(channels + 1, channels, features, halvings, halvings)

    def forward(self, given: tuple[Any, Any]) -> Any:
        z, blurred = given
        plane = ops.reshape(z, (len(z), 1, *blurred.shape[2:]))
        return blurred + self.net(ops.concat([plane, blurred], axis=1))


class Level(GAN):
    """A GAN whose generator gets, beside z, the images of the batch without their detail."""

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        return super().discriminator_loss(self.with_blurred(batch))

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        return super().generator_loss(self.with_blurred(batch))

    def with_blurred(self, batch: Batch) -> Batch:
        return batch._replace(noise=(batch.noise, up(down(raw(batch.data)))))


class LAPGAN(nn.Module):
    """A `GAN` of the smallest images, and a `Level` for each doubling of their side, as players of one game."""

    def __init__(self, levels: Sequence[GAN]) -> None:
        self.levels = nn.ModuleList(levels)

    @property
    def generator(self) -> nn.ModuleList:
        """The generators of all levels."""
        return nn.ModuleList([level.generator for level in cast(Sequence[GAN], self.levels)])

    def players(self) -> dict[str, Player]:
        """discriminator_0, generator_0, discriminator_1 and so on."""
        return {
            f"{name}_{k}": replace(player, loss=self._at(k, player.loss))
            for k, level in enumerate(cast(Sequence[GAN], self.levels))
            for name, player in level.players().items()
        }

    def _at(self, k: int, loss: Any) -> Loss:
        """A loss of level k from a batch of whole images."""

        def loss_of(batch: Batch) -> tuple[Tensor, dict[str, Array]]:
            images = down(raw(batch.data), 2 ** (len(self.levels) - 1 - k))
            found, metrics = loss(batch._replace(data=images, noise=batch.noise[k]))
            return found, {f"{name}_{k}": value for name, value in metrics.items()}

        return loss_of

    def noise(self, n: int) -> tuple[Tensor, ...]:
        """`n` draws of z for each level."""
        return tuple(level.noise(n) for level in cast(Sequence[GAN], self.levels))

    def sample(self, n: int) -> Tensor:
        """`n` samples (n, C, H, W)."""
        first, *_ = cast(Sequence[GAN], self.levels)
        return self.refine(first.sample(n), 1)

    def refine(self, images: Any, level: int) -> Tensor:
        """Images of the level before this one, (N, C, h, w), with the detail of this level and of all that follow."""
        for gan in cast(Sequence[GAN], self.levels)[level:]:
            images = gan.sample(z=(gan.noise(len(images)), up(images)))
        return images
