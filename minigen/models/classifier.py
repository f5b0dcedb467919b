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

    Three convolutions of stride 2 with `width`, 2 `width` and 4 `width` maps, and a hidden layer of `features` units.
    """

    def __init__(
        self, image_shape: Shape = (1, 28, 28), classes: int = 10, width: int = 16, features: int = 64
    ) -> None:
        if len(image_shape) != 3 or min(*image_shape, width, features) < 1 or classes < 2:
            raise ValueError(
                f"Classifier: got image_shape={tuple(image_shape)}, classes={classes}, width={width}, "
                f"features={features}; takes (C, H, W), width and features >= 1, and classes >= 2"
            )
        self.image_shape, self.classes = tuple(image_shape), classes
        channels = [image_shape[0], width, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        for i in range(3):  # each halves H and W, rounded up
            layers.append(nn.Conv2d(channels[i], channels[i + 1], 5, stride=2, padding=2))
            layers += [nn.BatchNorm2d(channels[i + 1]), nn.ReLU()]
        height, width = (-(-side // 8) for side in image_shape[1:])
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[3] * height * width, features), nn.ReLU())
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
        """1 for each image whose most probable class is its label, else 0, (N,): their mean is the accuracy."""
        logits = self.logits(x).data
        return Tensor((logits.argmax(axis=1) == raw(labels)).astype(logits.dtype))

    def _checked(self, x: Any) -> Tensor:
        data = raw(x)
        if not is_array(data) or data.dtype.kind != "f" or data.shape[1:] != self.image_shape:
            got = f"{data.shape} {data.dtype}" if is_array(data) else type(data).__name__
            shape = ", ".join(map(str, self.image_shape))
            raise ValueError(f"Classifier: takes images (N, {shape}) of floats in [-1, 1], got {got}")
        return (x if isinstance(x, Tensor) else Tensor(x)).astype(self.head.weight.dtype)
