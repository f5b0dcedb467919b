r"""CycleGAN: translation between two domains without pairs (Zhu et al. 2017, arXiv 1703.10593).

Idea: a GAN makes the translation F(x) look like the other domain, but not like x. If another translation G leads back
to x, then F has kept what x is.

    F: X -> Y, G: Y -> X; D_Y judges F(x), and D_X judges G(y)
    F and G minimise   E (D_Y(F(x)) - 1)^2 + E (D_X(G(y)) - 1)^2
                       + 10 (E |G(F(x)) - x| + E |F(G(y)) - y|)   + 5 (E |F(y) - y| + E |G(x) - x|), optional

|.| is the mean over pixels. The last term, identity, keeps the tint of photographs. A cycle forbids that two images
become one; it allows that all digits are permuted, or that a digit is hidden in faint pixels.

What differs from a plain GAN: two in one game, whose inputs are images in place of noise, and the cycle. The same idea
was published twice more, with other losses: `disco_gan`, `dual_gan`.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import Shape
from minigen.models.game import Batch, Player
from minigen.models.objectives import OBJECTIVES, clip_weights
from minigen.models.zoo.heads import ConvTrunk, Heads
from minigen.models.zoo.image_buffer import ImageBuffer
from minigen.models.zoo.restoration import Hourglass


class CycleGAN(nn.Module):
    """Two translations between domains of images of one shape, with pixels in [-1, 1]: `forth` and `back`.

    halvings           how often the translations halve the side, before they double it as often
    cycle, identity    the weights of these two terms; an identity of 5 is half the cycle's, as in the paper
    capacity           older translations that each discriminator's `ImageBuffer` holds

    The data are (N, 2, ...): [:, 0] of the first domain and [:, 1] of the second; see `data.domains.Unpaired`.
    """

    objective = OBJECTIVES["least-squares"]
    steps = 1, 1  # of the discriminators and of the generators in a round

    def __init__(
        self,
        image_shape: Shape,
        features: int = 16,
        halvings: int = 2,
        *,
        cycle: float = 10.0,
        identity: float = 0.0,
        capacity: int = 50,
    ) -> None:
        channels = image_shape[0]
        translation = lambda: nn.Sequential(Hourglass(channels, channels, features, halvings, halvings), nn.Tanh())
        self.forth, self.back = translation(), translation()
        self.judges = [Heads(ConvTrunk(image_shape, features), 1) for _ in range(2)]
        self.buffers = [ImageBuffer(image_shape, capacity) for _ in range(2)]
        self.cycle, self.identity = cycle, identity

    @property
    def generator(self) -> nn.ModuleList:
        return nn.ModuleList([self.forth, self.back])

    def players(self) -> dict[str, Player]:
        discriminator = nn.ModuleList([*self.judges, *self.buffers])
        return {
            "discriminator": Player(discriminator, self.discriminator_loss, self.steps[0], self._clip),
            "generator": Player(self.generator, self.generator_loss, self.steps[1]),
        }

    def noise(self, n: int) -> None:
        """None is drawn."""

    def forward(self, x: Any) -> Tensor:
        """Images of the first domain in the second."""
        return self.forth(x)

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        x, y = batch.data[:, 0], batch.data[:, 1]
        with no_grad():
            samples = self.back(y), self.forth(x)
        one, two = (
            self.objective.discriminator(judge(real), judge(buffer(sample, batch.round)))
            for real, sample, judge, buffer in zip((x, y), samples, self.judges, self.buffers, strict=True)
        )
        return one + two, {}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        x, y = batch.data[:, 0], batch.data[:, 1]
        to_x, to_y = self.back(y), self.forth(x)
        deceit = self.deceit(self.judges[0], x, to_x) + self.deceit(self.judges[1], y, to_y)
        cycle = self.error(self.back(to_y), x) + self.error(self.forth(to_x), y)
        a, c = self.weights(batch.round)
        loss = a * deceit + c * cycle
        if self.identity:
            loss = loss + self.identity * (self.error(self.forth(y), y) + self.error(self.back(x), x))
        return loss, {"deceit": deceit.data, "cycle": cycle.data}

    # -- what DiscoGAN and DualGAN replace -----------------------------------------------------------------------------

    def weights(self, round: int) -> tuple[float, float]:
        """Those of deceit and cycle."""
        return 1.0, self.cycle

    def deceit(self, judge: Any, real: Any, sample: Tensor) -> Tensor:
        """The adversarial loss of a translation."""
        return ops.mean(ops.square(judge(sample) - 1.0))

    def error(self, x: Tensor, target: Any) -> Tensor:
        """The distance of a reconstruction from its original."""
        return ops.mean(ops.abs(x - target))

    def _clip(self, metrics: Any) -> None:
        if self.objective.clip is not None:
            for judge in self.judges:
                clip_weights(judge, self.objective.clip)
