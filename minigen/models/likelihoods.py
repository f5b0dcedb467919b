"""Likelihoods p(x | z): what the numbers that a decoder computes mean.

A decoder computes one or more maps (H, W) for each channel of an image. A likelihood makes of them the distribution of
every pixel; it also says which pixels an image may have, and how they enter the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigen import ops
from minigen.autograd import Tensor
from minigen.distributions import Bernoulli, DiscretizedLogistic, Distribution, Normal
from minigen.nn import Parameter
from minigen.nn.init import constant


class Likelihood:
    """Base of the likelihoods.

    maps         numbers that the decoder computes for each value of a pixel
    pixels       the argument `pixels` with which a `data.Loader` gives such images
    parameters   what is learned beside the encoder and the decoder, by name: the model makes it its own attribute
    """

    maps = 1
    pixels: str
    parameters: Mapping[str, Parameter] = {}

    def distribution(self, maps: Tensor) -> Distribution:
        """p(x | z), of shape (N, C, H, W), for the decoder's maps (N, self.maps C, H, W)."""
        raise NotImplementedError

    def scaled(self, x: Tensor) -> Tensor:
        """Images as the encoder takes them, about -1 ... 1; here and by default, as they are."""
        return x

    def check(self, x: Tensor) -> None:
        """Raise `ValueError` if the images have pixels without a likelihood; by default all have one."""


class BernoulliLikelihood(Likelihood):
    """Binary pixels, 0 or 1. A map is the logit of 1."""

    pixels = "binary"

    def distribution(self, maps: Tensor) -> Bernoulli:
        return Bernoulli(maps)

    def check(self, x: Tensor) -> None:
        if not bool(((x.data == 0) | (x.data == 1)).all()):
            raise ValueError(f"BernoulliLikelihood: expects pixels 0 and 1 and no grey ones, got {_values(x)}")


class GaussianLikelihood(Likelihood):
    """Real-valued pixels in [0, 1]: Normal(sigmoid(map), exp(log_var)) with one learned variance for all pixels.

    log p(x | z) is then the logarithm of a density, and may be positive.
    """

    pixels = "unit"

    def __init__(self, log_var: float = -2.0) -> None:
        self.log_var = constant((), log_var)
        self.parameters = {"log_var": self.log_var}

    def distribution(self, maps: Tensor) -> Normal:
        mean = ops.sigmoid(maps)
        return Normal(mean, ops.broadcast_to(self.log_var, mean.shape))


class DiscretizedLogisticLikelihood(Likelihood):
    """Integer pixels 0 ... levels - 1 (Salimans et al. 2017, section 2.1).

    The first half of the maps is the means, with the levels at equal distances from -1 to 1; the second half is the
    logarithms of the scales, bounded below by -7 so that no bin takes all of the probability.
    """

    maps = 2
    pixels = "levels"

    def __init__(self, levels: int = 256) -> None:
        if levels < 2:
            raise ValueError(f"DiscretizedLogisticLikelihood: expects levels >= 2, got {levels}")
        self.levels = levels

    def distribution(self, maps: Tensor) -> DiscretizedLogistic:
        mean, log_scale = ops.split(maps, 2, axis=1)
        return DiscretizedLogistic(mean, ops.maximum(log_scale, -7.0), self.levels)

    def scaled(self, x: Tensor) -> Tensor:
        return x * (2.0 / (self.levels - 1)) - 1.0

    def check(self, x: Tensor) -> None:
        if x.dtype.kind not in "iu" or (x.size and not 0 <= int(x.data.min()) <= int(x.data.max()) < self.levels):
            raise ValueError(
                f"DiscretizedLogisticLikelihood: expects integers 0 ... {self.levels - 1}, got {_values(x)}"
            )


def _values(x: Tensor) -> str:
    return f"{x.dtype} from {float(x.data.min()):.4g} to {float(x.data.max()):.4g}"


LIKELIHOODS: dict[str, Any] = {
    "bernoulli": BernoulliLikelihood,
    "gaussian": GaussianLikelihood,
    "levels": DiscretizedLogisticLikelihood,
}
