r"""DTN: domain transfer network (Taigman et al. 2017, arXiv 1611.02200).

Idea: a translation keeps what a given function f sees, such as a classifier that was trained on the source domain.

    G(x) = g(f(x)),   f is fixed, g learns

    x from the source s, y from the target t; D tells three classes: 1 is G(x), 2 is G(y), 3 is y
    D minimises   -E log D_1(G(x)) - E log D_2(G(y)) - E log D_3(y)
    g minimises   -E log D_3(G(x)) - E log D_3(G(y)) + 15 mean (f(x) - f(G(x)))^2 + 15 mean (y - G(y))^2

The third term is f-constancy: the translation is the same for f. The fourth says that an image of the target domain is
its own translation. The weights are those of the paper's digits. A further term of the paper, the total variation of
the translations, which makes them smooth, is left out.

What differs from a plain GAN: features of images in place of noise, a discriminator of three classes, two more terms.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.models.game import Batch, Player
from minigen.nn.module import evaluating


class DTN(nn.Module):
    """Translates images (N, ...) of a source domain to a target domain: `dtn(x)`.

    classifier       fixed; its `features(x)` are f, (N, d)
    generator        g, (N, d) -> images (N, ...), such as `DCGANGenerator`, whose noise becomes f(x)
    discriminator    images (N, ...) -> logits of the three classes (N, 3), such as `Heads(ConvTrunk(shape), 3)`

    The data are (N, 2, ...): [:, 0] of the source and [:, 1] of the target; see `data.domains.Unpaired`.
    """

    def __init__(
        self,
        classifier: Any,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        constancy: float = 15.0,
        identity: float = 15.0,
    ) -> None:
        self.classifier, self.generator, self.discriminator = classifier, generator, discriminator
        self.constancy, self.identity = constancy, identity

    def players(self) -> dict[str, Player]:
        """The classifier is none of them, so that it never changes; derivatives go through it to the generator."""
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss),
            "generator": Player(self.generator, self.generator_loss),
        }

    def noise(self, n: int) -> None:
        """None is drawn."""

    def features(self, x: Any) -> Any:
        """f(x), in evaluation mode."""
        with evaluating(self.classifier):
            return self.classifier.features(x)

    def forward(self, x: Any) -> Any:
        return self.generator(self.features(x))

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        x, y = batch.data[:, 0], batch.data[:, 1]
        with no_grad():
            from_source, from_target = self(x), self(y)
        return self._called(from_source, 0) + self._called(from_target, 1) + self._called(y, 2), {}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        x, y = batch.data[:, 0], batch.data[:, 1]
        f = self.features(x)
        from_source, from_target = self.generator(f), self(y)
        deceit = self._called(from_source, 2) + self._called(from_target, 2)
        constancy = ops.mse_loss(self.features(from_source), f)
        identity = ops.mse_loss(from_target, y)
        metrics = {"deceit": deceit.data, "constancy": constancy.data, "identity": identity.data}
        return deceit + self.constancy * constancy + self.identity * identity, metrics

    def _called(self, images: Any, kind: int) -> Tensor:
        """-E log D_kind(images), with kinds from 0."""
        logits = self.discriminator(images)
        return -ops.mean(ops.log_softmax(logits, axis=1)[:, kind])
