"""The digits that pages learn, and the classifier that compares samples with them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from minigen import data, evaluate, nn, ops
from minigen.backend import to_numpy
from minigen.nn import init

SHAPE = (1, 28, 28)


def batches(batch_size: int, seed: int) -> data.Loader:
    """Training digits with pixels in [-1, 1]."""
    return data.Loader(data.load("digits"), batch_size, pixels="signed", seed=seed, drop_last=True)


class Judge:
    """A classifier of digits. It is trained once, and kept beside the pages' folders, of which `out` is one."""

    def __init__(self, out: Path) -> None:
        training, test = data.load("digits"), data.load("digits", "test")
        path = out.parent / "classifier" / "digits.safetensors"
        self.classifier = evaluate.trained_classifier(training, test, path).classifier
        self.real = self.features(test.images[::2].astype(np.float32) / 127.5 - 1)

    def features(self, images: Any) -> np.ndarray:
        """Of images (N, 1, 28, 28) with pixels in [-1, 1], (N, 64)."""
        return evaluate.features_and_probabilities(self.classifier, images)[0]

    def frechet(self, model: Any) -> float:
        """The Fréchet distance of 1,000 of the model's samples to 1,000 test digits."""
        return self.distance(model.sample(1000))

    def distance(self, images: Any) -> float:
        """The Fréchet distance of images to 1,000 test digits, which are every second one."""
        return evaluate.frechet_distance(self.features(images), self.real)

    def read(self, images: Any) -> np.ndarray:
        """The most probable class of each image."""
        return evaluate.features_and_probabilities(self.classifier, images)[1].argmax(axis=1)


class FullSizeGenerator(nn.Module):
    """z (N, latent_dim) -> images (N, 1, side, side): DCGAN's, with one more layer, which keeps the side.

    `sides` are those of the maps, the last of them the images', and `widths` the numbers of their channels.
    """

    def __init__(self, latent_dim: int, sides: Sequence[int], widths: Sequence[int]) -> None:
        self.latent_dim = latent_dim
        first = nn.ConvTranspose2d(latent_dim, widths[0], sides[0], bias=False)
        layers: list[nn.Module] = [nn.Unflatten((latent_dim, 1, 1)), first, nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for (small, large), (wide, narrow) in zip(pairwise(sides), pairwise(widths), strict=True):
            kernel = 4 if large == 2 * small else 3
            layers += [nn.ConvTranspose2d(wide, narrow, kernel, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(narrow), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1), nn.Tanh()).apply(init.dcgan)

    def forward(self, z: Any) -> Any:
        return self.net(z)


def psnr(x: Any, images: Any) -> float:
    """The peak signal-to-noise ratio in decibels, 10 log10(2^2 / squared error), for pixels in [-1, 1]."""
    return float(10 * np.log10(4 / to_numpy(ops.mse_loss(x, images).data)))


def shown(samples: Any) -> np.ndarray:
    """Pixels from [-1, 1] to [0, 1]."""
    return (to_numpy(samples.data) + 1) / 2
