"""A classifier as the judge of samples: a small convolutional network, its training, and its report.

It gives the class of a sample and that class's probability. `frechet_distance` compares samples with real images in
the space of its penultimate layer, as FID does for photographs with the Inception network (Heusel et al. 2017, arXiv
1706.08500).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigen import nn, ops, optim
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array, Shape, array_module, is_array
from minigen.checkpoint import fill, read, save
from minigen.data import Dataset, Loader
from minigen.evaluate.frechet import frechet_distance
from minigen.evaluate.likelihood import mean_over
from minigen.nn.module import evaluating
from minigen.random import random_generator, separate_random


class Classifier(nn.Module):
    """Images (N, C, H, W), floats in [-1, 1], to logits (N, classes): unnormalised log-probabilities of the classes.

    Three convolutions of stride 2 with `width`, 2 `width` and 4 `width` maps, and a hidden layer of `features` units.
    """

    def __init__(
        self, image_shape: Shape = (1, 28, 28), classes: int = 10, width: int = 16, features: int = 64
    ) -> None:
        if len(image_shape) != 3 or min(*image_shape, width, features) < 1 or classes < 2:
            raise ValueError(
                "Classifier: expects image_shape (C, H, W), width and features >= 1, and classes >= 2, got "
                f"image_shape={tuple(image_shape)}, classes={classes}, width={width}, features={features}"
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

    def forward(self, x: Any) -> Tensor:
        return self.head(self.features(x))

    def loss(self, images: Any, labels: Any) -> Tensor:
        """What training minimises: the mean of -log p(label | image), in nats."""
        return ops.cross_entropy(self(images), labels)

    def correct(self, images: Any, labels: Any) -> Tensor:
        """1 for each image whose most probable class is its label, else 0, (N,): their mean is the accuracy."""
        logits = self(images).data
        return Tensor((logits.argmax(axis=1) == raw(labels)).astype(logits.dtype))

    def _checked(self, x: Any) -> Tensor:
        data = raw(x)
        if not is_array(data) or data.dtype.kind != "f" or data.shape[1:] != self.image_shape:
            got = f"{data.shape} {data.dtype}" if is_array(data) else type(data).__name__
            shape = ", ".join(map(str, self.image_shape))
            raise ValueError(f"Classifier: expects images (N, {shape}) of floats in [-1, 1], got {got}")
        return (x if isinstance(x, Tensor) else Tensor(x)).astype(self.head.weight.dtype)


# -- its training ------------------------------------------------------------------------------------------------------


class TrainedClassifier(NamedTuple):
    """A classifier in evaluation mode, its accuracy, and where it comes from."""

    classifier: Classifier
    accuracy: float  # share of the test images that it classifies correctly
    origin: str  # "from <path>", "trained and saved in <path>" or "trained anew (<why>) and saved in <path>"


def trained_classifier(
    training: Dataset, test: Dataset, path: str | Path, *, epochs: int = 6, batch_size: int = 64, lr: float = 3e-3
) -> TrainedClassifier:
    """A classifier of a data set, read from the weights file `path`, or trained and saved there.

    A file that is damaged or does not fit is replaced. The state of the random numbers is restored afterwards.

    >>> judge, accuracy, origin = trained_classifier(digits, test_digits, "runs/classifier/digits.safetensors")
    """
    path = Path(path)
    with separate_random(seed=0):
        classifier = Classifier(training.image_shape, len(training.classes))
        try:
            fill(classifier, read(path)[0], path)
            origin = f"from {path}"
        except (FileNotFoundError, ValueError) as error:
            why = "" if isinstance(error, FileNotFoundError) else f" anew ({error})"
            _train(classifier, Loader(training, batch_size, pixels="signed"), epochs, lr)
            save(classifier, path)
            origin = f"trained{why} and saved in {path}"
        accuracy = mean_over(Loader(test, 500, pixels="signed", shuffle=False), classifier.correct, classifier)
    return TrainedClassifier(classifier.eval(), accuracy, origin)


def _train(classifier: Classifier, loader: Loader, epochs: int, lr: float) -> None:
    """Adam with a decaying learning rate; a progress bar."""
    from tqdm import tqdm

    steps = epochs * len(loader)
    optimizer, decay = optim.Adam(classifier.parameters(), lr), optim.linear_decay(steps)
    with tqdm(total=steps, desc="classifier", unit="step", leave=False, disable=None) as bar:
        for epoch in range(epochs):
            for images, labels in loader.epoch(epoch):
                optimizer.zero_grad()
                classifier.loss(_shifted(images), labels).backward()
                optimizer.lr = lr * decay(optimizer.steps)
                optimizer.step()
                bar.update()


def _shifted(images: Array) -> Array:
    """Data augmentation: a random shift of a batch by up to 1/14 of the images' side, with wrap-around."""
    reach = min(images.shape[2:]) // 14
    shift = tuple(int(n) for n in random_generator().integers(-reach, reach + 1, 2))
    return array_module(images).roll(images, shift, axis=(2, 3))


