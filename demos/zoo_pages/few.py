"""Digits of which few have labels, at half the resolution, so that more rounds fit into a minute: what pages share."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from minigen import data, evaluate, nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import to_numpy
from minigen.models import Batch, Player
from minigen.models.zoo.heads import ConvTrunk, Heads, Labelled
from zoo_pages import learn

SHAPE, PER_CLASS, NOISE = (1, 14, 14), 10, 0.3


def digits(split: str = "train") -> data.Dataset:
    """The digits, each pixel the mean of 2 x 2."""
    whole = data.load("digits", split)
    squares = whole.images.reshape(len(whole), 1, 14, 2, 14, 2)
    return replace(whole, images=np.rint(squares.mean(axis=(3, 5))).astype(np.uint8))


def batches(batch_size: int, seed: int) -> data.Loader:
    """Training digits with pixels in [-1, 1]."""
    return data.Loader(digits(), batch_size, pixels="signed", seed=seed, drop_last=True)


def labelled(seed: int, all_of_them: bool = False) -> Labelled:
    """PER_CLASS digits of each class, another choice for each seed; or all digits."""
    few = digits() if all_of_them else data.few_labels(digits(), PER_CLASS, seed)
    return Labelled(*next(data.Loader(few, len(few), pixels="signed", shuffle=False).epoch(0)))


def discriminator(outputs: int) -> Heads:
    """DCGAN's, with noise on its input, and so many outputs."""
    return Heads(ConvTrunk(SHAPE, noise=NOISE), outputs)


def classes_of(network: nn.Module, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The class of the largest logit for each digit of a split, and its label, (N,) each."""
    loader = data.Loader(digits(split), 500, pixels="signed", shuffle=False)
    with evaluate.evaluating(network), no_grad():
        found = [(to_numpy(network(Tensor(x)).data).argmax(axis=1), to_numpy(y)) for x, y in loader.epoch(0)]
    classes, labels = map(np.concatenate, zip(*found, strict=True))
    return classes, labels


def accuracy(network: nn.Module) -> float:
    """The share of test digits for which the largest logit is their label's."""
    classes, labels = classes_of(network, "test")
    return float((classes == labels).mean())


def sorted_right(network: nn.Module) -> float:
    """The share of test digits that are of the class which stands for their label, by a vote of the training digits."""
    return evaluate.clustering_accuracy(*classes_of(network, "train"), *classes_of(network, "test"))


def k_means(k: int, seed: int, passes: int = 20) -> float:
    """The same of k clusters of pixels, whose centres are the means of their images (Lloyd's algorithm)."""
    both = [digits(split) for split in ("train", "test")]
    points, test_points = (part.images.reshape(len(part), -1) / 255.0 for part in both)
    centres = points[np.random.default_rng(seed).choice(len(points), k, replace=False)]
    cluster_of = lambda points: evaluate.nearest(points, centres)[0][:, 0]
    for _ in range(passes):
        found = cluster_of(points)
        centres = np.stack([points[found == i].mean(axis=0) if (found == i).any() else centres[i] for i in range(k)])
    return evaluate.clustering_accuracy(cluster_of(points), both[0].labels, cluster_of(test_points), both[1].labels)


class Alone(nn.Module):
    """A classifier that learns from the labelled examples alone."""

    def __init__(self, discriminator: Heads, few: Labelled) -> None:
        self.discriminator, self.few = discriminator, few

    def players(self) -> dict[str, Player]:
        return {"discriminator": Player(self.discriminator, self.of_labels)}

    def noise(self, n: int) -> None:
        """There is none."""

    def of_labels(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        x, y = self.few.draw(len(batch.data))
        return ops.cross_entropy(self.discriminator(x), y), {}


def alone(seed: int, args: argparse.Namespace, out: Path, all_labels: bool = False) -> float:
    """The accuracy of that classifier, with few labels or with all."""
    minigen.manual_seed(seed)
    model = Alone(discriminator(10), labelled(seed, all_labels))
    folder = out / f"{'all' if all_labels else 'alone'}-{seed}"
    learn(model, batches(64, seed), args, folder, lr=1e-3, average="discriminator")
    return accuracy(model.discriminator)
