r"""Bayesian GAN: a posterior over generators, sampled (Saatci and Wilson 2017, arXiv 1705.09558).

Idea: many generators explain the data. Keep several, as samples of a posterior over G's weights, and draw from all.

With the prior N(0, sigma^2 I) for the weights theta and N data points, stochastic gradient Hamiltonian Monte Carlo
(SGHMC) moves each of J generators along the gradient of its loss, with momentum, and with noise of variance 2 alpha:

    G_j minimises   -E_z log D(G_j(z))  +  1 / N (|theta_j|^2 / (2 sigma^2) + theta_j^T n),   n ~ N(0, 2 alpha I)
    D minimises   log sum_j exp(loss of D against G_j)

The gradient of theta^T n is the noise n. As in the authors' code, prior and noise are divided by N, Adam gives the
momentum, and D's losses enter by their log-sum-exp, so that the generator that D tells worst counts most. (Averaging
the likelihoods over j would be -log sum_j exp(-loss).) D is not sampled here.

What differs from a plain GAN: J generators, and the two terms. With J = 1 and without them it is one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array
from minigen.models.game import Batch, Player
from minigen.models.objectives import OBJECTIVES
from minigen.nn.module import evaluating
from minigen.random import normal, random_generator


class SGHMCGAN(nn.Module):
    """J generators z (n, latent_dim) -> samples (n, ...) against one discriminator with logits (n,).

    `points` is N, the number of data points; `alpha` is the friction, `sigma` the prior's standard deviation.
    `ValueError` if there is no generator or a number is out of its range.
    """

    def __init__(
        self,
        generators: Sequence[nn.Module],
        discriminator: nn.Module,
        points: int,
        alpha: float = 0.01,
        sigma: float = 1.0,
    ) -> None:
        if not generators or points < 1 or alpha < 0 or sigma <= 0:
            raise ValueError(
                "SGHMCGAN: expects a generator or more, points >= 1, alpha >= 0 and sigma > 0, got "
                f"{len(generators)} generators, points={points}, alpha={alpha}, sigma={sigma}"
            )
        self.generator, self.discriminator = nn.ModuleList(generators), discriminator
        self.points, self.alpha, self.sigma = points, alpha, sigma

    def players(self) -> dict[str, Player]:
        """The discriminator, and all generators together. The loss of a perfect D is log J."""
        perfect = math.log(len(self.generator)) + 0.02
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss, perfect=perfect),
            "generator": Player(self.generator, self.generator_loss),
        }

    def noise(self, n: int) -> Tensor:
        """`n` draws of z for each generator, (J, n, latent_dim)."""
        first: Any = self.generator[0]
        return Tensor(normal((len(self.generator), n, first.latent_dim), device=self.device))

    def forward(self, z: Any) -> list[Tensor]:
        """The samples (n, ...) of each generator for z (J, n, latent_dim)."""
        return [generator(z[j]) for j, generator in enumerate(self.generator)]

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """The log-sum-exp of D's losses against each generator."""
        with no_grad():
            samples = self(batch.noise)
        s, loss = self.discriminator(Tensor(raw(batch.data))), OBJECTIVES["minimax"].discriminator
        losses = ops.stack([loss(s, self.discriminator(x)) for x in samples])
        return ops.logsumexp(losses, axis=0), {}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """The sum of the generators' losses, each with the prior and the noise."""
        loss = OBJECTIVES["non-saturating"].generator
        losses = [loss(self.discriminator(x)) for x in self(batch.noise)]
        return ops.sum(ops.stack(losses)) + self.prior_and_noise() / self.points, {}

    def prior_and_noise(self) -> Tensor:
        """The sum over all weights of theta^2 / (2 sigma^2) + theta n, a scalar."""
        draw = lambda p: normal(p.shape, std=math.sqrt(2 * self.alpha), dtype=p.dtype, device=p.device)
        terms = [p * (p / (2 * self.sigma**2) + draw(p)) for p in self.generator.parameters()]
        return ops.sum(ops.stack([ops.sum(term) for term in terms]))

    @no_grad()
    def sample(self, n: int) -> Tensor:
        """`n` samples (n, ...) of all generators in equal shares, in random order."""
        each = -(-n // len(self.generator))
        with evaluating(self):
            samples = ops.concat(self(self.noise(each)))
        return samples[self.device.asarray(random_generator().permutation(len(samples))[:n])]
