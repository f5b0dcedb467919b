r"""ID-CGAN: image de-raining by a conditional GAN (Zhang et al. 2017, arXiv 1701.05957).

Idea: the image without streaks that has the least squared error is blurred; D, which sees both images, asks for more.

G takes the streaks away, y = G(x). It learns from pairs of an image x with streaks and the same image y* without:

    D minimises   -E log D(x, y*) - E log(1 - D(x, G(x)))
    G minimises   E |y - y*|^2  +  lambda_a E -log D(x, y)  +  lambda_p E |f(y) - f(y*)|^2

with the means over pixels and over the features f of a fixed classifier (the paper's is VGG-16).

What differs from a plain GAN: an image in place of z, a D of pairs, and the two distances to the right answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array, array_module
from minigen.models.game import Batch, Player
from minigen.models.objectives import OBJECTIVES
from minigen.nn.module import evaluating
from minigen.random import uniform

GAME = OBJECTIVES["non-saturating"]


class IDCGAN(nn.Module):
    """Takes away what `spoil` adds to images (N, C, H, W).

    generator      x (N, C, H, W) -> what it adds to x
    discriminator  x and y one after the other along the channels, (N, 2 C, H, W), -> logits (N,)
    classifier     `classifier.features(images)` are what is compared; it is in evaluation mode, and no player moves it
    spoil          images -> the same images with streaks, drawn anew in every step
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        classifier: nn.Module,
        spoil: Callable[[Array], Tensor],
        adversarial: float = 0.01,
        perceptual: float = 1.0,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.adversarial, self.perceptual = adversarial, perceptual
        self.classifier, self.spoil = classifier, spoil

    def players(self) -> dict[str, Player]:
        """The discriminator, unless its weight lambda_a is 0, and the generator."""
        discriminator = {"discriminator": Player(self.discriminator, self.discriminator_loss)}
        return (discriminator if self.adversarial else {}) | {"generator": Player(self.generator, self.generator_loss)}

    def noise(self, n: int) -> None:
        """None: the images with streaks stand for z."""

    def forward(self, x: Any) -> Any:
        """Images without the streaks, (N, C, H, W)."""
        return x + self.generator(x)

    def judge(self, x: Any, y: Any) -> Tensor:
        """D's logits (N,) for pairs."""
        return self.discriminator(ops.concat([x, y], axis=1))

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What D minimises."""
        x, target = self.spoil(batch.data), Tensor(raw(batch.data))
        with no_grad():
            y = self(x)
        s, t = self.judge(x, target), self.judge(x, y)
        return GAME.discriminator(s, t), GAME.metrics(s.data, t.data)

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises, and its squared error."""
        x, target = self.spoil(batch.data), Tensor(raw(batch.data))
        y = self(x)
        error = loss = ops.mse_loss(y, target)
        if self.adversarial:
            loss = loss + self.adversarial * GAME.generator(self.judge(x, y))
        if self.perceptual:
            f = cast(Any, self.classifier).features
            with evaluating(self.classifier):
                loss = loss + self.perceptual * ops.mse_loss(f(y), f(target))
        return loss, {"error": error.data}


def streaks(images: Array, count: int = 12, length: float = 9.0, width: float = 0.7, slope: float = 0.3) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] with `count` bright lines in each, at random places, all with that slope.

    A streak is `length` rows long. `width` is half of its width, in pixels.
    """
    x, xp = raw(images), array_module(raw(images))
    n, _, height, size = x.shape
    place = uniform((2, n, count, 1, 1), dtype=x.dtype, device=Tensor(x).device)
    top, left = place[0] * (height + length) - length, place[1] * size
    row = xp.arange(height, dtype=x.dtype).reshape(-1, 1)
    column = xp.arange(size, dtype=x.dtype)
    lit = (abs(column - left - slope * (row - top)) < width) & (row >= top) & (row < top + length)
    return Tensor(xp.where(lit.any(axis=1)[:, None], xp.ones_like(x), x))
