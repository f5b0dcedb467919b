"""Digits of which few have labels, or all: what the pages of classifiers share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from minigen import data, evaluate, nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import to_numpy
from minigen.models import Batch, Player
from minigen.models.zoo.heads import ConvTrunk, Heads, Labelled
from zoo_pages import Claim, compared, learn, reaches, seeds
from zoo_pages.digits import SHAPE, batches

PER_CLASS = 10


def labelled(seed: int, all_of_them: bool = False) -> Labelled:
    """PER_CLASS digits of each class, another choice for each seed; or all digits."""
    every = data.load("digits")
    few = every if all_of_them else data.few_labels(every, PER_CLASS, seed)
    return Labelled(*next(data.Loader(few, len(few), pixels="signed", shuffle=False).epoch(0)))


def discriminator(outputs: int) -> Heads:
    """DCGAN's, with so many outputs and noise on its input: 0.3 of the range of the pixels (Salimans et al. 2016)."""
    return Heads(ConvTrunk(SHAPE, features=32, noise=0.6), outputs)


def classes_of(network: nn.Module, dataset: data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The class of the largest logit for each image, and its label, (N,) each."""
    loader = data.Loader(dataset, 500, pixels="signed", shuffle=False)
    with evaluate.evaluating(network), no_grad():
        found = [(to_numpy(network(Tensor(x)).data).argmax(axis=1), to_numpy(y)) for x, y in loader.epoch(0)]
    classes, labels = map(np.concatenate, zip(*found, strict=True))
    return classes, labels


def accuracy(network: nn.Module) -> float:
    """The share of test digits for which the largest logit is their label's."""
    classes, labels = classes_of(network, data.load("digits", "test"))
    return float((classes == labels).mean())


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


def alone(args: argparse.Namespace, out: Path) -> tuple[list[float], float]:
    """The accuracies of that classifier: with few labels for each seed, and with all labels once."""

    def learned(seed: int, all_labels: bool) -> float:
        minigen.manual_seed(seed)
        model, name = Alone(discriminator(10), labelled(seed, all_labels)), "all" if all_labels else "alone"
        learn(model, batches(64, seed), args, out / f"{name}-{seed}", lr=1e-3, average="discriminator")
        return accuracy(model.discriminator)

    return [learned(seed, False) for seed in seeds(args)], learned(args.seed, True)


def claims(text: str, found: list[float], alone: list[float], everything: float) -> list[Claim]:
    """That few labels nearly do, and that the images without labels help: accuracies for each seed."""
    return [
        reaches(text, ">= 0.95", found, f"all labels {everything:.3f}"),
        compared(f"{text}, beside labels alone", "more", found, alone),
    ]
