r"""IAN: introspective adversarial networks (Brock et al. 2017, arXiv 1609.07093), an option of CVAE-GAN's page.

Idea: D has features already, so the encoder needs none of its own: q(z | x) is a linear layer on those of D. And D
tells three kinds apart, data x, reconstructions x' = G(z), z ~ q(z | x), and samples G(z), z ~ N(0, 1).

    D minimises        the cross-entropy of the three kinds  +  10^-3 sum over layers of |W W^T - I|_1
    E and G minimise   KL(q(z | x) || N(0, 1))  +  3 |x - x'|_1  +  |f(x) - f(x')|^2
                       -  log D(data | x')  -  log D(data | G(z))

The orthogonal regularisation keeps the rows of each layer of D different from each other. It is taken over the smaller
side of W, since the rows of a wide layer cannot all be orthogonal.

What differs from a plain GAN: D's three outputs, an encoder that has one layer and leaves D's features as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array, array_module
from minigen.distributions import Normal
from minigen.models.game import Batch, Player
from minigen.models.gan import GAN
from minigen.models.zoo.heads import Heads

DATA, RECONSTRUCTION, SAMPLE = range(3)


class IAN(GAN):
    """A generator without classes, and a discriminator `Heads(trunk, 3)`."""

    discriminator: Heads

    def __init__(
        self,
        generator: nn.Module,
        discriminator: Heads,
        pixels: float = 3.0,
        features: float = 1.0,
        orthogonal: float = 1e-3,
    ) -> None:
        super().__init__(generator, discriminator)
        self.code = nn.Linear(discriminator.trunk.width, 2 * self.latent_dim)  # type: ignore
        self.pixels, self.features, self.orthogonal = pixels, features, orthogonal

    def players(self) -> dict[str, Player]:
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss),
            "generator": Player(nn.ModuleList([self.code, self.generator]), self.generator_loss),
        }

    def encode(self, x: Any) -> Normal:
        """q(z | x), of shape (N, latent_dim)."""
        return Normal(*ops.split(self.code(self.discriminator.features(x)), 2, axis=1))

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        x = Tensor(raw(batch.data))
        with no_grad():
            images, samples = self.generator(self.encode(x).sample()), self.generator(batch.noise)
        kinds = ((x, DATA), (images, RECONSTRUCTION), (samples, SAMPLE))
        loss = sum(entropy(self.discriminator(part), kind) for part, kind in kinds)
        return loss + self.orthogonal * orthogonality(self.discriminator), {}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What E and G minimise, and as metrics the divergence and the absolute error of the pixels, of an image."""
        x = Tensor(raw(batch.data))
        q = self.encode(x)
        images, samples = self.generator(q.sample()), self.generator(batch.noise)
        kl = ops.sum(q.kl_to_standard()) / len(x)
        pixels = ops.sum(ops.abs(x - images)) / len(x)
        features = ops.sum(ops.square(self.discriminator.features(x) - self.discriminator.features(images))) / len(x)
        fooled = entropy(self.discriminator(images), DATA) + entropy(self.discriminator(samples), DATA)
        loss = kl + self.pixels * pixels + self.features * features + fooled
        return loss, {"kl": kl.data, "pixels": pixels.data}


def entropy(logits: Tensor, kind: int) -> Tensor:
    """The cross-entropy of logits (N, 3), where all examples are of one kind."""
    return ops.cross_entropy(logits, array_module(logits.data).full(len(logits), kind))


def orthogonality(module: nn.Module) -> Tensor:
    """The sum over weights W, as matrices, of |W W^T - I|_1, or |W^T W - I|_1 where that is smaller."""
    total = Tensor(module.device.asarray(np.zeros((), next(module.parameters()).dtype)))
    for p in module.parameters():
        if p.ndim > 1:
            w = ops.reshape(p, (len(p), -1))
            w = w if w.shape[0] <= w.shape[1] else w.T
            eye = array_module(p.data).eye(len(w), dtype=p.dtype)
            total = total + ops.sum(ops.abs(ops.matmul(w, w.T) - eye))
    return total
