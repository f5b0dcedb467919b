r"""GoGAN: a gang of GANs, ranked by a margin (Juefei-Xu, Boddeti and Savvides 2017, arXiv 1704.04865).

Idea: train GANs in stages. The critic of a stage ranks the data above its own generator's samples, by a margin, and
above those of the stage before by twice as much, so that each generator has to be better than the last.

    D minimises   E max(0, m + D(G(z)) - D(x))  +  E max(0, 2 m + D(G'(z)) - D(x))
    G minimises   -E D(G(z))

G' is the generator of the stage before; the first stage has the first term alone. A critic that has reached the margin
m everywhere rests, where that of WGAN goes on. Its weights are clipped, as in WGAN.

What differs from WGAN: the hinges, and the earlier generator, which does not change.
"""

from __future__ import annotations

from dataclasses import replace

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array
from minigen.models.game import Batch
from minigen.models.gan import GAN


class GoGAN(GAN):
    """A stage. `earlier` is the generator of the stage before, None in the first; `clip` bounds the critic's weights.

    `ValueError` unless margin > 0 and clip > 0.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        earlier: nn.Module | None = None,
        margin: float = 1.0,
        clip: float = 0.01,
        k: int = 5,
    ) -> None:
        if not (margin > 0 and clip > 0):
            raise ValueError(f"GoGAN: expects margin > 0 and clip > 0, got {margin} and {clip}")
        super().__init__(generator, discriminator, "wasserstein", k)
        self.earlier, self.margin, self.objective_name = earlier, margin, "margin"
        hinge = lambda s, t: ops.mean(ops.relu(margin + t - s))
        self.objective = replace(self.objective, discriminator=hinge, clip=clip)

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What the critic minimises, and the distance of data and samples that it sees."""
        loss, metrics = super().discriminator_loss(batch)
        if self.earlier is None:
            return loss, metrics
        with no_grad():
            worse = self.earlier(batch.noise)
        s, u = self.discriminator(Tensor(raw(batch.data))), self.discriminator(worse)
        return loss + ops.mean(ops.relu(2 * self.margin + u - s)), metrics
