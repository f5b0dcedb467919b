r"""CVAE-GAN: a conditional VAE whose errors are those of features (Bao et al. 2017, arXiv 1703.10155).

Idea: an encoder gives each image a code, so that G cannot forget any; the images are compared in features of a
discriminator D and of a classifier C as well, so that they need not be blurred.

    E and G minimise   3 KL(q(z | x) || N(0, 1))  +  1/2 (|x - x'|^2 + |f_D(x) - f_D(x')|^2 + |f_C(x) - f_C(x')|^2)
                       +  1/2 10^-3 |E f_D(x) - E f_D(G(z, c))|^2
                       +  1/2 10^-3 sum over classes of |E f_C(x) - E f_C(G(z, c))|^2

with x' = G(z, c), z ~ q(z | x), in the first line, and z ~ N(0, 1) in the others. G never sees -log D: it matches
the mean features of data and samples, of each class in C. D minimises its usual loss, and C the cross-entropy on data.

What differs from a plain GAN: the encoder, the classifier as a third player, and G's loss. E and G make one step on one
loss, because the terms of the other have no derivative by their parameters. Unlike in the paper, E does not get c,
which it sees in x, and the means are those of the batch, not running averages. The features are those of the evaluation
mode: batch normalisation would take from each batch the mean that is to be matched.
"""

from __future__ import annotations

from typing import cast

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, one_hot, raw
from minigen.backend import Array
from minigen.models.game import Batch, Player
from minigen.models.gan import GAN
from minigen.models.zoo.encoder import GaussianEncoder
from minigen.models.zoo.heads import Heads
from minigen.nn.module import evaluating


class CVAEGAN(GAN):
    """A conditional generator, an encoder that draws its codes, and a discriminator and a classifier with `features`.

    discriminator  x (N, ...) -> logits (N,); it has no labels
    classifier     x (N, ...) -> logits (N, classes)
    encoder        x (N, ...) -> q(z | x)
    kl             weight of the divergence
    features       weight of the errors of features
    matching       weight of the matching of means; with 0, and features=0, it is a conditional VAE
    """

    discriminator: Heads

    def __init__(
        self,
        generator: nn.Module,
        discriminator: Heads,
        classifier: Heads,
        encoder: GaussianEncoder,
        *,
        kl: float = 3.0,
        features: float = 1.0,
        matching: float = 1e-3,
    ) -> None:
        super().__init__(generator, discriminator)
        self.classifier, self.encoder = classifier, encoder
        self.kl, self.features, self.matching = kl, features, matching

    def players(self) -> dict[str, Player]:
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss),
            "classifier": Player(self.classifier, self.classifier_loss),
            "generator": Player(nn.ModuleList([self.encoder, self.generator]), self.generator_loss),
        }

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What a plain D minimises, on data and samples of the same classes."""
        with no_grad():
            samples = self.generator(batch.noise, *self._condition(batch.labels))
        s, t = self.discriminator(Tensor(raw(batch.data))), self.discriminator(samples)
        return self.objective.discriminator(s, t), self.objective.metrics(s.data, t.data)

    def classifier_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        return ops.cross_entropy(self.classifier(Tensor(raw(batch.data))), batch.labels), {}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What E and G minimise, and as metrics the divergence and the squared error of the pixels, of an image."""
        x, condition = Tensor(raw(batch.data)), self._condition(batch.labels)
        q = self.encoder.distribution(x)
        images, samples = self.generator(q.sample(), *condition), self.generator(batch.noise, *condition)
        kl = ops.sum(q.kl_to_standard()) / len(x)
        pixels = ops.sum(ops.square(x - images)) / len(x)
        loss = self.kl * kl + 0.5 * pixels
        of_all, of_class = one_hot(0 * condition[0], 1), one_hot(condition[0], cast(int, self.classes))
        for f, groups in ((self.discriminator.features, of_all), (self.classifier.features, of_class)):
            with evaluating(self.discriminator), evaluating(self.classifier):
                fx, fi, fs = f(x), f(images), f(samples)
            loss = loss + 0.5 * self.features * ops.sum(ops.square(fx - fi)) / len(x)
            loss = loss + 0.5 * self.matching * mean_distance(fx, fs, groups)
        return loss, {"kl": kl.data, "pixels": pixels.data}


def mean_distance(a: Tensor, b: Tensor, groups: Tensor) -> Tensor:
    """The sum over groups of the squared distance of the means of features a and b, both (N, D).

    `groups` (N, K) has a 1 for the group of each row; a group without rows counts 0.
    """
    counts = ops.maximum(ops.sum(groups, axis=0), 1.0)  # (K,)
    return ops.sum(ops.square(ops.matmul((groups / counts).T, a - b)))
