r"""Bayesian GAN: inference without a likelihood (Tran, Ranganath and Blei 2017, arXiv 1702.08896).

Idea: of a model p(x, z) = p(z) p(x | z) that can only be simulated, a GAN learns the posterior p(z | x).

A classifier of pairs, simulated ones (x, z) ~ p against data with inferred z, (x, z) ~ q(x) q(z | x), has at its best
the logit

    r(x, z) = log p(x, z) - log q(x) q(z | x)

E_q r is the evidence lower bound, up to the entropy of the data, which is constant, and q maximises it:

    r minimises   E_p softplus(-r(x, z))  +  E_q softplus(r(x, z))
    q minimises   -E_q r(x, z) = KL(q(x) q(z | x) || p(x, z)),   z = q(x, noise)

q is a network of x and noise: neither its density nor that of p is ever needed, so both may have any form.

What differs from a plain GAN: D sees pairs, and the generator that learns is that of z; the one of x is given. The
paper's models also have global variables, with known densities; they are not here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array
from minigen.models.game import Batch, Player
from minigen.models.objectives import OBJECTIVES
from minigen.random import normal


class BayesianGAN(nn.Module):
    """Learns the posterior of a simulator.

    simulate    n -> (x (n, D), z (n, L)), draws from the model, as raw arrays
    posterior   (N, D + latent_dim), x beside noise -> z (N, L)
    ratio       (N, D + L), x beside z -> r (N,)
    latent_dim  length of the noise
    k           steps of the ratio in a round
    """

    def __init__(
        self,
        simulate: Callable[[int], tuple[Array, Array]],
        posterior: nn.Module,
        ratio: nn.Module,
        latent_dim: int,
        k: int = 1,
    ) -> None:
        self.simulate, self.posterior, self.ratio = simulate, posterior, ratio
        self.latent_dim, self.k = latent_dim, k

    def players(self) -> dict[str, Player]:
        """The ratio, with k steps in a round, and then the posterior, with one."""
        return {
            "ratio": Player(self.ratio, self.ratio_loss, self.k),
            "posterior": Player(self.posterior, self.posterior_loss),
        }

    def noise(self, n: int) -> Tensor:
        """`n` draws of the posterior's noise, (n, latent_dim)."""
        return Tensor(normal((n, self.latent_dim), device=self.device))

    def forward(self, x: Any, noise: Any) -> Tensor:
        """z (N, L) for each x (N, D), with derivatives."""
        return self.posterior(ops.concat([Tensor(raw(x)), noise], axis=1))

    @no_grad()
    def infer(self, x: Any) -> Tensor:
        """A draw of z (N, L) from the posterior of each x (N, D)."""
        return self(x, self.noise(len(x)))

    def log_ratio(self, x: Any, z: Any) -> Tensor:
        """r (N,)"""
        return self.ratio(ops.concat([Tensor(raw(x)), z], axis=1))

    def ratio_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """The cross-entropy of simulated pairs against pairs of data and inferred z."""
        with no_grad():
            inferred = self(batch.data, batch.noise)
        x, z = self.simulate(len(batch.data))
        s, t = self.log_ratio(x, Tensor(z)), self.log_ratio(batch.data, inferred)
        return OBJECTIVES["minimax"].discriminator(s, t), {"r(model)": s.data.mean()}

    def posterior_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """-E_q r, which estimates a KL divergence."""
        loss = -ops.mean(self.log_ratio(batch.data, self(batch.data, batch.noise)))
        return loss, {}
