r"""Improved GAN: learning from few labels, and minibatch discrimination (Salimans et al. 2016, arXiv 1606.03498).

Idea 1 (sections 3.1 and 5): one network is classifier and discriminator. A classifier of K classes has logits l_k(x). A
further class, the samples, with the fixed logit 0, makes it a discriminator with L = log sum_k e^l_k as its logit:

    p(k | x) = e^l_k / (1 + e^L),   D(x) = p(one of the K | x) = sigmoid(L(x))
    D minimises   -E_labelled log softmax(l(x))_y - 1/2 E_data log D(x) - 1/2 E_z log(1 - D(G(z)))

Images without labels teach it where data lie, and a class boundary does not go through a crowd. For that, G need not
draw well. It matches the mean of D's features f, its last hidden layer:

    G minimises   mean over j of (E_data f_j(x) - E_z f_j(G(z)))^2

Option: G wants each sample to be of the class that D finds likeliest for it, k* = argmax l_k (activation maximization;
AM-GAN, Zhou et al. 2017, arXiv 1703.02000):

    G minimises   -E_z log p(k* | G(z))  =  E_z [softplus(L) - max_k l_k]

Idea 2 (section 3.2): a discriminator that sees one sample at a time cannot know that all samples are alike. Let it see
the batch. A tensor T maps the features f(x_i) of each example to a matrix M_i with a row for each kernel b. D gets,
beside the features, how close the example is to the others of its batch:

    o_b(x_i) = sum over j != i of exp(-|M_ib - M_jb|_1)

What differs from a plain GAN: D's outputs and the two losses; one layer before D's last. The paper's other techniques:
one-sided label smoothing is in `models.Tricks`, averaged weights are `optim.WeightEMA`; virtual batch normalisation,
whose statistics are of a fixed batch and the example, is not here.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array, Shape
from minigen.models.game import Batch
from minigen.models.gan import GAN
from minigen.models.mlp_gan import MLPDiscriminator
from minigen.models.zoo.heads import Heads, Labelled

TARGETS = ("features", "class")


class ImprovedGAN(GAN):
    """A GAN whose discriminator, `Heads(trunk, K)`, is also a classifier; it learns from `few` labelled examples.

    `target` is what G aims at: "features", to match their mean, or "class", the likeliest (AM-GAN).
    """

    discriminator: Heads

    def __init__(self, generator: nn.Module, discriminator: Heads, few: Labelled, target: str = "features") -> None:
        if target not in TARGETS:
            raise ValueError(f"ImprovedGAN: expects target to be one of {TARGETS}, got {target!r}")
        super().__init__(generator, discriminator)
        self.few, self.target = few, target

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What D minimises, and the means of D."""
        loss, metrics = super().discriminator_loss(batch)
        x, y = self.few.draw(len(batch.data))
        return ops.cross_entropy(self.discriminator(x), y) + 0.5 * loss, metrics

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises."""
        samples = self.generator(batch.noise)
        if self.target == "class":
            logits = self.discriminator(samples)
            return ops.mean(ops.softplus(ops.logsumexp(logits, axis=1)) - ops.max(logits, axis=1)), {}
        with no_grad():
            of_data = ops.mean(self.discriminator.features(Tensor(raw(batch.data))), axis=0)
        of_samples = ops.mean(self.discriminator.features(samples), axis=0)
        return ops.mean(ops.square(of_data - of_samples)), {}

    def _judge(self, x: Tensor, samples: Tensor, condition: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
        """L (N,) of the data and of the samples."""
        on_data, on_samples = super()._judge(x, samples, condition)
        return ops.logsumexp(on_data, axis=1), ops.logsumexp(on_samples, axis=1)


class MinibatchDiscrimination(nn.Module):
    """f (N, features) -> (N, features + kernels): the features, and the closeness o to the rest of the batch.

    It takes N^2 x kernels x size numbers of memory.
    """

    def __init__(self, features: int, kernels: int = 100, size: int = 5) -> None:
        self.kernels, self.size = kernels, size
        self.linear = nn.Linear(features, kernels * size, bias=False)  # T

    def forward(self, f: Any) -> Any:
        n = len(f)
        m = ops.reshape(self.linear(f), (n, self.kernels, self.size))
        differences = ops.expand_dims(m, 0) - ops.expand_dims(m, 1)  # (N, N, kernels, size)
        close = ops.exp(-ops.sum(ops.abs(differences), axis=3))  # (N, N, kernels)
        return ops.concat([f, ops.sum(close, axis=1) - 1.0], axis=1)  # 1: each example is close to itself


class MinibatchDiscriminator(MLPDiscriminator):
    """x (N, *shape) -> logits (N,): an `MLPDiscriminator` with minibatch discrimination before its last layer."""

    def __init__(
        self, shape: Shape, hidden: int = 240, layers: int = 2, pieces: int = 5, kernels: int = 100, size: int = 5
    ) -> None:
        super().__init__(shape, hidden, layers, pieces, dropout=0.0)
        *trunk, _ = self.net
        self.net = nn.Sequential(*trunk, MinibatchDiscrimination(hidden, kernels, size), nn.Linear(hidden + kernels, 1))
