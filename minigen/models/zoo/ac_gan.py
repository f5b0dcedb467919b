r"""AC-GAN: a GAN with an auxiliary classifier (Odena et al. 2016, arXiv 1610.09585).

Idea: G is told a class, D is not. D has to name the class, of data and of samples alike, and so G has to show it.

D has two heads, the logit s of being data and the class probabilities p(c | x). With y the labels of the data, which
are also the classes that the samples are asked for:

    L_c  =  -E log p(y | x) - E log p(y | G(z, y))
    D minimises   -E log D(x) - E log(1 - D(G(z, y))) + L_c
    G minimises   -E log D(G(z, y)) - E log p(y | G(z, y))

Both want L_c small: it is no game. G is therefore rewarded for samples that are easily classified, at the cost of
variety within a class.

What differs from a conditional GAN, whose D gets (x, y) as input: the class is an output of D, with a loss of its own.

Option: a `decoder` of D's features f, and in D's loss the mean of 1/2 (x - decoder(f(x)))^2. This is taken from ArtGAN
(Tan et al. 2017, arXiv 1702.03410), whose main idea, that labels reach G through D, is AC-GAN's too; its networks are
others.
"""

from __future__ import annotations

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array
from minigen.models.game import Batch, Player
from minigen.models.gan import GAN
from minigen.models.zoo.heads import Heads


class ACGAN(GAN):
    """A GAN with classes: G takes (z, labels), and D has two heads, `Heads(trunk, 1, classes)`."""

    discriminator: Heads

    def __init__(self, generator: nn.Module, discriminator: Heads, decoder: nn.Module | None = None) -> None:
        super().__init__(generator, discriminator)
        self.decoder = decoder

    def players(self) -> dict[str, Player]:
        """The discriminator, which includes the decoder, and then the generator."""
        parts = [self.discriminator] if self.decoder is None else [self.discriminator, self.decoder]
        return {
            "discriminator": Player(nn.ModuleList(parts), self.discriminator_loss, perfect=self.objective.perfect),
            "generator": Player(self.generator, self.generator_loss),
        }

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What D minimises; "named": the share of the samples whose class D names."""
        (labels,) = self._condition(batch.labels)
        with no_grad():
            samples = self.generator(batch.noise, labels)
        x = Tensor(raw(batch.data))
        f = self.discriminator.features(x)
        (s, on_data), (t, on_samples) = self.discriminator.read(f), self.discriminator(samples)
        loss = self.objective.discriminator(s, t)
        loss = loss + ops.cross_entropy(on_data, labels) + ops.cross_entropy(on_samples, labels)
        if self.decoder is not None:
            loss = loss + 0.5 * ops.mse_loss(self.decoder(f), x)
        named = (on_samples.data.argmax(axis=1) == labels).mean()
        return loss, self.objective.metrics(s.data, t.data) | {"named": named}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises."""
        (labels,) = self._condition(batch.labels)
        t, on_samples = self.discriminator(self.generator(batch.noise, labels))
        return self.objective.generator(t) + ops.cross_entropy(on_samples, labels), {}
