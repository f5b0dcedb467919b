"""A small convolutional classifier, with which samples are judged: what they show, and how surely.

Its penultimate layer is the space in which `evaluate.frechet_distance` compares samples with real images, in the role
that the Inception network plays for photographs (Heusel et al. 2017, arXiv 1706.08500).
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, raw
from minigen.backend import Shape, is_array


class Classifier(nn.Module):
    """Images x (N, C, H, W), floats in [-1, 1] ("signed" pixels), to the logits of `classes` classes.

    Two convolutions of stride 2 and a hidden layer of `features` units; H and W are 4 or more.
    """

    def __init__(
        self, image_shape: Shape = (1, 28, 28), classes: int = 10, width: int = 32, features: int = 64
    ) -> None:
        if len(image_shape) != 3 or min(image_shape[1:]) < 4 or min(image_shape[0], width, features) < 1 or classes < 2:
            raise ValueError(
                f"Classifier: got image_shape={tuple(image_shape)}, classes={classes}, width={width}, "
                f"features={features}; takes (C, H, W) with sides of 4 or more, and 2 or more classes"
            )
        self.image_shape, self.classes = tuple(image_shape), classes
        channels, height, width_ = image_shape
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),  # (C, H, W) -> (width, H/2, W/2)
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),  # -> (2 width, H/4, W/4)
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * (height // 4) * (width_ // 4), features),
            nn.ReLU(),
        )
        self.head = nn.Linear(features, classes)

    def features(self, x: Any) -> Tensor:
        """The penultimate layer, (N, features)."""
        return self.body(self._checked(x))

    def logits(self, x: Any) -> Tensor:
        """Unnormalised log-probabilities of the classes, (N, classes)."""
        return self.head(self.features(x))

    def loss(self, x: Any, labels: Any) -> Tensor:
        """What training minimises: the mean of -log p(label | x), in nats."""
        return ops.cross_entropy(self.logits(x), labels)

    def correct(self, x: Any, labels: Any) -> Tensor:
        """1 for each image whose most probable class is its label, else 0, (N,): the mean is the accuracy."""
        logits = self.logits(x)
        return (Tensor(logits.data.argmax(axis=1)) == labels).astype(logits.dtype)

    def _checked(self, x: Any) -> Tensor:
        data = raw(x)
        if not is_array(data) or data.dtype.kind != "f" or data.shape[1:] != self.image_shape:
            got = f"{data.shape} {data.dtype}" if is_array(data) else type(data).__name__
            shape = ", ".join(map(str, self.image_shape))
            raise ValueError(f"Classifier: takes images (N, {shape}) as floats in [-1, 1], got {got}")
        return (x if isinstance(x, Tensor) else Tensor(x)).astype(self.head.weight.dtype)
