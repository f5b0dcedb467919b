r"""C-RNN-GAN: a GAN of sequences with recurrent networks (Mogren 2016, arXiv 1611.09904).

Idea: G writes a sequence step by step, each from new noise and from what it wrote last; D reads it in both directions.

    h_t, c_t = LSTM([z_t, x_{t-1}], h_{t-1}, c_{t-1}),   x_t = tanh(W h_t + b),   x_0 = 0
    D's logit = mean over t of v^T R_t + a,   R_t = [forward LSTM at t, backward LSTM at t]

With feature matching, G does not answer to D's verdict, but makes the features of its samples resemble the data's:

    G minimises   mean over t and features of (E_data R_t(x) - E_z R_t(G(z)))^2

in the paper for a pair of examples; here the means of two batches are compared (Salimans et al. 2016), since two
random examples also differ where the distributions agree. D averages logits, in the paper probabilities. The paper's
data are notes of music; here they are images, cut into strips.

What differs from a plain GAN: the two networks, and feature matching.
"""

from __future__ import annotations

import math
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw, zeros
from minigen.backend import Array, Shape
from minigen.models.game import Batch
from minigen.models.gan import GAN


class RecurrentGenerator(nn.Module):
    """z (N, latent_dim) -> samples (N, *shape) in [-1, 1], in `steps` equal parts, each with `noise` numbers of z.

    The parts of a grey image are strips of rows, from the top down. `ValueError` if the shape has no such parts.
    """

    def __init__(self, shape: Shape, steps: int, noise: int = 16, hidden: int = 128) -> None:
        self.shape, self.steps, self.latent_dim = tuple(shape), steps, steps * noise
        self.size = part_size(shape, steps)
        self.cell, self.part = nn.LSTMCell(noise + self.size, hidden), nn.Linear(hidden, self.size)

    def forward(self, z: Any) -> Any:
        z = ops.reshape(z, (len(z), self.steps, -1))
        x, state, parts = zeros(len(z), self.size, dtype=z.dtype, device=z.device), None, []
        for t in range(self.steps):
            state = self.cell(ops.concat([z[:, t], x], axis=1), state)
            x = ops.tanh(self.part(state[0]))
            parts.append(x)
        return ops.reshape(ops.stack(parts, axis=1), (len(z), *self.shape))


class RecurrentDiscriminator(nn.Module):
    """x (N, *shape) -> logits (N,), by an LSTM over the parts in each direction."""

    def __init__(self, shape: Shape, steps: int, hidden: int = 64) -> None:
        self.steps, size = steps, part_size(shape, steps)
        self.forwards, self.backwards = (nn.LSTM(size, hidden, batch_first=True) for _ in range(2))
        self.verdict = nn.Linear(2 * hidden, 1)

    def features(self, x: Any) -> Any:
        """R (N, steps, 2 hidden)"""
        parts = ops.reshape(x, (len(x), self.steps, -1))
        there, _ = self.forwards(parts)
        back, _ = self.backwards(ops.flip(parts, 1))
        return ops.concat([there, ops.flip(back, 1)], axis=2)

    def forward(self, x: Any) -> Any:
        return ops.mean(self.verdict(self.features(x)), axis=(1, 2))


class CRNNGAN(GAN):
    """A GAN of sequences. With `matching`, G minimises the difference of features, and otherwise -E log D(G(z))."""

    discriminator: RecurrentDiscriminator

    def __init__(
        self, generator: nn.Module, discriminator: RecurrentDiscriminator, matching: bool = True, k: int = 1
    ) -> None:
        super().__init__(generator, discriminator, k=k)
        self.matching = matching

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises."""
        if not self.matching:
            return super().generator_loss(batch)
        with no_grad():
            of_data = ops.mean(self.discriminator.features(Tensor(raw(batch.data))), axis=0)
        of_samples = ops.mean(self.discriminator.features(self.generator(batch.noise)), axis=0)
        return ops.mean(ops.square(of_data - of_samples)), {}


def part_size(shape: Shape, steps: int) -> int:
    """The number of values in one of so many equal parts."""
    size, rest = divmod(math.prod(shape), steps)
    if rest:
        raise ValueError(f"C-RNN-GAN: expects a shape with {steps} equal parts, got {tuple(shape)}")
    return size
