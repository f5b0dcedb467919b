r"""BEGAN: boundary equilibrium GAN (Berthelot, Schumm and Metz 2017, arXiv 1703.10717).

Idea: an autoencoder D, as in EBGAN, but a controller in place of the margin holds the two players in balance.

    L(v) = mean |v - D(v)|^p, the error of the reconstruction, with p 1 or 2
    D minimises   L(x) - k L(G(z))
    G minimises   L(G(z))
    after a step   k <- clip(k + gain (gamma L(x) - L(G(z))), 0, 1),   k = 0 at first

The controller is at rest where E L(G(z)) = gamma E L(x). A small gamma makes D look at data most of the time: samples
are good and alike; a larger one gives more variety. How far training has come can be read from

    M = L(x) + |gamma L(x) - L(G(z))|

What differs from a plain GAN: D is an `AutoencoderDiscriminator`, the losses, and k. The controller sees the samples of
D's step, as D's loss has them at hand; the paper takes those of G's step in the same round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.backend import Array, current_dtype, device
from minigen.models.game import Player
from minigen.models.gan import GAN
from minigen.models.objectives import Objective
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator


class BEGAN(GAN):
    """A GAN with an autoencoder and the controller. `gain` is the controller's rate: 0.001 in the paper.

    `ValueError` unless 0 < gamma <= 1 and gain > 0.
    """

    def __init__(
        self, generator: nn.Module, discriminator: AutoencoderDiscriminator, gamma: float = 0.5, gain: float = 0.001
    ) -> None:
        if not (0 < gamma <= 1 and gain > 0):
            raise ValueError(f"BEGAN: expects 0 < gamma <= 1 and gain > 0, got {gamma} and {gain}")
        super().__init__(generator, discriminator)
        self.gamma, self.gain, self.objective_name = gamma, gain, "equilibrium"
        self.balance = Tensor(device().module.zeros((), current_dtype()))
        """k"""
        self.objective = Objective(
            discriminator=lambda s, t: ops.mean(s) - self.balance * ops.mean(t),
            generator=ops.mean,
            metrics=self._metrics,
            perfect=None,
            labelled=False,
        )

    def players(self) -> dict[str, Player]:
        """Those of a GAN; after each step of the discriminator, the controller moves k."""
        players = super().players()
        return players | {"discriminator": replace(players["discriminator"], after=self.control)}

    def control(self, metrics: Mapping[str, Any]) -> None:
        """Move k, by the metrics of D's step."""
        k = self.balance.data + self.gain * (self.gamma * metrics["L(x)"] - metrics["L(G(z))"])
        self.balance.data = self.device.asarray(ops.clip(k, 0.0, 1.0), dtype=self.balance.dtype)

    def _metrics(self, s: Array, t: Array) -> dict[str, Array]:
        """The mean errors on data and samples, the measure M and k."""
        x, g = s.mean(), t.mean()
        return {"L(x)": x, "L(G(z))": g, "M": x + abs(self.gamma * x - g), "k": self.balance.data}
