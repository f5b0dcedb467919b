r"""CCGAN: context-conditional GAN (Denton et al. 2016, arXiv 1611.06430).

Idea: whoever can tell whether a hole in an image was filled well has learned what the images show. Few labels do then.

G gets an image with a hole m (0 inside, 1 outside) and fills it; what is outside stays as it is:

    y = m x + (1 - m) G(m x, m)

D tells whole images from filled ones, and shares its trunk with a classifier of the few labelled images (x', c):

    D minimises   -E log D(x) - E log(1 - D(y)) - lambda E log p(c | x')
    G minimises   -E log D(y)

What differs from a plain GAN: an image with a hole in place of z, pasting, and D's second head.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import Array, Shape
from minigen.models.game import Batch, Player
from minigen.models.objectives import OBJECTIVES
from minigen.models.zoo.heads import Heads, Labelled
from minigen.models.zoo.restoration import Hourglass, holes
from minigen.nn.module import evaluating

GAME = OBJECTIVES["non-saturating"]


class CCGAN(nn.Module):
    """Fills holes in images (N, C, H, W), and classifies them.

    discriminator  images -> logits (N,) and those of the classes (N, K)
    labelled       the few images with labels; they are as many in a step as the others
    hole           side of the holes
    weight         lambda
    """

    def __init__(
        self,
        image_shape: Shape,
        discriminator: Heads,
        labelled: Labelled,
        features: int = 16,
        hole: int = 14,
        weight: float = 1.0,
    ) -> None:
        self.image_shape, self.hole, self.weight = tuple(image_shape), hole, weight
        self.generator = Hourglass(image_shape[0] + 1, image_shape[0], features)
        self.discriminator, self.labelled = discriminator, labelled

    def players(self) -> dict[str, Player]:
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss),
            "generator": Player(self.generator, self.generator_loss),
        }

    def noise(self, n: int) -> Tensor:
        """`n` masks (n, 1, H, W), each with a hole."""
        _, height, width = self.image_shape
        dtype = next(self.parameters()).dtype
        return holes(n, height, width, self.hole, dtype=dtype, device=self.device)

    def forward(self, x: Any, mask: Any) -> Any:
        """Images (N, C, H, W) with what is under the holes of masks (N, 1, H, W) filled; it is not looked at."""
        known = mask * x
        return known + (1.0 - mask) * ops.tanh(self.generator(ops.concat([known, mask], axis=1)))

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What D minimises; `accuracy` is that on the labelled images."""
        with no_grad():
            filled = self(batch.data, batch.noise)
        images, labels = self.labelled.draw(len(batch.data))
        (s, _), (t, _), (_, classes) = (self.discriminator(x) for x in (Tensor(batch.data), filled, images))
        loss = GAME.discriminator(s, t) + self.weight * ops.cross_entropy(classes, labels)
        right = (classes.data.argmax(axis=1) == labels.data).mean()
        return loss, {**GAME.metrics(s.data, t.data), "accuracy": right}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises."""
        return GAME.generator(self.discriminator(self(batch.data, batch.noise))[0]), {}

    @no_grad()
    def classify(self, x: Any) -> Array:
        """The most probable class of each image, (N,)."""
        with evaluating(self):
            return self.discriminator(x)[1].data.argmax(axis=1)