# -- what it reports ---------------------------------------------------------------------------------------------------


@no_grad()
def features_and_probabilities(classifier: Classifier, images: Any) -> tuple[np.ndarray, np.ndarray]:
    """The features and the class probabilities (N, classes) of images (N, C, H, W), in evaluation mode."""
    images, features, probabilities = raw(images), [], []
    with evaluating(classifier):
        for start in range(0, len(images), 500):
            x = classifier.features(classifier.device.asarray(images[start : start + 500]))
            features.append(x.numpy())
            probabilities.append(ops.softmax(classifier.head(x), axis=1).numpy())
    return np.concatenate(features), np.concatenate(probabilities)


def report_on(samples: Any, classifier: Classifier, real: Any) -> dict[str, Any]:
    """A classifier's metrics of samples (N, C, H, W), beside those of real images; all pixels are in [-1, 1].

    frechet                     Fréchet distance between the samples and one half of the real images
    floor                       that between the two halves of the real images: the distance of perfect samples
    compared                    number of images in each of these sets, on which the distance depends
    shares                      share of each class among the samples, a list
    confident, confident_real   share of the samples, and of the real images, whose class has a probability over 0.9

    The real images should be ones that neither the classifier nor the generator was trained on. `ValueError` if the
    pixels are not in [-1, 1].
    """
    samples, real = raw(samples), raw(real)
    if real.min() >= 0 or max(abs(x).max() for x in (samples, real)) > 1.001:
        ranges = [f"{float(x.min()):.4g} ... {float(x.max()):.4g}" for x in (samples, real)]
        raise ValueError(
            f"report_on: expects pixels in [-1, 1], got samples in {ranges[0]}, real images in {ranges[1]}"
        )
    features, probabilities = features_and_probabilities(classifier, samples)
    real_features, real_probabilities = features_and_probabilities(classifier, real)
    n = min(len(features), len(real_features) // 2)
    chosen = random_subset(real_features, 2 * n)
    half, other = chosen[0::2], chosen[1::2]
    return {
        "frechet": frechet_distance(random_subset(features, n), half),
        "floor": frechet_distance(other, half),
        "compared": n,
        "shares": class_shares(probabilities).tolist(),
        "confident": confident_share(probabilities),
        "confident_real": confident_share(real_probabilities),
    }


def random_subset(images: Any, n: int) -> Any:
    """`n` of the images of a data set, or rows of a NumPy array, in their order; the same in every run.

    The first `n` are no fair choice, as files are sorted: even 1,000 training images of MNIST have a Fréchet distance
    of 14 to its first 1,000 test images, and of 5 to 1,000 of all.
    """
    return images[np.sort(np.random.default_rng(0).permutation(len(images))[:n])]


def class_shares(probabilities: Any) -> Array:
    """The share of each class among the most probable classes of samples with class probabilities (N, K): (K,)."""
    p = raw(probabilities)
    return array_module(p).bincount(p.argmax(axis=1), minlength=p.shape[1]) / len(p)


def confident_share(probabilities: Any, above: float = 0.9) -> float:
    """The share of samples, with class probabilities (N, K), whose largest one is over `above`."""
    return float((raw(probabilities).max(axis=1) > above).mean())
