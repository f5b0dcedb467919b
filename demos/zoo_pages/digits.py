"""The digits that pages learn, and the classifier that compares samples with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minigen import data, evaluate
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
        return evaluate.frechet_distance(self.features(model.sample(1000)), self.real)


def shown(samples: Any) -> np.ndarray:
    """Pixels from [-1, 1] to [0, 1]."""
    return (to_numpy(samples.data) + 1) / 2
