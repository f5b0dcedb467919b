"""Likelihoods p(x | z): the distribution of an image's pixels, given the output of a decoder.

A decoder gives one or more maps (H, W) for each channel of an image. A likelihood turns them into a distribution for
every pixel. It also defines which pixel values are valid, and how they are scaled for the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigen import ops
from minigen.autograd import Tensor
from minigen.backend import on_host
from minigen.distributions import Bernoulli, DiscretizedLogistic, Distribution, Normal
from minigen.nn import Parameter
from minigen.nn.init import constant


class Likelihood:
    """Base of the likelihoods.

    maps         the decoder's outputs for each value of a pixel
    pixels       the argument `pixels` with which a `data.Loader` gives valid images
    parameters   learned parameters of the likelihood, by name; the model makes them its own attributes
    """

    maps = 1
    pixels: str
    parameters: Mapping[str, Parameter] = {}

    def distribution(self, maps: Tensor) -> Distribution:
        """p(x | z), of shape (N, C, H, W), for the decoder's maps (N, self.maps C, H, W)."""
        raise NotImplementedError

    def scaled(self, x: Tensor) -> Tensor:
        """The encoder's input, with values of about -1 ... 1; by default the images themselves."""
        return x

    def check(self, x: Tensor) -> None:
        """Raise `ValueError` if a pixel value is not valid; by default all are. On a GPU, values are not looked at."""


class BernoulliLikelihood(Likelihood):
    """Binary pixels, 0 or 1. A map is the logit of 1."""

    pixels = "binary"

    def distribution(self, maps: Tensor) -> Bernoulli:
        return Bernoulli(maps)

    def check(self, x: Tensor) -> None:
        if on_host(x.data) and not ((x.data == 0) | (x.data == 1)).all():
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

    The first half of the maps holds the means, on a scale where the levels are equally spaced from -1 to 1. The second
    half holds the logarithms of the scales, bounded below by -7 so that no bin gets all of the probability.
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
        known = on_host(x.data) and x.size
        if x.dtype.kind not in "iu" or (known and not 0 <= x.data.min() <= x.data.max() < self.levels):
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
