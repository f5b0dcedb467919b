r"""CatGAN: categorical GAN (Springenberg 2015, arXiv 1511.06390).

Idea: D sorts images into K classes without labels. It is sure of the class of data and unsure of that of samples.

With the classes' probabilities p(y | x) = softmax of D's K outputs, and the entropy H in nats:

    D maximises   H(E_data p(y | x)) - E_data H(p(y | x)) + E_z H(p(y | G(z)))
    G minimises   E_z H(p(y | G(z))) - H(E_z p(y | G(z)))

The entropy of the mean, over a batch, is large when all classes are used evenly. Without it, one class would do for all
data. A batch estimates it from below, clearly so for batches that are not much larger than K. With a few labelled
examples, -log p(label | x) is added to D's loss: then the classes are the labels', and D is a classifier.

What differs from a plain GAN: D's outputs, and both losses. There is no class for samples: D refuses to name them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array
from minigen.models.game import Batch
from minigen.models.gan import GAN
from minigen.models.zoo.heads import Labelled


class CatGAN(GAN):
    """A GAN whose discriminator gives K logits, x (N, ...) -> (N, K); `few` has labelled examples, if there are any."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, few: Labelled | None = None) -> None:
        super().__init__(generator, discriminator)
        self.objective = replace(self.objective, perfect=None)  # a loss below 0 is no sign of failure
        self.few = few

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What D minimises, and the entropies of which it consists."""
        with no_grad():
            samples = self.generator(batch.noise)
        on_data, on_samples = self._judge(Tensor(raw(batch.data)), samples, ())
        used, unsure, refused = marginal_entropy(on_data), entropy(on_data), entropy(on_samples)
        loss = unsure - used - refused
        if self.few is not None:
            x, y = self.few.draw(len(batch.data))
            loss = loss + ops.cross_entropy(self.discriminator(x), y)
        return loss, {"H(mean p)": used.data, "H(data)": unsure.data, "H(samples)": refused.data}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises: D is to be sure of each sample, and to see all classes."""
        on_samples = self.discriminator(self.generator(batch.noise))
        return entropy(on_samples) - marginal_entropy(on_samples), {}


def entropy(logits: Any) -> Any:
    """The mean over a batch of H(p(y | x)), in nats, from logits (N, K)."""
    log_p = ops.log_softmax(logits, axis=1)
    return -ops.mean(ops.sum(ops.exp(log_p) * log_p, axis=1))


def marginal_entropy(logits: Any) -> Any:
    """H of the mean of p(y | x) over a batch, in nats, from logits (N, K); at most log K."""
    log_mean = ops.logsumexp(ops.log_softmax(logits, axis=1), axis=0) - math.log(len(logits))
    return -ops.sum(ops.exp(log_mean) * log_mean)
