"""Discriminators of several outputs: a trunk computes features, and each head is a linear layer that reads them.

    D = Heads(ConvTrunk((1, 28, 28)), 1, 10)
    logits, classes = D(x)                        # (N,) and (N, 10)
    f = D.features(x)                             # (N, D.trunk.width); D.read(f) are the outputs

With one head the output is no tuple, so that `Heads(trunk, 1)` is a discriminator for any `GAN`, with `features`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from minigen import nn
from minigen.autograd import Tensor
from minigen.backend import Array, Shape
from minigen.models.dcgan import DCGANDiscriminator
from minigen.random import normal, random_generator


class Heads(nn.Module):
    """x (N, ...) -> for each head, given by its number of outputs k, a tensor (N, k), or (N,) where k is 1.

    `trunk` maps x to features (N, trunk.width). A head may also be a module that takes these features.
    """

    def __init__(self, trunk: nn.Module, *heads: int | nn.Module) -> None:
        self.trunk = trunk
        width: int = trunk.width  # type: ignore[attr-defined]
        self.heads = nn.ModuleList([nn.Linear(width, head) if isinstance(head, int) else head for head in heads])

    def features(self, x: Any) -> Any:
        """(N, trunk.width), what the heads read."""
        return self.trunk(x)

    def read(self, features: Any) -> Any:
        """The outputs from features (N, trunk.width): one for each head, or the output of the only head."""
        outputs = [head(features) for head in self.heads]
        outputs = [y[:, 0] if y.shape[1] == 1 else y for y in outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def forward(self, x: Any) -> Any:
        return self.read(self.features(x))


class MLPTrunk(nn.Module):
    """x (N, *shape) -> (N, width): hidden layers with LeakyReLU; normal noise on the input and after each layer."""

    def __init__(
        self,
        shape: Shape,
        hidden: Sequence[int] = (256, 256),
        input_noise: float = 0.0,
        noise: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        parts: list[nn.Module] = [nn.Flatten(), Noise(input_noise)]
        for inputs, outputs in pairwise([math.prod(shape), *hidden]):
            parts += [nn.Linear(inputs, outputs), *([nn.BatchNorm1d(outputs)] * batch_norm)]
            parts += [nn.LeakyReLU(0.2), Noise(noise)]
        self.net, self.width = nn.Sequential(*parts), hidden[-1]

    def forward(self, x: Any) -> Any:
        return self.net(x)


class ConvTrunk(nn.Module):
    """Images (N, C, side, side) -> (N, width): `DCGANDiscriminator` without its last layer; `noise` on the images."""

    def __init__(self, image_shape: Shape, features: int = 16, batch_norm: bool = True, noise: float = 0.0) -> None:
        *layers, last = DCGANDiscriminator(image_shape, features, batch_norm=batch_norm).net
        self.net = nn.Sequential(Noise(noise), *layers, nn.Flatten())
        self.width = math.prod(last.weight.shape[1:])  # type: ignore[attr-defined]

    def forward(self, x: Any) -> Any:
        return self.net(x)


class Noise(nn.Module):
    """Adds normal noise in training; in evaluation it changes nothing."""

    def __init__(self, std: float) -> None:
        self.std = std

    def forward(self, x: Any) -> Any:
        if not (self.std and self.training):
            return x
        return x + normal(x.shape, std=self.std, dtype=x.dtype, device=x.device)


class Labelled(nn.Module):
    """Few labelled examples, images (n, ...) and labels (n,), for a model that learns from many others without labels.

    Both are buffers of the model: they move with it to another device, and its weights file holds them.
    """

    def __init__(self, images: Array, labels: Array) -> None:
        self.images, self.labels = Tensor(images), Tensor(labels)

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """`n` of them, with replacement: images (n, ...) and labels (n,)."""
        index = self.images.device.asarray(random_generator().integers(len(self.images), size=n))
        return Tensor(self.images.data[index]), Tensor(self.labels.data[index])
