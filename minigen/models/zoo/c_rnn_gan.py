r"""C-RNN-GAN: a GAN of sequences with recurrent networks (Mogren 2016, arXiv 1611.09904).

Idea: G writes a sequence step by step, each from new noise and from what it wrote last; D reads it in both directions.

    h_t, c_t = LSTM([z_t, x_{t-1}], h_{t-1}, c_{t-1}),   x_t = tanh(W h_t + b),   x_0 = 0
    D's logit = mean over t of v^T R_t + a,   R_t = [forward LSTM at t, backward LSTM at t]

With feature matching, G does not answer to D's verdict, but makes the features of its samples resemble the data's:

    G minimises   mean over t and features of (E_data R_t(x) - E_z R_t(G(z)))^2

in the paper for a pair of examples; here the means of two batches are compared (Salimans et al. 2016), since two
random examples also differ where the distributions agree. D averages logits, in the paper probabilities. The paper's
data are notes of music; here a step is a row of an image.

What differs from a plain GAN: the two networks, and feature matching.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw, zeros
from minigen.backend import Array, Shape
from minigen.models.game import Batch
from minigen.models.gan import GAN


class RecurrentGenerator(nn.Module):
    """z (N, latent_dim) -> images (N, C, H, W) in [-1, 1], row by row, each with `noise` numbers of z."""

    def __init__(self, shape: Shape, noise: int = 8, hidden: int = 128) -> None:
        channels, self.length, width = shape
        self.shape, self.latent_dim, size = tuple(shape), noise * self.length, channels * width
        self.cell, self.row = nn.LSTMCell(noise + size, hidden), nn.Linear(hidden, size)

    def forward(self, z: Any) -> Any:
        channels, _, width = self.shape
        z = ops.reshape(z, (len(z), self.length, -1))
        x, state, rows = zeros(len(z), channels * width, dtype=z.dtype, device=z.device), None, []
        for t in range(self.length):
            state = self.cell(ops.concat([z[:, t], x], axis=1), state)
            x = ops.tanh(self.row(state[0]))
            rows.append(ops.reshape(x, (-1, channels, width)))
        return ops.stack(rows, axis=2)


class RecurrentDiscriminator(nn.Module):
    """Images (N, C, H, W) -> logits (N,), by an LSTM over the rows in each direction."""

    def __init__(self, shape: Shape, hidden: int = 64) -> None:
        channels, _, width = shape
        self.forwards, self.backwards = (nn.LSTM(channels * width, hidden, batch_first=True) for _ in range(2))
        self.verdict = nn.Linear(2 * hidden, 1)

    def features(self, x: Any) -> Any:
        """R (N, H, 2 hidden)"""
        rows = ops.reshape(ops.swapaxes(x, 1, 2), (len(x), x.shape[2], -1))
        down, _ = self.forwards(rows)
        up, _ = self.backwards(ops.flip(rows, 1))
        return ops.concat([down, ops.flip(up, 1)], axis=2)

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
