r"""DiscoGAN: relations between two domains without pairs (Kim et al. 2017, arXiv 1703.05192).

Idea: that of `cycle_gan`, published in the same month. Its losses are the plain GAN's, with feature matching:

    F and G minimise   (1 - r) (0.1 E -log D + 0.9 mean (E f(real) - E f(translation))^2)   for both directions
                       + r (mean (G(F(x)) - x)^2 + mean (F(G(y)) - y)^2)

with r = 0.01 in the first 10,000 rounds and then 0.5, and two steps of F and G to one of the discriminators, as in the
authors' code. Here f is the last hidden layer of D; there it is every one. The buffers of older translations are
CycleGAN's.
"""

from __future__ import annotations

from typing import Any

from minigen import ops
from minigen.autograd import Tensor
from minigen.backend import Shape
from minigen.models.objectives import OBJECTIVES
from minigen.models.zoo.cycle_gan import CycleGAN


class DiscoGAN(CycleGAN):
    """`early` rounds have the smaller r."""

    objective = OBJECTIVES["non-saturating"]
    steps = 1, 2

    def __init__(self, image_shape: Shape, features: int = 16, halvings: int = 2, *, early: int = 10_000) -> None:
        super().__init__(image_shape, features, halvings)
        self.early = early

    def weights(self, round: int) -> tuple[float, float]:
        r = 0.01 if round < self.early else 0.5
        return 1 - r, r

    def deceit(self, judge: Any, real: Any, sample: Tensor) -> Tensor:
        f, g = judge.features(real), judge.features(sample)
        matching = ops.mean(ops.square(ops.mean(f, axis=0) - ops.mean(g, axis=0)))
        return 0.1 * self.objective.generator(judge.read(g)) + 0.9 * matching

    def error(self, x: Tensor, target: Any) -> Tensor:
        return ops.mean(ops.square(x - target))
