r"""EBGAN: energy-based GAN (Zhao, Mathieu and LeCun 2017, arXiv 1609.03126).

Idea: D need not classify. Its output is an energy E, low on data; here E is the error of an autoencoder, whose
gradient tells G more than that of a single logit.

    D minimises   E_data E(x)  +  E_z max(0, m - E(G(z)))
    G minimises   E_z E(G(z))  +  pull PT

D pushes the energy of samples up to the margin m and no further. A margin below the energy that samples have anyway
switches the hinge off: then D only learns to reconstruct data. m is in the units of E, a mean over pixels.

PT, the pulling-away term, keeps the samples of a batch apart: it is the mean of the squared cosines between their
codes s_i, over all pairs (section 2.4),

    PT = 1 / (N (N - 1)) sum over i and j != i of (s_i^T s_j / |s_i| |s_j|)^2

What differs from a plain GAN: D is an `AutoencoderDiscriminator`, the two losses, and PT.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.backend import Array
from minigen.models.game import Batch
from minigen.models.gan import GAN
from minigen.models.objectives import Objective
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator


class EBGAN(GAN):
    """A GAN whose discriminator is an autoencoder. `pull` is the weight of the pulling-away term; 0 leaves it out.

    `ValueError` unless margin > 0 and pull >= 0.
    """

    discriminator: AutoencoderDiscriminator

    def __init__(
        self, generator: nn.Module, discriminator: AutoencoderDiscriminator, margin: float = 1.0, pull: float = 0.1
    ) -> None:
        if not (margin > 0 and pull >= 0):
            raise ValueError(f"EBGAN: expects margin > 0 and pull >= 0, got {margin} and {pull}")
        super().__init__(generator, discriminator)
        self.margin, self.pull, self.objective_name = margin, pull, "energy"
        self.objective = Objective(
            discriminator=lambda s, t: ops.mean(s) + ops.mean(ops.relu(margin - t)),
            generator=ops.mean,
            metrics=self._metrics,
            perfect=None,
            labelled=False,
        )

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises, and the pulling-away term of its samples."""
        samples = self.generator(batch.noise)
        code = self.discriminator.encode(samples)
        pt = pulling_away(code)
        loss = self.objective.generator(self.discriminator.energy(samples, code))
        return loss + self.pull * pt, {"PT": pt.data}

    def _metrics(self, s: Array, t: Array) -> dict[str, Array]:
        """The mean energies, and the share of the samples below the margin, from which D learns."""
        return {"E(x)": s.mean(), "E(G(z))": t.mean(), "below": (t < self.margin).mean()}


def pulling_away(code: Any) -> Any:
    """The mean squared cosine between two of the codes (N, size), N >= 2: a scalar from 0 to 1."""
    n = len(code)
    s = code / ops.sqrt(ops.sum(ops.square(code), axis=1, keepdims=True) + 1e-12)
    squares = ops.square(ops.matmul(s, s.T))  # (N, N), with 1 for each with itself
    return (ops.sum(squares) - n) / (n * (n - 1))
