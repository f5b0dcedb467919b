"""The digits that pages learn, and the classifier that compares samples with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minigen import data, evaluate, ops
from minigen.backend import to_numpy

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


def psnr(x: Any, images: Any) -> float:
    """The peak signal-to-noise ratio in decibels, 10 log10(2^2 / squared error), for pixels in [-1, 1]."""
    return float(10 * np.log10(4 / to_numpy(ops.mse_loss(x, images).data)))


def shown(samples: Any) -> np.ndarray:
    """Pixels from [-1, 1] to [0, 1]."""
    return (to_numpy(samples.data) + 1) / 2
