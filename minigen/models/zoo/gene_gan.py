r"""GeneGAN: an object is taken from one image and put into another (Zhou et al. 2017, arXiv 1705.04932).

Idea: the code of an image has a part for the background and a part for the object, as genes; children of two images,
one with the object and one without, cross them over.

    E(Ax) = (A, x), E(Be) = (B, e)    Ax has the object, Be has none, so that e should be 0
    G(A, x), G(B, 0)                  reconstructions;  G(B, x), G(A, 0) are the children

    E and G minimise   -E D_with(G(B, x)) - E D_without(G(A, 0))             the children look real
                       + |G(A, x) - Ax| + |G(B, 0) - Be|                     reconstruction
                       + |e|                                                 what has no object has no code of one
                       + 2.55 |Ax + Be - G(B, x) - G(A, 0)|                  parallelogram: the sum of genes is kept

|.| is a mean of absolute values, and pixels are in [0, 1]. D_with and D_without are Wasserstein critics. The authors
have 0.01 in place of 2.55, of pixels up to 255, beside reconstructions of pixels up to 1.

What differs from a plain GAN: four images from two, and two discriminators. No label says where or what the object is.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import Shape
from minigen.models.game import Batch, Player
from minigen.models.objectives import OBJECTIVES, clip_weights
from minigen.models.zoo.heads import ConvTrunk, Heads
from minigen.nn import init
from minigen.nn.module import evaluating


class GeneGAN(nn.Module):
    """For images (C, H, W) with pixels in [-1, 1], H and W multiples of 4.

    features     channels at half of the side; twice as many at a quarter of it, of which the last quarter is the object
    objective    a name from `OBJECTIVES` without a gradient penalty

    The data are (N, 2, C, H, W): [:, 0] with the object and [:, 1] without it; see `data.domains.Unpaired`.
    """

    def __init__(self, image_shape: Shape, features: int = 16, *, objective: str = "wasserstein") -> None:
        channels, f = image_shape[0], features
        self.objective, self.background = OBJECTIVES[objective], 2 * f - f // 2
        layers: list[nn.Module] = [nn.Conv2d(channels, f, 4, 2, 1), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(f, 2 * f, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * f), nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*layers, nn.Conv2d(2 * f, 2 * f, 3, padding=1)).apply(init.dcgan)
        layers = [nn.ConvTranspose2d(2 * f, f, 4, 2, 1, bias=False), nn.BatchNorm2d(f), nn.ReLU()]
        self.decoder = nn.Sequential(*layers, nn.ConvTranspose2d(f, channels, 4, 2, 1), nn.Tanh()).apply(init.dcgan)
        self.judges = [Heads(ConvTrunk(image_shape, features), 1) for _ in range(2)]

    @property
    def generator(self) -> nn.ModuleList:
        return nn.ModuleList([self.encoder, self.decoder])

    def players(self) -> dict[str, Player]:
        return {
            "discriminator": Player(nn.ModuleList(self.judges), self.discriminator_loss, self.objective.k, self._clip),
            "generator": Player(self.generator, self.generator_loss),
        }

    def noise(self, n: int) -> None:
        """None is drawn."""

    def encode(self, x: Any) -> tuple[Any, Any]:
        """The codes of background and object, maps of a quarter of the image's side."""
        code = self.encoder(x)
        return code[:, : self.background], code[:, self.background :]

    def decode(self, background: Any, thing: Any) -> Any:
        """The images (N, C, H, W) of both codes."""
        return self.decoder(ops.concat([background, thing], axis=1))

    def family(self, ax: Any, be: Any) -> tuple[list[Any], Any]:
        """From images with and without the object: [G(A, x), G(B, 0), G(B, x), G(A, 0)] and the code e.

        Each network computes all in one batch, so that batch normalisation does not tell the two kinds of images apart.
        """
        background, thing = self.encode(ops.concat([ax, be]))
        (a, b), (x, e) = ops.split(background, 2), ops.split(thing, 2)
        nothing = 0.0 * e
        images = self.decode(ops.concat([a, b, b, a]), ops.concat([x, nothing, x, nothing]))
        return ops.split(images, 4), e

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        real = batch.data[:, 0], batch.data[:, 1]
        with no_grad():
            (*_, with_it, without), _ = self.family(*real)
        pair = zip(self.judges, real, (with_it, without), strict=True)
        one, two = (self.objective.discriminator(judge(x), judge(sample)) for judge, x, sample in pair)
        return one + two, {}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        ax, be = batch.data[:, 0], batch.data[:, 1]
        (same_ax, same_be, bx, a0), e = self.family(ax, be)
        deceit = self.objective.generator(self.judges[0](bx)) + self.objective.generator(self.judges[1](a0))
        size = lambda x: ops.mean(ops.abs(x))
        reconstruction, parallelogram = size(same_ax - ax) + size(same_be - be), size(ax + be - bx - a0)
        loss = deceit + 0.5 * (reconstruction + 2.55 * parallelogram) + size(e)  # 0.5: pixels span 2, not 1
        return loss, {"reconstruction": reconstruction.data, "e": size(e).data}

    def _clip(self, metrics: Any) -> None:
        if self.objective.clip:
            clip_weights(nn.ModuleList(self.judges), self.objective.clip)

    @no_grad()
    def removed(self, x: Any) -> Tensor:
        """The images (N, C, H, W) without the object, in evaluation mode."""
        with evaluating(self):
            a, thing = self.encode(x)
            return self.decode(a, 0.0 * thing)

    @no_grad()
    def moved(self, source: Any, target: Any) -> Tensor:
        """The images `target` (N, C, H, W) with the objects of the images `source`, in evaluation mode."""
        with evaluating(self):
            return self.decode(self.encode(target)[0], self.encode(source)[1])
