"""A buffer of older samples for a discriminator (Shrivastava et al. 2017, arXiv 1612.07828, section 2.3).

A discriminator that sees only the newest samples forgets what it knew of the older ones, and the two players may chase
each other in circles. So half of the samples that it gets are older ones.
"""

from __future__ import annotations

from typing import Any

from minigen import nn
from minigen.autograd import Tensor, raw
from minigen.backend import Array, Shape, current_dtype, device
from minigen.random import random_generator


class ImageBuffer(nn.Module):
    """`capacity` images of `image_shape`, as a layer without parameters.

    Until it is full, it keeps what it is given and returns it. Then it exchanges each given image, with probability
    1/2, for one of its own, at random. In evaluation mode, and where it is frozen, it returns the given images and does
    not change: like the running statistics of batch normalisation, its images are a part of the model's state.
    """

    def __init__(self, image_shape: Shape, capacity: int = 50) -> None:
        if capacity < 1:
            raise ValueError(f"ImageBuffer: expects capacity >= 1, got {capacity}")
        self.images = Tensor(device().module.zeros((capacity, *image_shape), current_dtype()))

    def forward(self, x: Any, round: int) -> Tensor:
        """Images (N, C, H, W), N <= capacity; `round` is the number of rounds before this one, each with N images.

        Of several calls in a round, the first ones' images are overwritten while the buffer fills.
        """
        x, n, capacity = raw(x), len(x), len(self.images)
        if n > capacity:
            raise ValueError(f"ImageBuffer: expects at most {capacity} images, got {n}")
        if self.frozen or not self.training:
            return Tensor(x)
        if (start := round * n) < capacity:
            self.images.data[start : start + n] = x[: capacity - start]
            return Tensor(x)
        return Tensor(self._exchanged(x))

    def _exchanged(self, x: Array) -> Array:
        """Half of the images x, and others for the rest, which stays here."""
        asarray, generator = self.images.device.asarray, random_generator()
        places = asarray(generator.permutation(len(self.images))[: len(x)])
        swap = asarray(generator.random((len(x), 1, 1, 1)) < 0.5)
        old, xp = self.images.data[places], self.images.device.module
        self.images.data[places] = xp.where(swap, x, old)
        return xp.where(swap, old, x)
