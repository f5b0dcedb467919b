r"""DualGAN: two translations, each the other's dual task (Yi et al. 2017, arXiv 1704.02510).

Idea: that of `cycle_gan`, published in the same spring. The discriminators are Wasserstein critics, clipped, and the
cycle has a weight from 500 to 1000:

    F and G minimise   -E D_Y(F(x)) - E D_X(G(y)) + 500 (E |G(F(x)) - x| + E |F(G(y)) - y|)

|.| is the mean over pixels. The buffers of older translations are CycleGAN's, and five steps of the critics WGAN's.
"""

from __future__ import annotations

from typing import Any

from minigen.autograd import Tensor
from minigen.backend import Shape
from minigen.models.objectives import OBJECTIVES
from minigen.models.zoo.cycle_gan import CycleGAN


class DualGAN(CycleGAN):
    """The critics make five steps to one of the translations."""

    objective = OBJECTIVES["wasserstein"]
    steps = 5, 1

    def __init__(self, image_shape: Shape, features: int = 16, halvings: int = 2, *, cycle: float = 500.0) -> None:
        super().__init__(image_shape, features, halvings, cycle=cycle)

    def deceit(self, judge: Any, real: Any, sample: Tensor) -> Tensor:
        return self.objective.generator(judge(sample))
