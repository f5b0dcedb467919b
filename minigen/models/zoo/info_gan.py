r"""InfoGAN: information maximising GAN (Chen et al. 2016, arXiv 1606.03657).

Idea: a part of z is a code that must stay readable in the sample. So it comes to stand for what differs most in data.

z holds noise and a code c: a class of K, one-hot, and numbers in [-1, 1]. Q reads the code of a sample. The mutual
information of code and sample, I = H(c) - H(c | G(z)), is bounded by what Q reads:

    I(c; G(z))  >=  E log Q(c | G(z)) + H(c)  =: L

    D minimises   -E log D(x) - E log(1 - D(G(z))) - lambda L
    G minimises   -E log D(G(z)) - lambda L

Q is a second head on D's trunk: it gives logits of the class and the mean of a normal with deviation 1 for each number.
A high L says that the code can be read. It does not say that the code is what one would like it to be.

What differs from a plain GAN: one term in both losses, and z. There are no labels.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, one_hot, raw
from minigen.backend import Array
from minigen.models.game import Batch
from minigen.models.gan import GAN
from minigen.models.tricks import Tricks
from minigen.models.zoo.heads import Heads
from minigen.random import random_generator, uniform


class InfoGAN(GAN):
    """A GAN whose z (N, latent_dim) ends with the code: a class of `categories`, one-hot, and `numbers` numbers.

    The discriminator is `Heads(trunk, 1, Q)` with a Q of categories + numbers outputs; `weight` is lambda.
    `ValueError` if z is not longer than the code.
    """

    discriminator: Heads

    def __init__(
        self, generator: nn.Module, discriminator: Heads, categories: int = 10, numbers: int = 2, weight: float = 1.0
    ) -> None:
        super().__init__(generator, discriminator, tricks=Tricks(noise="uniform"))
        self.objective = replace(self.objective, perfect=None)  # a loss below 0 is no sign of failure
        self.categories, self.numbers, self.weight = categories, numbers, weight
        if self.latent_dim <= categories + numbers:
            raise ValueError(f"InfoGAN: expects latent_dim > {categories + numbers}, the code's, got {self.latent_dim}")

    def noise(self, n: int) -> Tensor:
        """`n` draws of z, (n, latent_dim): noise, uniform in [-1, 1], a class, one-hot, and numbers, also uniform."""
        dtype, device = next(self.parameters()).dtype, self.device
        rest = self.latent_dim - self.categories - self.numbers
        c = one_hot(device.asarray(random_generator().integers(self.categories, size=n)), self.categories)
        u = uniform((n, self.numbers), -1.0, 1.0, dtype=dtype, device=device)
        return ops.concat([self.tricks.draw(n, rest, dtype, device), c.astype(dtype), u], axis=1)

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What D and Q minimise; "nats" is the bound for the class, at most log(categories)."""
        with no_grad():
            samples = self.generator(batch.noise)
        (s, _), (t, q) = self.discriminator(Tensor(raw(batch.data))), self.discriminator(samples)
        of_class, of_numbers = self.read(q, batch.noise)
        loss = self.objective.discriminator(s, t) - self.weight * (of_class + of_numbers)
        return loss, self.objective.metrics(s.data, t.data) | {"nats": of_class.data}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises."""
        t, q = self.discriminator(self.generator(batch.noise))
        of_class, of_numbers = self.read(q, batch.noise)
        return self.objective.generator(t) - self.weight * (of_class + of_numbers), {}

    def read(self, q: Tensor, z: Any) -> tuple[Tensor, Tensor]:
        """L of the class and of the numbers, in nats, from Q's outputs (N, categories + numbers) and z."""
        k = self.categories
        code = z[:, -q.shape[1] :]
        log_q = ops.sum(code[:, :k] * ops.log_softmax(q[:, :k], axis=1), axis=1)
        squares = ops.sum(ops.square(code[:, k:] - q[:, k:]), axis=1)
        of_numbers = self.numbers * (math.log(2) - 0.5 * math.log(2 * math.pi)) - 0.5 * ops.mean(squares)
        return math.log(k) + ops.mean(log_q), of_numbers
