r"""Boundary-seeking GAN, for discrete data (Hjelm et al. 2017, arXiv 1702.08431).

Idea: bits have no gradient for G, but D says how much likelier than now each sample should be, and that is enough.

For the best D the logit is s(x) = log p_data(x) / g(x), so that g(x) e^s(x) is the data's density. G gives the logits
of independent bits for each z. M of its samples, weighted with e^s, stand for the data, and G maximises their
likelihood:

    w_m = softmax over m of s(x_m),   x_1 ... x_M ~ g(x | z)
    G minimises   -E_z sum_m w_m log g(x_m | z),   with the w_m as constants

The weights seek the decision boundary: they are equal, and their gradient is 0 on average, where D cannot tell. The
same holds where all M samples of a z are one pattern, however bad: D has to learn faster than G gets that sure.

What differs from a plain GAN: the generator's loss, and that the generator draws bits.

Continuous data have a gradient, and there the boundary itself is sought (section 3):

    G minimises   E_z s(G(z))^2 / 2
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array
from minigen.models.game import Batch
from minigen.models.gan import GAN
from minigen.models.mlp_gan import MLPGenerator
from minigen.random import uniform


class BitGenerator(MLPGenerator):
    """z (N, latent_dim) -> bits (N, *shape), 0.0 or 1.0, drawn anew in each call and without derivatives."""

    def __init__(self, shape: tuple[int, ...], latent_dim: int = 100, hidden: int = 256, layers: int = 2) -> None:
        super().__init__(shape, latent_dim, hidden, layers, tanh=False)

    def logits(self, z: Any) -> Any:
        """Those of the bits being 1, (N, *shape)."""
        return self.net(z)

    def forward(self, z: Any, labels: Any = None) -> Tensor:
        with no_grad():
            return draw(self.logits(z))


class BoundarySeekingGAN(GAN):
    """A GAN of bits (N, ...). `draws` is M, the number of samples for each z in the generator's loss."""

    generator: BitGenerator

    def __init__(self, generator: BitGenerator, discriminator: nn.Module, draws: int = 20, k: int = 1) -> None:
        super().__init__(generator, discriminator, k=k)
        self.draws = draws

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises, and the effective number of its samples, 1 / sum w^2, from 1 to M."""
        logits = self.generator.logits(batch.noise)
        x = draw(ops.broadcast_to(logits.detach(), (self.draws, *logits.shape)))  # (M, N, ...)
        with no_grad():
            s = self.discriminator(ops.reshape(x, (-1, *logits.shape[1:])))
        w = ops.softmax(raw(s).reshape(x.shape[:2]), axis=0)  # (M, N)
        loss = -ops.mean(ops.sum(w * log_prob(x, logits), axis=0))
        return loss, {"effective": (1 / (w * w).sum(axis=0)).mean()}


class ContinuousBoundarySeekingGAN(GAN):
    """A GAN whose generator seeks the decision boundary: samples that D takes for data are pushed back to it."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, k: int = 1) -> None:
        super().__init__(generator, discriminator, k=k)
        self.objective = replace(self.objective, generator=lambda t: 0.5 * ops.mean(ops.square(t)))


def draw(logits: Any) -> Tensor:
    """Independent bits of the shape of the logits."""
    p = ops.sigmoid(raw(logits))
    return Tensor((uniform(p.shape, dtype=p.dtype, device=Tensor(p).device) < p).astype(p.dtype))


def log_prob(x: Any, logits: Any) -> Any:
    """log g(x | z) in nats: bits (M, N, ...) and logits (N, ...) -> (M, N)."""
    bits = x * logits - ops.softplus(logits)
    return ops.sum(ops.reshape(bits, (*x.shape[:2], -1)), axis=2)
